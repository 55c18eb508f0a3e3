"""The forecast: how long a wave and the way back will take, and so the last moment at which a wave may safely begin.

Measured where journals tell, declared where none does. Work on a wave is assumed to grow with its hosts: hosts are
worked on side by side, so this errs on the side of the window's end.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from upgrader.domain.journal import Entry, History
from upgrader.domain.lifecycle import Event

DECLARED = timedelta(minutes=5)  # a wave of which nobody knows anything yet
SHORTEST = timedelta(seconds=30)  # whatever was measured, less is not relied on
WAVE_ENDS = (Event.WAVE_JUDGED, Event.ROLLBACK_STARTED, Event.GATE_REFUSED)
WAY_BACK_ENDS = (Event.ROLLBACK_FINISHED, Event.ROLLBACK_INCOMPLETE)


@dataclass(frozen=True, slots=True)
class Forecast:
    """`way_back` is how long it takes to take back everything that was touched by then, this wave included."""

    wave: timedelta
    way_back: timedelta
    measured: bool

    def last_safe_moment(self, closes: datetime) -> datetime:
        """A wave that begins later could not be taken back before the window closes."""
        return closes - self.wave - self.way_back


@dataclass(frozen=True, slots=True)
class _Took:
    hosts: int
    time: timedelta

    def for_hosts(self, hosts: int) -> timedelta:
        return self.time * max(1.0, hosts / max(1, self.hosts))


def foretell(here: History, earlier: Iterable[History], *, hosts: int, touched: int, longest: timedelta) -> Forecast:
    """Foretell a wave of so many hosts, after which `touched` hosts would have to be taken back.

    What this change has shown itself counts before what `earlier` changes of the same system have. `longest` is the
    limit at which a wave is stopped.
    """
    earlier = tuple(earlier)
    waves = [*_waves(here.entries)] or [took for history in earlier for took in _waves(history.entries)]
    ways = [took for history in (here, *earlier) for took in _ways_back(history.entries)]
    wave = _longest(waves, hosts, DECLARED, longest)
    return Forecast(wave, _longest(ways, touched, wave, longest), bool(waves))


def _longest(known: Sequence[_Took], hosts: int, otherwise: timedelta, longest: timedelta) -> timedelta:
    if not known:
        return min(otherwise, longest)
    return min(longest, max(SHORTEST, *(took.for_hosts(hosts) for took in known)))


def _waves(entries: Sequence[Entry]) -> Iterator[_Took]:
    """Each wave from its start to its verdict. One that was cut short by a crash tells nothing."""
    begun: Entry | None = None
    for entry in entries:
        if entry.event is Event.WAVE_STARTED:
            begun = entry
        elif begun is not None and entry.event in WAVE_ENDS:
            if entry.event is Event.WAVE_JUDGED:
                yield _Took(len(begun.data["hosts"]), entry.at - begun.at)
            begun = None


def _ways_back(entries: Sequence[Entry]) -> Iterator[_Took]:
    begun: Entry | None = None
    for entry in entries:
        if entry.event is Event.ROLLBACK_STARTED:
            begun = entry
        elif begun is not None and entry.event in WAY_BACK_ENDS:
            yield _Took(len(entry.data["hosts"]), entry.at - begun.at)
            begun = None
