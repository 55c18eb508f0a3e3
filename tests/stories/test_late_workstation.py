"""A third of the workstations is really off: the change goes on without it, and it comes in when it is switched on."""

import pytest

from stories.hosts import version_on
from upgrader.lab.hospital import ENGINEER, Hospital

pytestmark = pytest.mark.lab

BASE, GOOD = "3.1.9", "3.5.10"


def test_a_workstation_that_is_off_is_pending_and_comes_in_when_it_is_switched_on(hospital: Hospital) -> None:
    kind = hospital.clone(ENGINEER) / "inventory" / "group_vars" / "all" / "kind.yml"
    kind.parent.mkdir(parents=True, exist_ok=True)
    kind.write_text("upgrader_kind: workstation\n")
    hospital.git(ENGINEER, "add", str(kind))
    hospital.git(ENGINEER, "commit", "-m", "these are workstations")
    hospital.git(ENGINEER, "push")
    change = hospital.change_ready(GOOD)
    off = hospital.lab.hosts[-1]
    hospital.lab.power_off(off)

    applied = hospital.upgrader(ENGINEER, "--json", "apply", change, check=False)
    assert applied.code == 32
    assert applied.json()["counts"] == {"upgraded": 2, "offline": 1}
    (pending,) = hospital.upgrader(ENGINEER, "--json", "pending").json()["pending"]
    assert (pending["host"], pending["outcome"]) == (off.name, "offline")
    assert hospital.upgrader(ENGINEER, "--json", "retry", change, check=False).code == 32

    hospital.lab.power_on(off)
    retried = hospital.upgrader(ENGINEER, "--json", "retry", change, check=False)
    assert (retried.code, retried.json()["tried"]) == (0, {off.name: "upgraded"})
    assert {version_on(hospital.lab, host) for host in hospital.lab.hosts} == {GOOD}
    assert hospital.upgrader(ENGINEER, "--json", "pending").json()["pending"] == []
