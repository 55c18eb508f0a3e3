"""One simulated night: a change that everybody signed, hosts with a mind of their own, a controller that may die.

The flow is the real one. Whoever is on duty calls `apply` again whenever the controller is back, and once more when the
window is over; nobody takes anything back by hand.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta

import builders
from fakes import Hospital, Killed
from simulation.simulated_fleet import Act, Fate, SimulatedFleet, SimulatedHost, SimulatedPresence, SimulatedProber
from upgrader.domain.changes.change import Change, view
from upgrader.domain.changes.late import Late, Workstation
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.plan import PlannedHost
from upgrader.domain.changes.request import ChangeWindow, WaveSizes
from upgrader.domain.errors import UpgraderError
from upgrader.domain.hospital.calendar import Calendar, CalendarRule, Daily, Days, Meaning, Once, Workdays
from upgrader.domain.names import HostName
from upgrader.domain.releases.release import Takes, Thresholds
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.site import Site

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
MOST_CALLS = 12


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What a night brings. `slow` are how many times its length each playbook takes, one after the other."""

    hosts: Sequence[PlannedHost]
    fates: Mapping[str, Fate]
    lengths: Mapping[str, tuple[timedelta, timedelta]]
    away: Mapping[str, Sequence[tuple[datetime, datetime]]] = field(default_factory=dict)
    window: timedelta = timedelta(hours=4)
    begins: timedelta = MINUTE
    waves: WaveSizes = field(default_factory=lambda: WaveSizes(canaries=1, size=10))
    thresholds: Thresholds = field(default_factory=lambda: Thresholds(0, 0, 1))
    takes: Takes | None = None
    forks: int = 10
    slow: Sequence[float] = (1.0,)
    dies: Sequence[tuple[timedelta, timedelta]] = ()  # after so long in the window, and for how long
    rules: Sequence[CalendarRule] = ()
    late: Late | None = None


class Night:
    """A hospital whose hosts, probes and clock are simulated. `live` passes the night."""

    def __init__(self, weather: Weather) -> None:
        self.weather = weather
        self.opens, self.closes = builders.OPENS, builders.OPENS + weather.window
        release = builders.make_release(thresholds=weather.thresholds, takes=weather.takes)
        window = ChangeWindow(self.opens, self.closes, "Asia/Shanghai")
        request = builders.make_request(window=window, waves=weather.waves, late=weather.late)
        self.hospital = Hospital(hosts=list(weather.hosts), release=release, request=request)
        self.hospital.clock.now = self.opens + weather.begins
        if weather.rules:
            nobody = Workdays(frozenset(), frozenset(), frozenset())
            self.hospital.documents.calendar = Calendar("UTC", nobody, tuple(weather.rules))
            self.hospital.branch.add({"calendar.yml": b"..."})
        self.fleet = SimulatedFleet(
            hosts={host.name: self._host(host) for host in weather.hosts},
            clock=self.hospital.clock,
            forks=weather.forks,
            confirm=timedelta(seconds=self.hospital.plan.confirm_seconds),
            slow=self._slow,
            dies_at=[self.opens + after for after, _ in weather.dies],
        )
        self.refused: list[UpgraderError] = []

    def site(self) -> Site:
        prober = SimulatedProber(self.fleet, builders.NEW)
        return replace(
            self.hospital.site(),
            fleet=lambda _tree, _runs: self.fleet,
            prober=lambda _: prober,
            presence=SimulatedPresence(self.fleet),
            forks=self.weather.forks,
        )

    def live(self) -> None:
        """Call `apply` until it has nothing more to do tonight, and once more when the window is over."""
        dead_for = [length for _, length in self.weather.dies]
        for _ in range(MOST_CALLS):
            try:
                self._call()
                break
            except Killed:
                self.hospital.locks.held.clear()
                self.hospital.clock.now += dead_for.pop(0)
        else:
            raise AssertionError("the controller never came back")
        self.hospital.clock.now = max(self.hospital.clock.now, self.closes + MINUTE)
        if self.state in (State.APPLYING, State.ROLLING_BACK):
            self._call()

    def _call(self) -> None:
        try:
            apply_change(self.site(), builders.CHANGE, self.hospital.progress)
        except UpgraderError as error:
            self.refused.append(error)

    @property
    def state(self) -> State:
        return self.hospital.journal.history().state

    @property
    def change(self) -> Change:
        return view(self.hospital.journal.history(), self.hospital.plan)

    @property
    def acts(self) -> Iterable[Act]:
        return [act for host in self.fleet.hosts.values() for act in host.acts]

    @property
    def named(self) -> frozenset[str]:
        """The hosts that the journal calls a person for, by name: stuck, left behind in their wave, or left open."""
        history = self.hospital.journal.history()
        stuck = [name for entry in history.of(Event.ROLLBACK_INCOMPLETE) for name in entry.data["hosts"]]
        refusals = history.of(Event.GATE_REFUSED)
        silent = [host.name for host in self.change.left_behind if host.name in self.change.touched]
        left = [entry.data["fields"]["hosts"] for entry in refusals if entry.data["code"] == "wave-left-open"]
        return frozenset([*stuck, *silent, *(name for names in left for name in names.split(", "))])

    def _host(self, planned: PlannedHost) -> SimulatedHost:
        upgrade, rollback = self.weather.lengths[planned.name]
        return SimulatedHost(
            name=planned.name,
            installed=planned.installed,
            upgrade_takes=upgrade,
            rollback_takes=rollback,
            fate=self.weather.fates.get(planned.name, Fate.WELL),
            away=self.weather.away.get(planned.name, ()),
        )

    def _slow(self) -> float:
        """Of this wave, by how many playbooks have run."""
        return self.weather.slow[len(self.fleet.runs) % len(self.weather.slow)]


def planned_host(number: int, *, workstation: bool) -> PlannedHost:
    host = builders.make_host(number % 250)
    return replace(host, name=HostName(f"host-{number:04d}"), workstation=Workstation() if workstation else None)


def random_weather(seed: int) -> Weather:
    """A night as nights are: mostly well, with something going wrong in most of them."""
    chance = random.Random(seed)
    hosts = [planned_host(number, workstation=chance.random() < 0.5) for number in range(chance.randint(3, 24))]
    window = chance.choice((20, 45, 90, 240)) * MINUTE
    usual = chance.choice((5, 20, 60, 180))
    ill = chance.choice((0.0, 0.0, 0.02, 0.1))
    lengths, fates, away = {}, {}, {}
    for host in hosts:
        upgrade = usual * chance.uniform(0.5, 2) * SECOND
        lengths[str(host.name)] = (upgrade, upgrade * chance.uniform(0.2, 2.5))
        fates[str(host.name)] = chance.choice(tuple(Fate)) if chance.random() < ill else Fate.WELL
        if chance.random() < 0.15:
            leaves = builders.OPENS + window * chance.uniform(-0.5, 1)
            away[str(host.name)] = [(leaves, leaves + window * chance.uniform(0.05, 2))]
    deaths = sorted(window * chance.uniform(0, 1) for _ in range(chance.choice((0, 0, 1, 2, 3))))
    return Weather(
        hosts=hosts,
        fates=fates,
        lengths=lengths,
        away=away,
        window=window,
        begins=window * chance.choice((0.001, 0.01, 0.3, 0.6)),
        waves=WaveSizes(canaries=chance.randint(1, 2), size=chance.choice((2, 5, 10, 25))),
        thresholds=Thresholds(*chance.choice(((0, 0, 1), (1, 2, 3), (2, 5, 10)))),
        takes=Takes(usual, usual) if chance.random() < 0.3 else None,
        forks=chance.choice((1, 5, 20)),
        slow=[chance.choice((1, 1, 1, 2, 4, 8)) for _ in range(7)],
        dies=[(at, window * chance.choice((0.01, 0.05, 0.3, 1.0))) for at in deaths],
        rules=random_rules(chance, window),
    )


def random_rules(chance: random.Random, window: timedelta) -> Sequence[CalendarRule]:
    """In some nights the calendar says something too: a night that ends before the window, or a freeze in it."""
    at = (builders.OPENS + window * chance.uniform(0.3, 1)).replace(tzinfo=None, second=0)
    names = {"zh": "规则", "en": "rule"}
    night = Daily((Days.EVERY_DAY,), time(14), at.time())
    freeze = Once(at, at + timedelta(days=1))
    match chance.randrange(4):
        case 0 if at.time() != time(14):
            return [CalendarRule(id="a", name=names, meaning=Meaning.WINDOW, groups=frozenset(), period=night)]
        case 1:
            return [CalendarRule(id="b", name=names, meaning=Meaning.FREEZE, groups=frozenset(), period=freeze)]
    return []


def end_of(night: Night) -> datetime:
    """When everything that nobody asked for has to be over: of the window, or of what the calendar allows in it."""
    calendar = night.hospital.documents.calendar
    if calendar is None:
        return night.closes
    return calendar.open_until((), night.opens + night.weather.begins, night.closes)
