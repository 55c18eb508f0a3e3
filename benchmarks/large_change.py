"""What `upgrader status` costs for a change of 3,000 hosts in the middle of its night, as a person types it."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.cost import Meter, median
from benchmarks.gate import BASE, GOOD, opened
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import Plan, Wave, read_plan
from upgrader.domain.changes.playbook import HostOutcome
from upgrader.domain.names import ChangeId, HostName
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import ENGINEER, INFORMATION, Hospital
from upgrader.lab.janitor import temporary_lab

HOSTS, IN_A_WAVE, WAVES_DONE = 3000, 50, 40
RUNS = 5


def lines(meter: Meter) -> Iterator[str]:
    """The median of some runs, for one change in text and as JSON."""
    with tempfile.TemporaryDirectory() as folder, temporary_lab(Path(folder) / "lab", hosts=1) as lab:
        hospital = Hospital.build(Path(folder) / "hospital", lab, default_cache() / "lab-drop")
        hospital.install_by_hand(BASE)
        change = large_change(hospital, hospital.change_ready(GOOD))
        for name, words in (("status", ("status", change)), ("status --json", ("--json", "status", change))):
            cost = median([meter.measure(typed(hospital, *words)) for _ in range(RUNS)])
            what = f"{name}, {HOSTS:,} hosts, {WAVES_DONE} waves done"
            yield f"{what:48} {cost.wall:7.2f} wall s {cost.cpu:7.2f} CPU s  goal 1.00 wall"


def typed(hospital: Hospital, *words: str) -> Callable[[], object]:
    def act() -> None:
        ended = hospital.upgrader(ENGINEER, *words)
        assert str(HOSTS - WAVES_DONE * IN_A_WAVE) in ended.out

    return act


def large_change(hospital: Hospital, like: str) -> str:
    """A change like a real one but for its many hosts, most of whose waves have been: its plan and its journal."""
    clone = hospital.clone(INFORMATION)
    hospital.git(INFORMATION, "pull", "--quiet")
    plan = enlarged(read_plan((clone / "approvals" / like / "plan.json").read_bytes()))
    folder = clone / "approvals" / plan.change
    folder.mkdir(parents=True)
    (folder / "plan.json").write_bytes(plan.to_bytes())
    for words in (("add", "--all"), ("commit", "--quiet", "--message", "a large change"), ("push", "--quiet")):
        hospital.git(INFORMATION, *words)
    site = opened(hospital)
    commit = site.mirror.refresh().commit
    with site.journal(plan.change) as journal:
        for event, data in facts(plan, commit):
            journal.write(event, data, at=site.clock(), actor=ENGINEER)
    return plan.change


def enlarged(plan: Plan) -> Plan:
    names = [HostName(f"station-{n:04d}") for n in range(HOSTS)]
    return replace(
        plan,
        change=ChangeId(f"CHG-{datetime.now(UTC).year}-6000"),
        hosts=tuple(replace(plan.hosts[0], name=name) for name in names),
        waves=tuple(
            Wave(number, "wave", tuple(names[start : start + IN_A_WAVE]))
            for number, start in enumerate(range(0, HOSTS, IN_A_WAVE))
        ),
    )


def facts(plan: Plan, commit: str) -> Iterator[tuple[Event, dict[str, Any]]]:
    """What the journal of such a night holds."""
    digest = plan.digest.hex
    yield Event.CHANGE_REQUESTED, {"system": plan.release.system, "version": plan.release.version}
    yield Event.PLAN_MADE, {"plan": digest, "revision": plan.revision}
    authorized: dict[str, Any] = {"plan": digest, "commit": commit, "trust_version": 1, "people": [], "approvals": []}
    yield Event.PLAN_AUTHORIZED, authorized
    yield Event.APPLY_STARTED, {"plan": digest}
    for wave in plan.waves[:WAVES_DONE]:
        yield Event.WAVE_STARTED, {"wave": wave.number, "name": wave.name, "hosts": list(wave.hosts)}
        yield from reports(wave.hosts)
        yield Event.WAVE_FINISHED, {"wave": wave.number}
        yield Event.WAVE_JUDGED, {"wave": wave.number, "verdict": "stable", "measurements": 200, "reasons": []}


def reports(hosts: Sequence[str]) -> Iterator[tuple[Event, dict[str, Any]]]:
    for host in hosts:
        said = {"outcome": HostOutcome.UPGRADED, "from": BASE, "current": GOOD, "detail": "", "downtime_ms": 700}
        yield Event.HOST_REPORTED, {"host": host, **said}
