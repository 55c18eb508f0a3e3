"""Late hosts: workstations that were away or in use when their wave ran, and when they may still be upgraded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
ABSENT_AT_MOST = 50  # per cent of a plan's workstations, where its request says nothing


@dataclass(frozen=True, slots=True)
class Workstation:
    """A host that people switch off. Without a hardware address nothing can wake it.

    `mac` is six hexadecimal pairs with colons; `wake_at` the broadcast address to which the call goes.
    """

    mac: str | None = None
    wake_at: str | None = None


@dataclass(frozen=True, slots=True)
class Late:
    """Every day from one clock time to another, until an instant; past midnight when the end is not after the start.

    `absent_at_most` is how many per cent of the plan's workstations may be away before no further wave begins.
    """

    until: datetime
    starts: str
    ends: str
    zone: str
    absent_at_most: int = ABSENT_AT_MOST

    def is_open(self, now: datetime) -> bool:
        return now < self.closes(now)

    def closes(self, now: datetime) -> datetime:
        """The end of the hours that are open at `now`; an instant that is over when none are."""
        wall = now.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
        starts, ends = time.fromisoformat(self.starts), time.fromisoformat(self.ends)
        after = DAY if ends <= starts else timedelta()
        for day in (wall.date(), wall.date() - DAY):
            if datetime.combine(day, starts) <= wall < datetime.combine(day + after, ends):
                closes = datetime.combine(day + after, ends, ZoneInfo(self.zone)).astimezone(UTC)
                return min(closes, self.until)
        return min(now, self.until)


def too_many_absent(workstations: int, absent: Sequence[str], late: Late | None) -> bool:
    """Whether more of a plan's workstations are away than was declared."""
    share = late.absent_at_most if late else ABSENT_AT_MOST
    return len(absent) * 100 > workstations * share
