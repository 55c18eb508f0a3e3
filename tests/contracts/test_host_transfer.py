"""How a build reaches a host: what arrived stays, the rest is sent, a patch where the host has what it starts from."""

import gzip
import hashlib
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.sh_host import Build, ShHost, make_build

ZSTD = shutil.which("zstd")


def put(fact: dict[str, Any], content: bytes, offset: int = 0) -> None:
    Path(f"{fact['upload']}.{offset}.part").write_bytes(content)


def test_what_arrived_before_a_link_broke_stays_and_only_the_rest_is_wanted(host: ShHost, old: Build) -> None:
    new = make_build(host.folder, "2.0", big=os.urandom(100_000))
    content = new.path.read_bytes()

    put(host.run("apply", new, base="1.0"), content[:30_000])
    asked = host.run("apply", new, base="1.0")
    put(asked, content[30_000:50_000], 30_000)
    put(asked, content[50_000:], 50_000)
    done = host.run("apply", new, base="1.0", sent=1)

    assert (asked["need"], asked["have"]) == ("build", 30_000)
    assert asked["prefix"] == hashlib.sha256(content[:30_000]).hexdigest()
    assert done["outcome"] == "upgraded"
    assert not list((host.state / "incoming").iterdir())


def test_a_byte_flipped_in_what_stayed_is_found(host: ShHost, old: Build) -> None:
    new = make_build(host.folder, "2.0", big=os.urandom(100_000))
    content = new.path.read_bytes()
    put(host.run("apply", new, base="1.0"), b"?" + content[1:30_000])

    asked = host.run("apply", new, base="1.0")
    put(asked, content[30_000:], 30_000)  # whoever did not compare
    again = host.run("apply", new, base="1.0")

    assert asked["prefix"] != hashlib.sha256(content[:30_000]).hexdigest()
    assert (again["need"], again["have"]) == ("build", 0)
    assert not list(host.state.glob("*.build"))
    put(again, content)
    assert host.run("apply", new, base="1.0", sent=1)["outcome"] == "upgraded"


@pytest.mark.parametrize("answer", ["exit 1", "echo unknown digest sha256", "exit 0"])
def test_a_host_whose_openssl_cannot_do_it_uses_sha256sum(host: ShHost, old: Build, answer: str) -> None:
    openssl = host.folder / "odd" / "openssl"
    openssl.parent.mkdir()
    openssl.write_text(f"#!/bin/sh\n{answer}\n")
    openssl.chmod(0o755)
    odd = replace(host, path=f"{openssl.parent}:{host.path}")

    fact = odd.apply(make_build(host.folder, "2.0"), base="1.0")

    assert fact["outcome"] == "upgraded"


def test_a_transfer_that_failed_while_the_link_stands_leaves_nothing(host: ShHost, old: Build) -> None:
    new = make_build(host.folder, "2.0", big=os.urandom(100_000))
    put(host.run("apply", new, base="1.0"), new.path.read_bytes()[:70_000])

    fact = host.run("stage", new, sent=1)

    assert (fact["outcome"], fact["step"], fact["changed"]) == ("failed", "receive", False)
    assert not list(host.state.glob("*.build"))
    assert not list((host.state / "incoming").iterdir())


def tar_of(build: Build) -> bytes:
    return gzip.decompress(build.path.read_bytes())


def patch(old: Build, new: Build, folder: Path) -> bytes:
    (folder / "old.tar").write_bytes(tar_of(old))
    (folder / "new.tar").write_bytes(tar_of(new))
    command = ["zstd", "-q", "-f", "--patch-from=old.tar", "new.tar", "-o", "patch"]
    subprocess.run(command, cwd=folder, check=True)
    return (folder / "patch").read_bytes()


@pytest.fixture
def with_zstd(host: ShHost) -> ShHost:
    """The host has zstd beside its shell's own programs."""
    if ZSTD is None:
        pytest.skip("zstd is not installed")
    tools = host.folder / "tools"
    tools.mkdir()
    (tools / "zstd").symlink_to(ZSTD)
    host.path = f"{host.path}:{tools}"
    return host


def test_a_patch_from_the_installed_build_is_enough(with_zstd: ShHost, tmp_path: Path) -> None:
    host = with_zstd
    data = os.urandom(1_000_000)
    old, new = make_build(tmp_path, "1.0", data=data), make_build(tmp_path, "2.0", data=data + b"more")
    tar = hashlib.sha256(tar_of(new)).hexdigest()
    host.apply(old, tar=hashlib.sha256(tar_of(old)).hexdigest(), key="CHG-2026-0000.0")
    host.run("confirm", old, tar=hashlib.sha256(tar_of(old)).hexdigest(), key="CHG-2026-0000.0")

    asked = host.run("apply", new, base="1.0", tar=tar)
    difference = patch(old, new, tmp_path)
    (Path(f"{asked['upload']}.{old.sha256}.0.part")).write_bytes(difference)
    done = host.run("apply", new, base="1.0", tar=tar)
    host.run("confirm", new, tar=tar)

    assert asked["bases"].split() == [old.sha256]
    assert len(difference) < 10_000
    assert (done["outcome"], done["digest"]) == ("upgraded", new.sha256)
    assert (host.root / "versions/2.0/data").read_bytes() == data + b"more"
    assert host.run("apply", make_build(tmp_path, "3.0"), base="2.0", key="CHG-2026-0003.x")["bases"].split() == [
        *sorted([old.sha256, new.sha256])
    ]


@pytest.mark.parametrize("wrong", [b"", b"no patch", None], ids=["empty", "no-patch", "from-another-build"])
def test_a_patch_that_gives_something_else_is_not_taken(with_zstd: ShHost, tmp_path: Path, wrong: bytes | None) -> None:
    host = with_zstd
    old, new, other = (make_build(tmp_path, version, data=os.urandom(50_000)) for version in ("1.0", "2.0", "3.0"))
    tar = hashlib.sha256(tar_of(new)).hexdigest()
    host.apply(old, tar=tar, key="CHG-2026-0000.0")
    host.run("confirm", old, tar=tar, key="CHG-2026-0000.0")

    asked = host.run("apply", new, base="1.0", tar=tar)
    difference = patch(old, other, tmp_path) if wrong is None else wrong
    (Path(f"{asked['upload']}.{old.sha256}.0.part")).write_bytes(difference)
    again = host.run("apply", new, base="1.0", tar=tar)

    assert (again["need"], again["have"], again["current"]) == ("build", 0, "1.0")
    assert not list(host.state.glob("*.tar"))


def test_a_host_without_zstd_keeps_no_build_and_asks_for_no_patch(host: ShHost, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in host.path.split(":"):
        for program in Path(folder).iterdir():
            if program.name != "zstd" and not (tools / program.name).exists():
                (tools / program.name).symlink_to(program)
    host.path = str(tools)
    old = make_build(tmp_path, "1.0")
    host.apply(old, tar="0" * 64)
    host.run("confirm", old, tar="0" * 64)

    assert host.run("apply", make_build(tmp_path, "2.0"), base="1.0", key="CHG-2026-0002.x")["bases"] == ""
    assert not list(host.state.glob("*.base.*"))
