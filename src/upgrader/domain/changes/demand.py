"""Demands: what the hospital asked for, and by which working day it is due.

The hospital's maintenance requirements count working days: an urgent defect 1, any other 3 to 5, a modification as many
of 15 to 45 as the product manager and the hospital agreed on (clauses 2.1 and 2.2). The day itself does not count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.hospital.calendar import Workdays

DAY = timedelta(days=1)


class DemandKind(StrEnum):
    URGENT_DEFECT = "urgent-defect"
    DEFECT = "defect"
    MODIFICATION = "modification"


# The fewest and the most working days that each kind may take.
TERMS: Mapping[DemandKind, tuple[int, int]] = {
    DemandKind.URGENT_DEFECT: (1, 1),
    DemandKind.DEFECT: (3, 5),
    DemandKind.MODIFICATION: (15, 45),
}


@dataclass(frozen=True, slots=True)
class Demand:
    """`since` is the day on which a defect was reported, or a modification agreed on; `days` are working days.

    Raises ValueError for more or fewer days than its kind may have.
    """

    kind: DemandKind
    since: date
    days: int

    def __post_init__(self) -> None:
        least, most = TERMS[self.kind]
        if not least <= self.days <= most:
            raise ValueError(f"expected {least} to {most} working days for {self.kind}, found {self.days}")

    def as_data(self) -> Mapping[str, Any]:
        """What the journal keeps of it."""
        return {"kind": self.kind.value, "since": self.since.isoformat(), "days": self.days}


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a demand is due. `late` are the working days by which it was, or is, missed; 0 while it is not.

    `met` is the day on which the system was found stable; None until then. `provisional`: the working days of
    a year on the way are not announced yet.
    """

    demand: Demand
    due: date
    met: date | None
    left: int
    late: int
    provisional: bool

    @property
    def is_overdue(self) -> bool:
        return self.met is None and self.late > 0


def demand_of(history: History) -> Demand | None:
    """What the journal says that was demanded; None for a change that nobody waits for by a day."""
    asked = history.last(Event.CHANGE_REQUESTED)
    told = asked.data.get("demand") if asked else None
    if told is None:
        return None
    return Demand(DemandKind(told["kind"]), date.fromisoformat(told["since"]), int(told["days"]))


def fulfilled_at(history: History) -> datetime | None:
    """When the system was found stable with this change; None before, and once it was taken back."""
    last = history.last(Event.FOUND_STABLE, Event.ROLLBACK_STARTED)
    return last.at if last is not None and last.event is Event.FOUND_STABLE else None


def deadline_of(demand: Demand, workdays: Workdays, met: datetime | None, now: datetime, zone: str) -> Deadline:
    """Count the working days, on the hospital's calendar and clocks."""
    due = demand.since
    provisional = workdays.is_provisional(due)
    for _ in range(demand.days):
        due += DAY
        while not workdays.is_workday(due):
            due += DAY
        provisional = provisional or workdays.is_provisional(due)
    met_on = met.astimezone(ZoneInfo(zone)).date() if met else None
    today = met_on or now.astimezone(ZoneInfo(zone)).date()
    left, late = _between(today, due, workdays), _between(due, today, workdays)
    return Deadline(demand, due, met_on, left, late, provisional)


def _between(first: date, last: date, workdays: Workdays) -> int:
    """The working days after `first`, up to and with `last`."""
    count, day = 0, first + DAY
    while day <= last:
        count += workdays.is_workday(day)
        day += DAY
    return count
