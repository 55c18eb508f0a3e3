"""The store of builds: what comes out is what its name says, or nothing comes out."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

import builders
from upgrader.adapters.builds.build_store import BuildStore
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, PreflightFailed, Refused
from upgrader.domain.names import FileName
from upgrader.domain.releases.release import Build
from upgrader.flow.approval.authorize import verified_builds
from upgrader.flow.site import Site

CONTENT = bytes(range(256)) * 10_000
DIGEST = Digest.of(CONTENT)


@pytest.fixture
def store(tmp_path: Path) -> BuildStore:
    return BuildStore(tmp_path / "builds")


@pytest.fixture
def delivered(tmp_path: Path) -> Path:
    path = tmp_path / "lis-4.2.1.tar.gz"
    path.write_bytes(CONTENT)
    return path


def test_a_build_is_kept_under_its_own_digest_read_only(store: BuildStore, delivered: Path, tmp_path: Path) -> None:
    assert store.put(delivered) == DIGEST

    path = store.open_verified(DIGEST, len(CONTENT))
    assert path == tmp_path / "builds" / DIGEST.hex[:2] / DIGEST.hex
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o777 == 0o444
    assert [entry.name for entry in (tmp_path / "builds").iterdir()] == [DIGEST.hex[:2]]


def test_one_flipped_byte_is_found_and_the_file_named(store: BuildStore, delivered: Path) -> None:
    path = store.path(store.put(delivered))
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(len(CONTENT) // 2)
        file.write(b"\xff")

    with pytest.raises(Integrity) as refusal:
        store.open_verified(DIGEST, len(CONTENT))

    assert refusal.value.code == "build-damaged"
    assert refusal.value.fields["file"] == str(path)
    assert refusal.value.fields["expected"] == DIGEST.hex
    assert refusal.value.fields["found"] == Digest.of(path.read_bytes()).hex


def test_to_put_a_damaged_build_again_mends_it(store: BuildStore, delivered: Path) -> None:
    path = store.path(store.put(delivered))
    path.chmod(0o644)
    path.write_bytes(b"damaged")

    store.put(delivered)

    assert store.open_verified(DIGEST, len(CONTENT)).read_bytes() == CONTENT


def test_another_size_than_the_manifest_says_is_refused(store: BuildStore, delivered: Path) -> None:
    store.put(delivered)

    with pytest.raises(Integrity, match="build-damaged"):
        store.open_verified(DIGEST, len(CONTENT) + 1)


def test_a_build_that_is_not_there_is_missing(store: BuildStore) -> None:
    with pytest.raises(Integrity, match="build-missing"):
        store.open_verified(DIGEST, 1)


def test_a_link_in_the_store_is_not_followed(store: BuildStore, delivered: Path) -> None:
    path = store.path(store.put(delivered))
    path.unlink()
    path.symlink_to(delivered)

    with pytest.raises(Integrity, match="build-damaged"):
        store.open_verified(DIGEST, len(CONTENT))


def test_only_a_plain_file_is_put(store: BuildStore, delivered: Path, tmp_path: Path) -> None:
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(delivered)
    os.mkfifo(pipe)

    for source in (link, pipe, tmp_path, tmp_path / "absent"):
        with pytest.raises(Refused, match="drop-unreadable"):
            store.put(source)


def test_a_full_disk_leaves_the_store_as_it_was(
    store: BuildStore, delivered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)

    with pytest.raises(PreflightFailed, match="No space left"):
        store.put(delivered)

    assert list((tmp_path / "builds").iterdir()) == []


@pytest.mark.parametrize("damaged", ["lis_4.2.1_amd64.deb", "setup.exe", "fix.sql", "files.zip"])
def test_every_build_of_a_plan_is_hashed_again_whatever_its_kind(tmp_path: Path, damaged: str) -> None:
    store, builds = BuildStore(tmp_path / "builds"), []
    for name in ("lis_4.2.1_amd64.deb", "setup.exe", "fix.sql", "files.zip"):
        (tmp_path / name).write_bytes(name.encode() * 100)
        builds.append(Build(FileName(name), store.put(tmp_path / name), len(name) * 100))
    plan = builders.plan_of(release=builders.make_release(builds=tuple(builds)))
    site = cast("Site", SimpleNamespace(builds=store))
    assert set(verified_builds(site, plan)) == {build.sha256 for build in builds}

    (victim,) = (store.path(build.sha256) for build in builds if build.file == damaged)
    victim.chmod(0o644)
    victim.write_bytes(b"!" + victim.read_bytes()[1:])

    with pytest.raises(Integrity, match="build-damaged") as caught:
        verified_builds(site, plan)
    assert caught.value.fields["file"] == str(victim)
