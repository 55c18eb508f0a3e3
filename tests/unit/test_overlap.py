"""Two changes that overlap exclude each other: on hosts, databases and the interfaces that systems declare."""

import pytest

import builders
from fakes import Hospital
from upgrader.domain.errors import Locked
from upgrader.domain.hospital.dependency import Graph
from upgrader.domain.hospital.system import Criticality, Hours, System, Tier
from upgrader.domain.names import SystemId
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.applying.roll_back import roll_back_change
from upgrader.flow.planning import overlap

OURS = System(
    id=SystemId("exam-scheduling"),
    number=1,
    name={"zh": "检查预约", "en": "Exam scheduling"},
    tiers=(Tier.WEB,),
    clients=(),
    hours=Hours.DAY,
    criticality=Criticality.SLOWED,
    databases=("his-main",),
    interfaces=("hl7-bus", "insurance-gateway"),
)


@pytest.mark.parametrize("name", ["database-his-main", "interface-hl7-bus", "interface-insurance-gateway"])
def test_what_the_system_works_on_beside_its_hosts_is_locked_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hospital = Hospital()
    site = hospital.site()
    monkeypatch.setattr(overlap, "graph_on", lambda _site, _snapshot: Graph.of([OURS]))

    with (
        hospital.locks.hold([name], purpose="apply CHG-2026-0007", holder="wang.fang", now=builders.NOW),
        pytest.raises(Locked) as refusal,
    ):
        apply_change(site, builders.CHANGE, hospital.progress)

    assert refusal.value.fields["holder"] == "wang.fang"
    assert hospital.fleet.runs == []

    apply_change(site, builders.CHANGE, hospital.progress)
    with (
        hospital.locks.hold([name], purpose="apply CHG-2026-0007", holder="wang.fang", now=builders.NOW),
        pytest.raises(Locked),
    ):
        roll_back_change(site, builders.CHANGE, "asked", hospital.progress)
    assert hospital.fleet.asked_for("rollback") == []


def test_a_system_that_nobody_described_locks_its_hosts_alone() -> None:
    hospital = Hospital()

    with hospital.locks.hold(["database-his-main"], purpose="-", holder="wang.fang", now=builders.NOW):
        apply_change(hospital.site(), builders.CHANGE, hospital.progress)
