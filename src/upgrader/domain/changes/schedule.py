"""The schedule: which change is to start when, until when it may, and what is due now.

It is read from the journal of each change and kept nowhere else. A decision takes `now`: whoever missed an hour finds
the same to do as whoever looked every second.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from upgrader.domain import plain
from upgrader.domain.changes.journal import Entry, History
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.plan import Plan
from upgrader.domain.names import PersonId

FOUND = (Event.FOUND_STABLE, Event.FOUND_UNSTABLE, Event.FOUND_INCONCLUSIVE)
# After any of these nothing is on the schedule: it was taken off, it has begun, or it is another plan.
TAKEN_OFF = frozenset(
    {
        Event.SCHEDULE_WITHDRAWN,
        Event.START_EXPIRED,
        Event.APPLY_STARTED,
        Event.PLAN_MADE,
        Event.CHANGE_CANCELLED,
    }
)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A standing order: begin exactly this plan at `starts` or later, but no longer from `expires` on.

    `by` put it there, and answers for it as whoever applies answers.
    """

    plan: str
    starts: datetime
    expires: datetime
    by: PersonId

    @classmethod
    def of(cls, entry: Entry) -> Self:
        return cls(
            entry.data["plan"],
            plain.instant(entry.data["starts"]),
            plain.instant(entry.data["expires"]),
            PersonId(entry.actor),
        )


class Duty(StrEnum):
    """What the service has to do for one change."""

    START = "start"
    EXPIRE = "expire"
    GO_ON = "go-on"
    GO_BACK = "go-back"
    MEASURE = "measure"
    RETRY = "retry"
    PULL_BACK = "pull-back"


@dataclass(frozen=True, slots=True)
class Due:
    """One duty that is due now, in the name of the person who began what it goes on with."""

    duty: Duty
    by: PersonId


def scheduled(history: History) -> Scheduled | None:
    """What stands on the schedule for this change; None when nothing does, or no longer."""
    found = None
    for entry in history.entries:
        if entry.event is Event.CHANGE_SCHEDULED:
            found = Scheduled.of(entry)
        elif entry.event in TAKEN_OFF:
            found = None
    return found


def due(history: History, plan: Plan | None, now: datetime) -> Due | None:
    """What is due for one change at `now`; None when nothing is, or a person has to decide.

    `plan` is the one that runs; it may be None as long as nothing does.
    """
    match history.state:
        case State.SCHEDULED | State.AUTHORIZED:
            return _start(scheduled(history), now)
        case State.APPLYING if plan is not None and _may_go_on(history, plan, now):
            return _named(Duty.GO_ON, history.last(Event.APPLY_STARTED))
        case State.ROLLING_BACK:
            return _named(Duty.GO_BACK, history.last(Event.ROLLBACK_STARTED))
        case State.SOAKING if plan is not None and _is_to_be_measured(history, plan, now):
            return _named(Duty.MEASURE, history.last(Event.SOAK_STARTED))
        case _:
            return None


def _named(duty: Duty, began: Entry | None) -> Due | None:
    return Due(duty, PersonId(began.actor)) if began is not None else None


def _start(order: Scheduled | None, now: datetime) -> Due | None:
    if order is None or now < order.starts:
        return None
    return Due(Duty.START if now < order.expires else Duty.EXPIRE, order.by)


def _may_go_on(history: History, plan: Plan, now: datetime) -> bool:
    """A change that was cut short goes on by itself, unless a person stopped it by hand or its window is over.

    Once the window is over the gate is asked one time more, so that its no is written down; then a person decides.
    """
    authorized, stopped = history.last(Event.PLAN_AUTHORIZED), history.last(Event.APPLY_INTERRUPTED)
    if stopped is not None and (authorized is None or authorized.seq < stopped.seq):
        return False
    return now < plan.window.closes or history.entries[-1].event is not Event.GATE_REFUSED


def _is_to_be_measured(history: History, plan: Plan, now: datetime) -> bool:
    """Until there is a verdict, a round is due at every interval, and one when the soak is over."""
    started, found = history.last(Event.SOAK_STARTED), history.last(*FOUND)
    if started is None or (found is not None and found.seq > started.seq):
        return False
    measured = history.last(Event.SOAK_MEASURED)
    if measured is None or measured.seq < started.seq:
        return True
    over = started.at + timedelta(seconds=plan.soak.seconds)
    return now >= min(over, measured.at + timedelta(seconds=plan.soak.interval_seconds))
