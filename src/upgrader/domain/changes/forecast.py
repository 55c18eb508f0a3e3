"""The forecast: how long a wave and the way back will take, and so the last moment at which a wave may safely begin.

Measured where journals tell, declared by the release where none does, assumed where nobody says anything.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from upgrader.domain.changes.journal import Entry
from upgrader.domain.changes.lifecycle import Event

ASSUMED = timedelta(minutes=5)  # a wave of which nobody knows anything yet
SHORTEST = timedelta(seconds=30)  # whatever was measured, less is not relied on
WAVE_ENDS = (Event.WAVE_JUDGED, Event.ROLLBACK_STARTED, Event.GATE_REFUSED)
WAY_BACK_ENDS = (Event.ROLLBACK_FINISHED, Event.ROLLBACK_INCOMPLETE)
TELLING = frozenset({Event.WAVE_STARTED, *WAVE_ENDS, *WAY_BACK_ENDS})  # the events from which lengths are measured


class Ground(StrEnum):
    """What an estimate stands on."""

    MEASURED = "measured"  # journals of this system tell
    DECLARED = "declared"  # the release says so
    ASSUMED = "assumed"  # nobody says anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be foretold: a wave of `hosts`, after which `touched` hosts could have to be taken back.

    `longest` is the limit at which a wave's playbook is stopped. `longest_back` is that of the way back: as often the
    same as there are waves' worth of hosts in `touched`. `probing` is what the probes take after the playbook.
    After `confirming` a host that was cut off takes itself back: no way back is shorter.
    `declared` and `declared_back` are what the release says, for so many hosts.
    """

    hosts: int
    touched: int
    longest: timedelta
    longest_back: timedelta
    probing: timedelta = timedelta()
    confirming: timedelta = timedelta()
    declared: timedelta | None = None
    declared_back: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """`way_back` is how long it takes to take back everything that was touched by then, this wave included."""

    wave: timedelta
    way_back: timedelta
    probing: timedelta
    wave_ground: Ground
    back_ground: Ground

    def last_safe_moment(self, ends: datetime) -> datetime:
        """A wave that begins later could not be taken back before `ends`."""
        return ends - self.wave - self.way_back

    def stops(self, ends: datetime) -> datetime:
        """When the wave's playbook is stopped however far it is: probes and the way back still fit in before `ends`."""
        return ends - self.way_back - self.probing


@dataclass(frozen=True, slots=True)
class Outlook:
    """What may be expected of all waves of a plan that are still to come, by their numbers; work `ends` by then."""

    waves: Mapping[int, Forecast]
    ends: datetime

    @property
    def length(self) -> timedelta:
        """How long these waves take one after the other."""
        return sum((expected.wave for expected in self.waves.values()), timedelta())

    @property
    def way_back(self) -> timedelta:
        """How long it takes to take back everything after the last wave."""
        return self.waves[max(self.waves)].way_back

    @property
    def begin_by(self) -> datetime:
        """Begun later, the last of these waves would not begin any more."""
        return self.ends - self.length - self.way_back

    @property
    def ground(self) -> Ground:
        """What the waves' estimates stand on: the weakest ground of any of them."""
        weakest_first = (Ground.ASSUMED, Ground.DECLARED, Ground.MEASURED)
        return min((expected.wave_ground for expected in self.waves.values()), key=weakest_first.index)

    @property
    def back_ground(self) -> Ground:
        return self.waves[max(self.waves)].back_ground

    def last_safe_moment(self, number: int) -> datetime:
        return self.waves[number].last_safe_moment(self.ends)

    @property
    def told_of_waves(self) -> tuple[str, Mapping[str, str | datetime]]:
        """The code of a text of the form, and its fields."""
        return "waves-take", {"minutes": in_minutes(self.length), "ground": self.ground}

    @property
    def told_of_way_back(self) -> tuple[str, Mapping[str, str | datetime]]:
        """The code of a text of the form, and its fields."""
        minutes = in_minutes(self.way_back)
        return "way-back-takes", {"minutes": minutes, "ground": self.back_ground, "by": self.begin_by}


@dataclass(frozen=True, slots=True)
class Took:
    """So many hosts took so long."""

    hosts: int
    time: timedelta

    def for_hosts(self, hosts: int) -> timedelta:
        return self.time * max(1.0, hosts / max(1, self.hosts))


@dataclass(frozen=True, slots=True)
class Experience:
    """What journals tell of waves that came to their verdict, and of ways back."""

    waves: tuple[Took, ...] = ()
    ways_back: tuple[Took, ...] = ()


def experience(journals: Iterable[Iterable[Entry]]) -> Experience:
    """What some journals tell; of each only entries of TELLING events are looked at."""
    told = [tuple(entry for entry in entries if entry.event in TELLING) for entries in journals]
    return Experience(
        tuple(took for entries in told for took in _waves(entries)),
        tuple(took for entries in told for took in _ways_back(entries)),
    )


def foretell(here: Experience, earlier: Experience, work: Work) -> Forecast:
    """Foretell one wave, and the way back after it.

    What this change has shown itself counts before what earlier changes of the same system have. Where no way back was
    measured, and the release declares none, it is expected to take as long as upgrading the same hosts.
    """
    waves, ways = here.waves or earlier.waves, (*here.ways_back, *earlier.ways_back)
    wave, wave_ground = _expected(waves, work.hosts, work.declared, ASSUMED)
    as_waves = _by_size(waves, work.touched) if waves else ASSUMED * (work.longest_back / work.longest)
    way_back, back_ground = _expected(ways, work.touched, work.declared_back, as_waves)
    if back_ground is Ground.ASSUMED and work.declared_back is None:
        back_ground = wave_ground
    return Forecast(
        min(work.longest + work.probing, max(wave, SHORTEST + work.probing)),
        min(work.longest_back, max(way_back, SHORTEST, work.confirming)),
        work.probing,
        wave_ground,
        back_ground,
    )


def _expected(
    known: Sequence[Took], hosts: int, declared: timedelta | None, otherwise: timedelta
) -> tuple[timedelta, Ground]:
    if known:
        return _by_size(known, hosts), Ground.MEASURED
    return (otherwise, Ground.ASSUMED) if declared is None else (declared, Ground.DECLARED)


def _by_size(known: Sequence[Took], hosts: int) -> timedelta:
    """The longest that as many hosts or fewer have taken; beyond what was measured, in proportion to the hosts.

    Hosts are worked on side by side, so proportion errs on the side of the window's end; the size that says least
    counts, because one canary tells little of a large wave.
    """
    worst: dict[int, timedelta] = {}
    for took in known:
        worst[took.hosts] = max(took.time, worst.get(took.hosts, timedelta()))
    seen = max((time for size, time in worst.items() if size <= hosts), default=timedelta())
    return max(seen, min(Took(size, time).for_hosts(hosts) for size, time in worst.items()))


def in_batches(hosts: int, side_by_side: int, seconds: int) -> timedelta:
    """How long so many hosts take when each takes so many seconds and `side_by_side` are worked on at a time."""
    return timedelta(seconds=-(-hosts // max(1, side_by_side)) * seconds)


def in_minutes(length: timedelta) -> str:
    """Whole minutes, never fewer than it takes."""
    return str(-int(-length.total_seconds() // 60))


def _waves(entries: Sequence[Entry]) -> Iterator[Took]:
    """Each wave from its start to its verdict. One that was cut short by a crash tells nothing."""
    begun: Entry | None = None
    for entry in entries:
        if entry.event is Event.WAVE_STARTED:
            begun = entry
        elif begun is not None and entry.event in WAVE_ENDS:
            if entry.event is Event.WAVE_JUDGED:
                yield Took(len(begun.data["hosts"]), entry.at - begun.at)
            begun = None


def _ways_back(entries: Sequence[Entry]) -> Iterator[Took]:
    """Each way back that was not cut short. A journal from before these were timed is read by its entries' times."""
    begun: Entry | None = None
    for entry in entries:
        if entry.event is Event.ROLLBACK_STARTED:
            begun = entry
        elif begun is not None and entry.event in WAY_BACK_ENDS:
            if "seconds" in entry.data:
                yield Took(entry.data["touched"], timedelta(seconds=entry.data["seconds"]))
            elif "touched" not in entry.data and entry.event is Event.ROLLBACK_FINISHED:
                yield Took(len(entry.data["hosts"]), entry.at - begun.at)
            begun = None
