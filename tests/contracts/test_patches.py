"""Patches between builds: made once, small for a small change, and none where they would be no gain."""

import gzip
import hashlib
import os
import random
import subprocess
from pathlib import Path

import pytest

from contracts.sh_host import pack
from upgrader.adapters.builds.build_store import BuildStore
from upgrader.adapters.builds.patches import PatchStore
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity
from upgrader.domain.names import FileName
from upgrader.domain.releases.release import Build


@pytest.fixture
def store(tmp_path: Path) -> BuildStore:
    return BuildStore(tmp_path / "builds")


@pytest.fixture
def patches(tmp_path: Path, store: BuildStore) -> PatchStore:
    return PatchStore(tmp_path / "patches", store)


def program_files(seed: int, changed: float = 0.0) -> dict[str, bytes]:
    """100 files of 20 kB as compilers leave them, half of it repeating; of each `changed` is new."""
    files = {}
    for number in range(100):
        chance = random.Random(f"{seed}.{number}")
        block = chance.randbytes(10_000) + b"symbol table " * 770
        fresh = random.Random(f"new {number}").randbytes(int(len(block) * changed))
        files[f"lib/module-{number}.so"] = fresh + block[len(fresh) :]
    return files


def put(store: BuildStore, path: Path) -> Build:
    return Build(FileName(path.name), store.put(path), path.stat().st_size)


def test_a_change_of_five_percent_costs_at_most_seven_percent_of_the_build(
    store: BuildStore, patches: PatchStore, tmp_path: Path
) -> None:
    old = put(store, pack(tmp_path / "lis-4.2.0.tar.gz", program_files(1)))
    new = put(store, pack(tmp_path / "lis-4.2.1.tar.gz", program_files(1, changed=0.03)))

    patch = patches.patch(old, new)

    assert patch is not None
    assert patch.path.stat().st_size <= 0.07 * new.size
    base, result = tmp_path / "base.tar", tmp_path / "result.tar"
    base.write_bytes(gzip.decompress(store.path(old.sha256).read_bytes()))
    subprocess.run(["zstd", "-q", "-d", f"--patch-from={base}", str(patch.path), "-o", str(result)], check=True)
    assert Digest(hashlib.sha256(result.read_bytes()).hexdigest()) == patch.archive
    assert gzip.decompress(store.path(new.sha256).read_bytes()) == result.read_bytes()


def test_a_pair_is_worked_on_once(store: BuildStore, patches: PatchStore, tmp_path: Path) -> None:
    old = put(store, pack(tmp_path / "a-1.tar.gz", program_files(1)))
    new = put(store, pack(tmp_path / "a-2.tar.gz", program_files(1, changed=0.01)))

    first = patches.patch(old, new)
    store.path(old.sha256).unlink()  # nothing is read of it again
    second = patches.patch(old, new)

    assert first == second
    assert first is not None


@pytest.mark.parametrize("name", ["a-2.tar.gz", "a-2.deb"])
def test_where_a_patch_would_be_no_gain_there_is_none(
    store: BuildStore, patches: PatchStore, tmp_path: Path, name: str
) -> None:
    old = put(store, pack(tmp_path / "a-1.tar.gz", {"data": os.urandom(300_000)}))
    new = put(store, pack(tmp_path / name, {"data": os.urandom(300_000)}))

    assert patches.patch(old, new) is None
    assert patches.patch(old, new) is None
    assert patches.patch(new, new) is None


def test_what_is_no_archive_inside_has_no_patch(store: BuildStore, patches: PatchStore, tmp_path: Path) -> None:
    (tmp_path / "torn.tar.gz").write_bytes(b"\x1f\x8b no more")
    old = put(store, pack(tmp_path / "a-1.tar.gz", {"data": b"x"}))

    assert patches.patch(old, put(store, tmp_path / "torn.tar.gz")) is None


def test_a_damaged_build_gives_no_patch_but_an_error(store: BuildStore, patches: PatchStore, tmp_path: Path) -> None:
    old = put(store, pack(tmp_path / "a-1.tar.gz", program_files(1)))
    new = put(store, pack(tmp_path / "a-2.tar.gz", program_files(1, changed=0.01)))
    kept = store.path(new.sha256)
    kept.chmod(0o644)
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")

    with pytest.raises(Integrity) as found:
        patches.patch(old, new)

    assert found.value.code == "build-damaged"
