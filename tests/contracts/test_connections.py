"""Ansible's other connection plugins: the transaction goes call by call, or is refused before the host is contacted."""

import getpass
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.sh_host import make_build
from contracts.ssh_fleet import SshFleet, server_files
from contracts.test_ansible_seam import order, outcomes, run

pytestmark = pytest.mark.lab


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[SshFleet]:
    made = SshFleet(tmp_path / "fleet", 1)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def by(connection: str, fleet: SshFleet) -> None:
    inventory = fleet.tree / "inventory/hosts.yml"
    inventory.write_text(
        f"{inventory.read_text()}        ansible_connection: {connection}\n        ansible_user: {getpass.getuser()}\n"
    )


def test_a_build_goes_to_this_very_computer_and_back_again(fleet: SshFleet, tmp_path: Path) -> None:
    old = make_build(tmp_path, "1.0", **server_files("1.0"))
    new = make_build(tmp_path, "2.0", data=os.urandom(300_000), **server_files("2.0"))
    by("local", fleet)

    installed = run(fleet, order(fleet, old))
    asked = run(fleet, order(fleet, new, "preflight", base="1.0"))
    upgraded = run(fleet, order(fleet, new, base="1.0", change="CHG-2026-0002"))
    again = run(fleet, order(fleet, new, base="1.0", change="CHG-2026-0002"))
    back = run(fleet, order(fleet, new, "rollback", base="1.0", change="CHG-2026-0002"))

    assert outcomes(installed) == ["upgraded"], installed.reports[0].detail
    assert asked.reports[0].facts["would"] == "upgraded"
    assert outcomes(upgraded) == ["upgraded"], upgraded.reports[0].detail
    assert upgraded.reports[0].bytes_sent > new.size
    assert (outcomes(again), again.reports[0].bytes_sent < new.size) == (["unchanged"], True)
    assert outcomes(back) == ["rolled-back"]
    assert fleet.host("host-01").current == "1.0"


def test_a_connection_that_cannot_carry_the_script_is_refused_before_the_host_is_contacted(
    fleet: SshFleet, tmp_path: Path
) -> None:
    fleet.stop_host("host-01")  # so it would be unreachable
    by("paramiko_ssh", fleet)

    (report,) = run(fleet, order(fleet, make_build(tmp_path, "1.0"))).reports

    assert (report.outcome.value, report.step) == ("failed", "input")
    assert report.detail == "the connection plugin paramiko can not be used; ssh and local can"
