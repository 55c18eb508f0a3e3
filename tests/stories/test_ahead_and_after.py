"""Ahead of a change its builds, after it a look at what the hosts run: both through the real command line."""

import pytest

from stories.hosts import answers, version_on
from upgrader.lab.hospital import ENGINEER, Hospital
from upgrader.lab.releases import SYSTEM

pytestmark = pytest.mark.lab

BASE, GOOD = "3.1.9", "3.5.10"


def test_builds_go_ahead_and_hosts_are_compared_afterwards(hospital: Hospital) -> None:
    change = hospital.change_ready(GOOD, "--wave-size", "3")

    ahead = hospital.upgrader(ENGINEER, "--json", "prestage", change).json()
    assert [host["outcome"] for host in ahead["hosts"]] == ["unchanged"] * 3
    assert {version_on(hospital.lab, host) for host in hospital.lab.hosts} == {BASE}
    assert all(answers(host) for host in hospital.lab.hosts)

    again = hospital.upgrader(ENGINEER, "--json", "prestage", change).json()
    assert all(host["bytes_sent"] < 200_000 < ahead["hosts"][0]["bytes_sent"] for host in again["hosts"])

    hospital.upgrader(ENGINEER, "apply", change)
    state = hospital.upgrader(ENGINEER, "--json", "host-state", SYSTEM).json()
    assert {(host["installed"], host["match"], host["change"]) for host in state["hosts"]} == {
        (GOOD, "as-known", change)
    }
    assert hospital.upgrader(ENGINEER, "--json", "prestage", change, check=False).json()["code"] == "prestage-too-late"
    hospital.upgrader(ENGINEER, "rollback", change, "--reason", "end of the test")
