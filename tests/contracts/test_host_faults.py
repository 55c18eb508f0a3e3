"""Faults of the machine below a transaction: disks that take nothing more, clocks that jump, any encoding."""

import importlib.util
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.sh_host import REPOSITORY, Build, ShHost, make_build
from contracts.test_host_transaction import LATER, wait_for

PATIENCE = 600
NOT_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="NO DISKS TRIED: not root")


PLUGIN = REPOSITORY / "collections/ansible_collections/upgrader/host/plugins/plugin_utils/readable.py"


def readable(told: dict[str, Any]) -> dict[str, Any]:
    """As the action plugin does it, which is no package of ours."""
    spec = importlib.util.spec_from_file_location("readable", PLUGIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, Any] = module.readable(told)
    return found


@pytest.fixture
def small_disk(host: ShHost) -> Iterator[Path]:
    """The host's state and programs on a disk of their own."""
    disk = host.folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m,nr_inodes=400", "none", str(disk)], check=True)
    for name in ("state", "a root"):
        (disk / name).mkdir()
        (host.folder / name).symlink_to(disk / name)
    yield disk
    host.end()
    subprocess.run(["umount", "-l", str(disk)], check=True)


def use_up_inodes(disk: Path) -> list[Path]:
    used: list[Path] = []
    try:
        while True:
            used.append(disk / f"file-{len(used)}")
            used[-1].touch()
    except OSError:
        return used[:-1]


def end_word(fact: dict[str, Any]) -> tuple[str, str, str]:
    return fact["outcome"], fact["step"], fact["current"]


@NOT_ROOT
def test_a_disk_without_room_for_one_more_file_is_told_and_nothing_is_touched(
    host: ShHost, small_disk: Path, tmp_path: Path
) -> None:
    old, new = make_build(tmp_path, "1.0"), make_build(tmp_path, "2.0")
    host.install(old)
    used = use_up_inodes(small_disk)

    told = {verb: host.run(verb, new, base="1.0") for verb in ("apply", "revert", "confirm", "stage")}
    seen = host.run("status", old)

    for fact in told.values():
        assert end_word(fact) == ("failed", "rights", "1.0")
        assert "No space left on device" in fact["detail"]
    assert (seen["running"], seen["healthy"]) == (True, True)
    for path in used:
        path.unlink()
    assert host.apply(new, base="1.0")["outcome"] == "upgraded"


@NOT_ROOT
def test_a_disk_that_became_read_only_is_told_and_nothing_is_touched(
    host: ShHost, small_disk: Path, tmp_path: Path
) -> None:
    old, new = make_build(tmp_path, "1.0"), make_build(tmp_path, "2.0")
    host.install(old)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    told = host.run("apply", new, base="1.0")

    assert end_word(told) == ("failed", "rights", "1.0")
    assert host.service_runs()
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert host.apply(new, base="1.0")["outcome"] == "upgraded"


@NOT_ROOT
def test_a_new_version_that_fills_the_disk_is_taken_back(host: ShHost, small_disk: Path, tmp_path: Path) -> None:
    old = make_build(tmp_path, "1.0")
    fills = "cat /dev/zero >../../shared/log 2>/dev/null; exit 1"
    new = make_build(tmp_path, "2.0", health=fills)
    host.install(old)

    told = host.apply(new, base="1.0")

    assert end_word(told) == ("rolled-back", "health", "1.0")
    assert host.service_runs()
    (host.root / "shared/log").unlink()
    again = host.apply(make_build(tmp_path, "3.0"), base="1.0", key=LATER)
    assert (again["outcome"], again["from"]) == ("upgraded", "1.0")


@NOT_ROOT
def test_the_dead_man_waits_for_a_disk_that_takes_nothing(host: ShHost, small_disk: Path, tmp_path: Path) -> None:
    old, new = make_build(tmp_path, "1.0"), make_build(tmp_path, "2.0")
    host.install(old)
    assert host.apply(new, base="1.0", confirm_seconds=1)["outcome"] == "upgraded"
    used = use_up_inodes(small_disk)

    time.sleep(2)  # it is due, and finds no room for its lock
    assert host.current == "2.0"
    for path in used:
        path.unlink()

    assert wait_for(lambda: host.facts[-1] == "taken-back")
    assert (host.current, host.service_runs()) == ("1.0", True)


@pytest.mark.parametrize("host", ["dash"], indirect=True)  # busybox has a `date` of its own, which nothing replaces
@pytest.mark.parametrize("year", [1970, 2099])
def test_a_wall_clock_that_jumps_between_steps_changes_nothing(
    host: ShHost, old: Build, tmp_path: Path, year: int
) -> None:
    """We count by the time since boot, which nobody sets; the wall clock only stands in the journal."""
    jumped = tmp_path / "jumped"
    jumped.mkdir()
    (jumped / "date").write_text(f"#!/bin/sh\necho {year}-01-01T00:00:00Z\n")
    (jumped / "date").chmod(0o755)
    new = make_build(tmp_path, "2.0")

    applied = host.apply(new, base="1.0", confirm_seconds=PATIENCE)
    host.path = f"{jumped}:{host.path}"
    kept = host.run("confirm", new)
    back = host.run("revert", new)

    assert [fact["outcome"] for fact in (applied, kept, back)] == ["upgraded", "upgraded", "rolled-back"]
    assert (host.state / "journal").read_text().splitlines()[-1].startswith(f"{year}-")
    assert host.apply(new, base="1.0", key=LATER, confirm_seconds=1)["outcome"] == "upgraded"
    assert wait_for(lambda: host.facts[-1] == "taken-back")


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("连接被拒绝".encode("gbk"), "连接被拒绝"),
        ("连接被拒绝".encode(), "连接被拒绝"),
        (("患者" * 90 + "x").encode(), "患者" * 66 + "患" + chr(0xFFFD)),
        (b"\xff\xfe\x80\x81\x00\xff end", None),
    ],
    ids=["GBK", "UTF-8", "UTF-8 that is cut", "neither"],
)
def test_what_a_program_says_in_any_encoding_is_text_for_every_file(
    host: ShHost, old: Build, tmp_path: Path, said: bytes, read: str | None
) -> None:
    printed = "".join(f"\\{byte:03o}" for byte in said)
    ill = make_build(tmp_path, "2.0", health=f"printf '{printed}'; exit 1")
    script = host.command("apply")
    host.send(ill)

    ended = subprocess.run(
        script, input=host.lines(ill, base="1.0").encode(), capture_output=True, env=host.environment, check=True
    )
    told = readable(json.loads(ended.stdout.decode("utf-8", "surrogateescape")))

    assert (told["outcome"], told["step"]) == ("rolled-back", "health")
    assert str(told["detail"]).encode()
    assert read is None or told["detail"].startswith(read[:100])


FLOOD = (
    "while head -c 3000000 /dev/zero | tr '\\0' x; do sleep 0.05; done"  # not as fast as it can: the disk is ours too
)


@pytest.mark.parametrize(("part", "step"), [("health", "health"), ("start", "restart")])
def test_a_program_that_never_stops_talking_is_stopped_before_it_fills_the_disk(
    host: ShHost, old: Build, tmp_path: Path, part: str, step: str
) -> None:
    """Long before its limit, which is ten minutes here."""
    ill = make_build(tmp_path, "2.0", **{part: FLOOD})

    told = host.apply(ill, base="1.0", health_seconds=PATIENCE, start_seconds=PATIENCE)

    assert end_word(told) == ("rolled-back", step, "1.0")
    assert told["detail"].startswith("said more than 16 MB and was stopped: ")
    assert host.service_runs()
    assert max(path.stat().st_size for path in host.state.rglob("*") if path.is_file()) < 1_000_000


def test_a_program_that_says_much_and_ends_is_as_good_as_any(host: ShHost, old: Build, tmp_path: Path) -> None:
    talks = make_build(tmp_path, "2.0", health="head -c 3000000 /dev/zero; exit 0")

    assert host.apply(talks, base="1.0")["outcome"] == "upgraded"
