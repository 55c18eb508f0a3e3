"""The way of a build over a real connection: broken, slowed down, and with a byte flipped on the host."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.sh_host import Build, make_build
from contracts.ssh_fleet import SshFleet, server_files
from contracts.test_ansible_seam import order, outcomes, run

pytestmark = pytest.mark.lab
SCRIPTS = 150_000  # the script itself, a few times


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
    inventory.write_text(inventory.read_text() + f"        upgrader_bandwidth: {kilobytes}\n")


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
