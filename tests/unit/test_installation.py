"""What hosts run, as far as one knows without asking, and which of them drift."""

from datetime import timedelta
from typing import Any

import builders
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.hospital.installation import Installation, Member, PastChange, installation, past_change
from upgrader.domain.hospital.sighting import Sighting, Sightings
from upgrader.domain.names import ChangeId, SystemId

LIS = SystemId("lis")
MEMBERS = [
    *(Member(f"lis-{n}", "web", None) for n in (1, 2)),
    *(Member(f"ward-{n}", "clients", None) for n in (1, 2, 3)),
]
Facts = list[tuple[Event, dict[str, Any]]]
BEGIN: Facts = [(Event.PLAN_MADE, {}), (Event.PLAN_AUTHORIZED, {}), (Event.APPLY_STARTED, {})]
SOAKED: Facts = [(Event.SOAK_STARTED, {}), (Event.FOUND_STABLE, {})]
TAKEN_BACK: Facts = [(Event.ROLLBACK_STARTED, {}), (Event.ROLLBACK_FINISHED, {})]


def runs(host: str, version: str) -> tuple[Event, dict[str, Any]]:
    return Event.HOST_REPORTED, {"host": host, "current": version}


def change(number: int, version: str, *facts: tuple[Event, dict[str, Any]], kind: str = "normal") -> PastChange:
    history = History()
    asked = {"system": LIS, "version": version, "kind": kind}
    for event, data in [(Event.CHANGE_REQUESTED, asked), *facts]:
        at = builders.SIGNED + timedelta(days=number, seconds=len(history.entries))
        history = history.with_entry(history.following(event, data, at=at, actor="li.na"))
    found = past_change(ChangeId(f"CHG-2026-{number:04d}"), history)
    assert found is not None
    return found


def known(*changes: PastChange, **seen: str) -> Installation:
    at = builders.SIGNED + timedelta(days=30)
    sightings = {host.replace("_", "-"): Sighting(version, at) for host, version in seen.items()}
    return installation(MEMBERS, changes, Sightings(LIS, sightings))


def drift(found: Installation) -> dict[str, tuple[str | None, str | None]]:
    return {one.member.host: (one.version, one.drifts_from) for one in found.drifting}


def test_what_nobody_said_is_unknown_and_does_not_drift() -> None:
    found = known()

    assert found.versions == {None: 5}
    assert (found.drifting, found.last, found.open) == ((), None, ())


def test_a_host_that_was_left_behind_drifts_within_its_part() -> None:
    first = change(1, "4.1", *BEGIN, *(runs(member.host, "4.1") for member in MEMBERS), *SOAKED)
    clients = change(2, "4.2+client", *BEGIN, runs("ward-1", "4.2+client"), runs("ward-2", "4.1"), *SOAKED)

    found = known(first, clients)

    assert drift(found) == {"ward-2": ("4.1", "4.2+client"), "ward-3": ("4.1", "4.2+client")}
    assert found.versions == {"4.1": 4, "4.2+client": 1}
    assert found.last is clients


def test_a_change_that_was_taken_back_asks_nothing_of_anybody() -> None:
    first = change(1, "4.1", *BEGIN, *(runs(member.host, "4.1") for member in MEMBERS), *SOAKED)
    back = change(2, "4.2", *BEGIN, runs("lis-1", "4.2"), TAKEN_BACK[0], runs("lis-1", "4.1"), TAKEN_BACK[1])

    assert drift(known(first, back)) == {}
    assert known(first, back).versions == {"4.1": 5}
    assert known(first, back).open == (first, back)  # neither is closed


def test_what_a_host_said_later_counts_more_than_the_journal() -> None:
    first = change(1, "4.1", *BEGIN, *(runs(member.host, "4.1") for member in MEMBERS), *SOAKED)

    assert drift(known(first, lis_2="4.0", ward_1="4.1")) == {"lis-2": ("4.0", "4.1")}
    assert drift(known(first, lis_2="")) == {"lis-2": ("", "4.1")}


def test_a_correction_of_data_says_nothing_of_versions() -> None:
    first = change(1, "4.1", *BEGIN, runs("lis-1", "4.1"), *SOAKED)
    rows = change(2, "fix-2291", *BEGIN, runs("lis-1", "fix-2291"), *SOAKED, kind="data-fix")

    assert drift(known(first, rows)) == {}
    assert known(first, rows).hosts[0].version == "4.1"


def test_a_change_is_open_until_it_is_closed_or_cancelled() -> None:
    cancelled = change(1, "4.1", (Event.CHANGE_CANCELLED, {}))
    asked = change(2, "4.2")

    found = known(cancelled, asked)

    assert found.open == (asked,)
    assert cancelled.state is State.CANCELLED
