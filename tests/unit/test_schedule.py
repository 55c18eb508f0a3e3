"""What is due at an instant, from a journal alone; and a change put on the schedule, given another time, and taken off.

Hosts, branch and journal are fakes that remember; the gate and the decision are real.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import builders
from fakes import Hospital
from upgrader.domain.approval.record import Decision
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.plan import Plan
from upgrader.domain.changes.schedule import Due, Duty, Scheduled, due, scheduled
from upgrader.domain.errors import OutsideWindow, Refused
from upgrader.flow.service.schedule import expire, read_schedule, schedule_change, withdraw

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
PLAN = builders.plan_of()
STARTS, EXPIRES = builders.OPENS, builders.OPENS + HOUR


class Story:
    """A journal that is told fact by fact."""

    def __init__(self) -> None:
        self.history = History()
        self.at = builders.SIGNED
        self.then(Event.CHANGE_REQUESTED).then(Event.PLAN_MADE, {"plan": PLAN.digest.hex})

    def then(self, event: Event, data: Mapping[str, Any] | None = None, *, at: datetime | None = None) -> "Story":
        self.at = at or self.at
        entry = self.history.following(event, data or {}, at=self.at, actor=builders.ENGINEER)
        self.history = self.history.with_entry(entry)
        return self

    def scheduled(self) -> "Story":
        order = {"plan": PLAN.digest.hex, "starts": "2026-11-21T15:00:00Z", "expires": "2026-11-21T16:00:00Z"}
        return self.then(Event.CHANGE_SCHEDULED, order)

    def begun(self) -> "Story":
        return self.then(Event.PLAN_AUTHORIZED, at=STARTS).then(Event.APPLY_STARTED)

    def soaking(self) -> "Story":
        return self.begun().then(Event.SOAK_STARTED, {"seconds": PLAN.soak.seconds})

    def due(self, at: datetime, plan: Plan | None = PLAN) -> Duty | None:
        found = due(self.history, plan, at)
        return found.duty if found else None


# -------------------------------------------------------------------------------------------------- what is due, when


@pytest.mark.parametrize(
    ("at", "duty"),
    [
        (STARTS - timedelta(seconds=1), None),
        (STARTS, Duty.START),
        (EXPIRES - timedelta(seconds=1), Duty.START),
        (EXPIRES, Duty.EXPIRE),
        (EXPIRES + timedelta(days=3), Duty.EXPIRE),
    ],
)
def test_a_change_begins_at_its_time_and_expires_when_it_is_too_late(at: datetime, duty: Duty | None) -> None:
    assert datetime.fromisoformat("2026-11-21T15:00:00Z") == STARTS
    assert Story().scheduled().due(at, plan=None) is duty


def test_it_begins_in_the_name_of_whoever_scheduled_it() -> None:
    assert due(Story().scheduled().history, None, STARTS) == Due(Duty.START, builders.ENGINEER)


def test_a_refusal_leaves_it_on_the_schedule_and_a_yes_of_the_gate_does_too() -> None:
    refused = Story().scheduled().then(Event.GATE_REFUSED)
    authorized = Story().scheduled().then(Event.PLAN_AUTHORIZED).then(Event.GATE_REFUSED)

    assert refused.due(STARTS) is Duty.START
    assert (authorized.history.state, authorized.due(STARTS), authorized.due(EXPIRES)) == (
        State.AUTHORIZED,
        Duty.START,
        Duty.EXPIRE,
    )


@pytest.mark.parametrize(
    "event", [Event.PLAN_MADE, Event.SCHEDULE_WITHDRAWN, Event.START_EXPIRED, Event.CHANGE_CANCELLED], ids=str
)
def test_nothing_begins_once_it_is_off_the_schedule(event: Event) -> None:
    assert Story().scheduled().then(event).due(STARTS) is None


def test_what_nobody_scheduled_does_not_begin() -> None:
    assert Story().due(STARTS) is None
    assert Story().then(Event.PLAN_AUTHORIZED).due(STARTS) is None


def test_a_change_that_was_cut_short_goes_on_inside_its_window_only() -> None:
    story = Story().begun()

    assert story.due(STARTS + MINUTE) is Duty.GO_ON
    assert story.due(PLAN.window.closes) is Duty.GO_ON  # once, for the gate's no
    assert story.then(Event.GATE_REFUSED).due(PLAN.window.closes) is None
    assert story.due(STARTS + MINUTE) is Duty.GO_ON


def test_a_change_that_a_person_stopped_by_hand_goes_on_by_hand() -> None:
    story = Story().begun().then(Event.APPLY_INTERRUPTED)

    assert story.due(STARTS + MINUTE) is None
    assert story.then(Event.PLAN_AUTHORIZED).due(STARTS + MINUTE) is Duty.GO_ON


def test_a_way_back_that_was_cut_short_goes_on_at_any_time_and_a_stuck_one_waits_for_a_person() -> None:
    story = Story().begun().then(Event.ROLLBACK_STARTED, {"because": "wave-unstable"})

    assert story.due(PLAN.window.closes + timedelta(days=9)) is Duty.GO_BACK
    assert story.then(Event.ROLLBACK_INCOMPLETE, {"hosts": ["host-01"]}).due(STARTS) is None


def test_a_soak_is_measured_at_its_interval_and_when_it_is_over_until_there_is_a_verdict() -> None:
    every, over = timedelta(seconds=PLAN.soak.interval_seconds), timedelta(seconds=PLAN.soak.seconds)
    story = Story().soaking()

    assert story.due(STARTS) is Duty.MEASURE
    story.then(Event.SOAK_MEASURED, at=STARTS + MINUTE)
    assert story.due(STARTS + every) is None
    assert story.due(STARTS + MINUTE + every) is Duty.MEASURE
    story.then(Event.SOAK_MEASURED, at=STARTS + over - MINUTE)
    assert story.due(STARTS + over - timedelta(seconds=1)) is None
    assert story.due(STARTS + over) is Duty.MEASURE
    story.then(Event.FOUND_INCONCLUSIVE, {"reasons": []}, at=STARTS + over)
    assert story.due(STARTS + over + every) is None
    assert story.then(Event.SOAK_STARTED, {"seconds": 1}).due(STARTS + over + every) is Duty.MEASURE


@given(ticks=st.lists(st.integers(0, 7200), min_size=1, max_size=8, unique=True).map(sorted))
def test_whatever_ticks_are_missed_a_change_begins_in_time_or_expires(ticks: list[int]) -> None:
    story = Story().scheduled()
    begun = expired = None
    for seconds in ticks:
        now = STARTS - HOUR / 2 + timedelta(seconds=seconds)
        match story.due(now):
            case Duty.START:
                begun = now
                story.then(Event.PLAN_AUTHORIZED, at=now).then(Event.APPLY_STARTED)
            case Duty.EXPIRE:
                expired = now
                story.then(Event.START_EXPIRED, at=now)

    late = STARTS - HOUR / 2 + timedelta(seconds=ticks[-1])
    assert begun is None or STARTS <= begun < EXPIRES
    assert not (begun and expired)
    assert (begun or expired) or late < STARTS


# --------------------------------------------------------------------------------------------------- put there, taken


def ready(**materials: Any) -> Hospital:
    hospital = Hospital(**materials)
    hospital.clock.now = builders.SIGNED + HOUR
    return hospital


def test_it_begins_when_the_window_opens_and_expires_while_all_of_it_still_fits() -> None:
    hospital = ready()

    ordered = schedule_change(hospital.site(), builders.CHANGE, at=None, expires=None)

    assert ordered.order == Scheduled(
        hospital.plan.digest.hex, builders.OPENS, builders.CLOSES - ordered.length, builders.ENGINEER
    )
    assert ordered.fits
    assert hospital.journal.history().state is State.SCHEDULED
    assert scheduled(hospital.journal.history()) == ordered.order
    assert [one.change for one in read_schedule(hospital.site())] == [builders.CHANGE]
    assert hospital.fleet.runs == []


def test_a_later_time_takes_the_place_of_the_earlier_one_and_withdrawing_takes_both() -> None:
    hospital = ready()
    schedule_change(hospital.site(), builders.CHANGE, at=None, expires=None)
    later = builders.OPENS + HOUR

    schedule_change(hospital.site(), builders.CHANGE, at=later, expires=later + MINUTE)
    order = withdraw(hospital.site(), builders.CHANGE, "the ward asked")

    assert (order.starts, order.expires) == (later, later + MINUTE)
    assert read_schedule(hospital.site()) == []
    with pytest.raises(Refused, match="not-scheduled"):
        withdraw(hospital.site(), builders.CHANGE, "again")


@pytest.mark.parametrize(
    ("at", "expires"),
    [
        (builders.OPENS - MINUTE, None),
        (builders.CLOSES, None),
        (builders.OPENS, builders.OPENS),
        (builders.OPENS, builders.CLOSES + MINUTE),
    ],
)
def test_what_is_not_inside_the_signed_window_is_refused(at: datetime, expires: datetime | None) -> None:
    hospital = ready()

    with pytest.raises(OutsideWindow, match="schedule-outside-window"):
        schedule_change(hospital.site(), builders.CHANGE, at=at, expires=expires)

    assert hospital.journal.history().state is State.PLANNED


def test_what_is_not_signed_is_not_scheduled() -> None:
    hospital = ready()
    hospital.publish(
        builders.make_approval(hospital.plan, builders.HEAD, builders.DEPARTMENT, decision=Decision.REJECT)
    )

    with pytest.raises(Refused, match="plan-rejected"):
        schedule_change(hospital.site(), builders.CHANGE, at=None, expires=None)


def test_it_expires_once_and_not_before_its_time() -> None:
    hospital = ready()
    ordered = schedule_change(hospital.site(), builders.CHANGE, at=None, expires=None)

    hospital.clock.now = ordered.order.expires - timedelta(seconds=1)
    assert expire(hospital.site(), builders.CHANGE) is None
    hospital.clock.now = ordered.order.expires
    assert expire(hospital.site(), builders.CHANGE) == ordered.order
    assert expire(hospital.site(), builders.CHANGE) is None
    assert hospital.journal.history().state is State.PLANNED
