"""The way of a build over a real connection: broken, slowed down, and with a byte flipped on the host."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.sh_host import Build, make_build
from contracts.ssh_fleet import SshFleet, server_files
from contracts.test_ansible_seam import order, outcomes, run
from upgrader.adapters.builds.build_store import BuildStore
from upgrader.adapters.builds.patches import PatchStore
from upgrader.domain.names import FileName
from upgrader.domain.releases.release import Build as StoredBuild

pytestmark = pytest.mark.lab
SCRIPTS = 250_000  # the script itself, a few times


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[SshFleet]:
    made = SshFleet(tmp_path / "fleet", 1)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def big(tmp_path: Path) -> Build:
    return make_build(tmp_path, "1.0", data=os.urandom(2_000_000), **server_files("1.0"))


def slowly(fleet: SshFleet, kilobytes: int) -> None:
    inventory = fleet.tree / "inventory/hosts.yml"
    others = "".join(line for line in inventory.open() if "bandwidth" not in line)
    inventory.write_text(f"{others}        upgrader_bandwidth: {kilobytes}\n")


def arrived(fleet: SshFleet) -> int:
    state = fleet.host("host-01").state
    return sum(
        path.stat().st_size for path in state.rglob("*") if path.is_file() and path.suffix in (".part", ".build")
    )


def test_a_transfer_that_broke_goes_on_where_it_was(fleet: SshFleet, big: Build) -> None:
    slowly(fleet, 500)
    host = fleet.host("host-01")

    def cut() -> None:
        while arrived(fleet) < 1_000_000:
            time.sleep(0.02)
        fleet.stop_host("host-01")

    cutter = threading.Thread(target=cut)
    cutter.start()
    broken = run(fleet, order(fleet, big))
    cutter.join()
    there = arrived(fleet)
    fleet.start_host("host-01")
    done = run(fleet, order(fleet, big))

    assert outcomes(broken) == ["unreachable"]
    assert host.facts[-1] == "confirmed"
    assert outcomes(done) == ["upgraded"]
    assert big.size - there < done.reports[0].bytes_sent < big.size - there + SCRIPTS


def test_a_cap_holds_back_a_build_and_nothing_else(fleet: SshFleet, big: Build) -> None:
    slowly(fleet, 700)

    begun = time.monotonic()
    first = run(fleet, order(fleet, big))
    taken = time.monotonic() - begun
    again = run(fleet, order(fleet, big))

    assert outcomes(first) == ["upgraded"]
    assert taken > (big.size / 1024 - 700) / 700  # all but the first second's worth has to wait
    assert outcomes(again) == ["unchanged"]
    assert time.monotonic() - begun - taken < taken


def test_a_small_change_of_a_build_goes_over_the_line_as_a_patch(fleet: SshFleet, tmp_path: Path) -> None:
    data = os.urandom(2_000_000)
    old = make_build(tmp_path, "1.0", data=data, **server_files("1.0"))
    changed = data[:1_000_000] + os.urandom(20_000) + data[1_020_000:]
    new = make_build(tmp_path, "2.0", data=changed, **server_files("2.0"))
    store = BuildStore(tmp_path / "builds")
    before, after = (StoredBuild(FileName(build.path.name), store.put(build.path), build.size) for build in (old, new))
    patch = PatchStore(tmp_path / "patches", store).patch(before, after)
    assert patch is not None

    run(fleet, order(fleet, old))
    upgrade = fleet.upgrade(new, base="1.0", change="CHG-2026-0002")
    upgrade["builds"][0] |= {"tar": patch.archive.hex, "patches": [{"base": old.sha256, "path": str(patch.path)}]}
    result = run(fleet, replace(order(fleet, new), upgrade=upgrade))

    assert outcomes(result) == ["upgraded"]
    assert result.reports[0].facts["digest"] == new.sha256
    assert result.reports[0].bytes_sent < 0.07 * new.size + SCRIPTS


def test_a_build_that_was_prestaged_is_not_sent_again_and_one_that_was_damaged_since_is(
    fleet: SshFleet, big: Build
) -> None:
    host = fleet.host("host-01")

    prestaged = run(fleet, order(fleet, big, "prestage"))
    again = run(fleet, order(fleet, big, "prestage"))
    (kept,) = host.state.glob("*.build")
    untouched = (host.current, (host.state / "journal").exists())
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    applied = run(fleet, order(fleet, big))

    assert outcomes(prestaged) == outcomes(again) == ["unchanged"]
    assert prestaged.reports[0].bytes_sent > big.size
    assert again.reports[0].bytes_sent < SCRIPTS
    assert untouched == ("", False)
    assert outcomes(applied) == ["upgraded"]
    assert applied.reports[0].bytes_sent > big.size


def test_apply_sends_nothing_after_prestaging(fleet: SshFleet, big: Build) -> None:
    run(fleet, order(fleet, big, "prestage"))

    applied = run(fleet, order(fleet, big))

    assert outcomes(applied) == ["upgraded"]
    assert applied.reports[0].bytes_sent < 2 * SCRIPTS


@pytest.mark.skipif(os.geteuid() != 0, reason="NO DISKS TRIED: not root")
def test_a_disk_that_fills_in_the_midst_of_a_transfer_is_told_and_nothing_of_the_build_stays(
    fleet: SshFleet, big: Build, tmp_path: Path
) -> None:
    """Somebody else fills it, who was not there when the host looked whether the build would fit."""
    host = fleet.host("host-01")
    host.state.parent.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", str(host.state.parent)], check=True)
    old = make_build(tmp_path, "0.9", **server_files("0.9"))
    other = host.state.parent / "of-somebody-else"

    def fill() -> None:
        while not over.is_set() and not 0 < arrived(fleet) < big.size:
            time.sleep(0.02)
        with other.open("wb") as file, suppress(OSError):
            while True:
                file.write(bytes(1_000_000))
                file.flush()

    over, filler = threading.Event(), threading.Thread(target=fill)
    try:
        assert outcomes(run(fleet, order(fleet, old))) == ["upgraded"]
        slowly(fleet, 100)
        filler.start()
        try:
            told = run(fleet, order(fleet, big, base="0.9"))
        finally:
            over.set()
            filler.join()
        left = arrived(fleet)
        seen = run(fleet, order(fleet, old, "verify"))
        other.unlink()
        slowly(fleet, 100_000)
        again = run(fleet, order(fleet, big, base="0.9"))
    finally:
        host.end()
        subprocess.run(["umount", "-l", str(host.state.parent)], check=True)

    (report,) = told.reports
    assert (report.outcome.value, report.step, report.current) == ("failed", "receive", "0.9"), report.detail
    assert "KB are free below" in report.detail
    assert left == 0
    assert outcomes(seen) == ["unchanged"]
    assert outcomes(again) == ["upgraded"]
