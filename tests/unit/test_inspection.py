"""What an inspection says of risks: silence, sickness, numbers beyond their limits, and what is not as usual."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from upgrader.domain.changes.verdict import Reading
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity
from upgrader.domain.hospital.inspection import (
    Concern,
    InspectionLog,
    Item,
    Limits,
    Round,
    Sighting,
    Target,
    find_risks,
    read_log,
    targets_digest,
)
from upgrader.domain.names import HostName, PersonId, SiteId, SystemId
from upgrader.domain.releases.probe import Probe, ProbeKind

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
LIS, HOST = SystemId("lis"), HostName("lis-01")


def item(limits: Limits) -> Item:
    probe = Probe(
        name="disk", kind=ProbeKind.COMMAND, interval_seconds=1, count=1, failures_allowed=0, timeout_seconds=5, run="x"
    )
    return Item(round=Round.DAILY, system=LIS, hosts="lis", probe=probe, limits=limits)


def seen(detail: str, reading: Reading = Reading.HEALTHY) -> Sighting:
    return Sighting.of(LIS, HOST, "disk", AT, reading, detail)


def log(*sightings: Sighting) -> InspectionLog:
    return InspectionLog(
        format=InspectionLog.FORMAT,
        site=SiteId("renmin-hospital"),
        round=Round.DAILY,
        began=AT,
        ended=AT,
        actor=PersonId("li.na"),
        file=Digest.of(b"file"),
        targets=Digest.of(b"targets"),
        authorized=(PersonId("zhang.wei"),),
        sightings=sightings,
        risks=(),
        baseline=True,
    )


@pytest.mark.parametrize(
    ("detail", "number"),
    [
        ("87", "87"),
        ("used 87.5% of 40", "40"),
        ("200 in 12 ms", "12"),
        ("-3", "-3"),
        ("lis-01 v3.5.10", None),
        ("", None),
    ],
)
def test_the_last_number_of_an_answer_counts(detail: str, number: str | None) -> None:
    assert seen(detail).number == number


@pytest.mark.parametrize(
    ("limits", "found", "before", "concerns"),
    [
        (Limits(), seen("87"), None, []),
        (Limits(at_most=87), seen("87"), None, []),
        (Limits(at_most=86), seen("87"), None, [Concern.ABOVE]),
        (Limits(at_least=88), seen("87"), None, [Concern.BELOW]),
        (Limits(at_least=87), seen("87"), None, []),
        (Limits(at_most=86), seen("all is well"), None, [Concern.NO_NUMBER]),
        (Limits(drift_percent=10), seen("110"), seen("100"), []),
        (Limits(drift_percent=10), seen("110.1"), seen("100"), [Concern.DRIFTED]),
        (Limits(drift_percent=10), seen("89"), seen("100"), [Concern.DRIFTED]),
        (Limits(drift_percent=10), seen("89"), None, []),
        (Limits(at_most=100, drift_percent=10), seen("150"), seen("100"), [Concern.ABOVE, Concern.DRIFTED]),
        (Limits(at_most=1), seen("exit status 1", Reading.UNHEALTHY), None, [Concern.UNHEALTHY]),
        (Limits(), seen("no ssh", Reading.NO_ANSWER), seen("3"), [Concern.SILENT]),
    ],
)
def test_risks(limits: Limits, found: Sighting, before: Sighting | None, concerns: list[Concern]) -> None:
    baseline = log(before) if before else None

    assert [risk.concern for risk in find_risks([item(limits)], [found], baseline)] == concerns


def test_a_host_that_the_baseline_does_not_know_is_judged_by_its_limits_alone() -> None:
    baseline = log(replace(seen("1"), host=HostName("lis-02")))

    assert find_risks([item(Limits(drift_percent=0))], [seen("100")], baseline) == ()


def test_a_log_is_read_back_as_it_was_written_and_in_no_other_spelling() -> None:
    kept = log(seen("87"), seen("no ssh", Reading.NO_ANSWER))

    assert read_log(kept.to_bytes(), "x.json") == kept
    with pytest.raises(Integrity, match="inspection-log-damaged"):
        read_log(kept.to_bytes().replace(b": ", b":  ", 1), "x.json")


def test_whatever_is_known_of_a_host_is_part_of_the_leave() -> None:
    target = Target(
        round=Round.DAILY,
        system=LIS,
        probe="disk",
        host=HOST,
        address="10.1.1.1",
        port=22,
        user="upgrader",
        host_key="ssh-ed25519 AAAA",
        facts={"port": "8443"},
    )
    other = replace(target, host=HostName("lis-02"))

    assert targets_digest([target, other]) == targets_digest([other, target])
    changed = [
        replace(target, address="10.1.1.2"),
        replace(target, port=2222),
        replace(target, host_key="ssh-ed25519 BBBB"),
        replace(target, facts={"port": "8444"}),
        replace(target, probe="page"),
        replace(target, round=Round.WEEKLY),
    ]
    assert len({targets_digest([one]) for one in (target, *changed)}) == 1 + len(changed)
