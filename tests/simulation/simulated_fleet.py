"""A simulated fleet behind the ports: hosts take time, fail, vanish and come back, on a clock that nobody waits for.

What a host does goes on without the controller, as in truth: a transaction that was begun comes to its end, and one
that nobody confirmed is taken back by the host's own dead-man. Every act is kept with its begin and its end.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from fakes import Clock, Killed
from upgrader.domain.changes.plan import PlannedHost
from upgrader.domain.changes.playbook import HostOutcome, HostReport, PlaybookResult, PlaybookRun
from upgrader.domain.changes.verdict import Measurement, Reading
from upgrader.domain.names import HostName
from upgrader.domain.releases.probe import Probe
from upgrader.ports import ProbedHost

CONNECT = timedelta(seconds=3)


class Fate(StrEnum):
    """What becomes of a host when something is done to it."""

    WELL = "all goes well"
    UNHEALTHY = "takes itself back"
    REFUSES = "fails before anything was changed"
    HALF_DONE = "is left half done"
    HANGS = "does not come to an end"
    CUT_OFF = "is cut off after the switch"
    ILL = "is upgraded, and the probes do not find it well"
    STAYS = "does not let itself be taken back"


class Doing(StrEnum):
    UPGRADE = "upgrade"
    WAY_BACK = "way back"
    OWN_WAY_BACK = "taken back by the host itself"


@dataclass(frozen=True, slots=True)
class Act:
    """Something that was done to a host, from its begin to its end."""

    host: str
    doing: Doing
    begins: datetime
    ends: datetime


@dataclass(slots=True)
class SimulatedHost:
    """`upgrade_takes` and `rollback_takes` are its own lengths; `away` are the times at which it is switched off."""

    name: str
    installed: str
    upgrade_takes: timedelta
    rollback_takes: timedelta
    fate: Fate = Fate.WELL
    away: Sequence[tuple[datetime, datetime]] = ()
    key: str = ""
    came_from: str = ""
    busy_until: datetime | None = None
    confirmed: bool = True
    switches: int = 0
    takebacks: int = 0
    acts: list[Act] = field(default_factory=list)

    def is_on(self, at: datetime) -> bool:
        return not any(begins <= at < ends for begins, ends in self.away)

    def free_at(self, at: datetime) -> datetime:
        """When its lock is free, for whoever asks at `at`."""
        return at if self.busy_until is None else max(at, self.busy_until)

    def switch(self, key: str, version: str, begins: datetime, ends: datetime) -> None:
        assert self.installed != version, f"{self.name}: a second transaction over the first"
        self.key, self.came_from, self.installed = key, self.installed, version
        self.switches += 1
        self._note(Doing.UPGRADE, begins, ends)

    def go_back(self, doing: Doing, begins: datetime, ends: datetime) -> None:
        self.installed, self.key, self.came_from, self.confirmed = self.came_from, "", "", True
        self.takebacks += 1
        self._note(doing, begins, ends)

    def _note(self, doing: Doing, begins: datetime, ends: datetime) -> None:
        self.acts.append(Act(self.name, doing, begins, ends))
        self.busy_until = ends


Answered = tuple[datetime, HostReport | None]  # when, and what; None for a host that does not answer in this run


@dataclass
class SimulatedFleet:
    """`slow` is how many times its own length everything takes now; `dies_at` are the instants at which we are killed.

    `forks` hosts are worked on at a time. `confirm` is after how long an unconfirmed host takes itself back.
    """

    hosts: Mapping[str, SimulatedHost]
    clock: Clock
    forks: int
    confirm: timedelta
    slow: Callable[[], float] = lambda: 1.0
    dies_at: list[datetime] = field(default_factory=list)
    runs: list[tuple[str, int]] = field(default_factory=list)

    def run(self, run: PlaybookRun, on_report: Callable[[HostReport], None]) -> PlaybookResult:
        """Work on the hosts, so many at a time; whoever has not answered at the limit is not spoken of."""
        self.runs.append((run.playbook, len(run.hosts)))
        limit = self.clock.now + timedelta(seconds=run.timeout_seconds)
        death = min((at for at in self.dies_at if at > self.clock.now), default=None)
        stop = limit if death is None else min(limit, death)
        answers = sorted(self._answers(run, stop), key=lambda answer: answer[0])
        reports: dict[str, HostReport] = {}
        for at, report in answers:
            self.clock.now = max(self.clock.now, at)
            if report is not None:
                reports[report.host] = report
                on_report(report)
        if len(reports) < len(run.hosts):
            self.clock.now = stop
            if stop == death:
                raise Killed
        unspoken = (HostReport(host=host, outcome=HostOutcome.NOT_RUN) for host in run.hosts)
        return PlaybookResult(
            reports=tuple(reports.get(silent.host, silent) for silent in unspoken),
            return_code=0,
            status="successful",
            output="",
        )

    def _answers(self, run: PlaybookRun, stop: datetime) -> Iterator[Answered]:
        """What each host answers before `stop`. Whoever was begun by then goes on without us."""
        free = [self.clock.now] * self.forks
        work = self._take_back if run.playbook.endswith("rollback.yml") else self._upgrade
        for name in run.hosts:
            begins = heapq.heappop(free)
            if begins >= stop:
                return
            host = self.hosts[name]
            ends, report = work(run, host, begins, stop)
            heapq.heappush(free, ends)
            if ends < stop:
                yield ends, report

    def _upgrade(self, run: PlaybookRun, host: SimulatedHost, begins: datetime, stop: datetime) -> Answered:
        if not host.is_on(begins):
            return begins + CONNECT, _report(host, HostOutcome.UNREACHABLE)
        begins = host.free_at(begins)
        key, version = _key(run), run.upgrade["version"]
        ends = begins + host.upgrade_takes * self.slow()
        if begins >= stop:
            return begins, None
        if host.installed == version:
            return begins + CONNECT, _report(host, HostOutcome.UNCHANGED, host.came_from if host.key == key else "")
        if host.fate is Fate.REFUSES:
            return begins + CONNECT, _report(host, HostOutcome.FAILED)
        before = host.installed
        host.switch(key, version, begins, ends)
        if host.fate is Fate.HANGS or ends >= stop or host.fate is Fate.CUT_OFF:
            host.go_back(Doing.OWN_WAY_BACK, ends, ends + self.confirm)  # nobody confirms it
            return (ends, _report(host, HostOutcome.UNREACHABLE)) if host.fate is Fate.CUT_OFF else (stop, None)
        if host.fate is Fate.UNHEALTHY:
            host.go_back(Doing.OWN_WAY_BACK, ends, ends + timedelta(seconds=5))
            return ends + timedelta(seconds=5), _report(host, HostOutcome.ROLLED_BACK)
        if host.fate is Fate.HALF_DONE:
            return ends, _report(host, HostOutcome.FAILED)
        return ends, _report(host, HostOutcome.UPGRADED, before)

    def _take_back(self, run: PlaybookRun, host: SimulatedHost, begins: datetime, stop: datetime) -> Answered:
        if not host.is_on(begins):
            return begins + CONNECT, _report(host, HostOutcome.UNREACHABLE)
        begins = host.free_at(begins)
        if begins >= stop:
            return begins, None
        if host.key != _key(run):
            return begins + CONNECT, _report(host, HostOutcome.UNCHANGED)
        if host.fate is Fate.STAYS:
            return begins + CONNECT, _report(host, HostOutcome.FAILED)
        ends = begins + host.rollback_takes * self.slow()
        host.go_back(Doing.WAY_BACK, begins, ends)
        return ends, _report(host, HostOutcome.ROLLED_BACK)


@dataclass
class SimulatedPresence:
    """One connect time-out for all who are asked; nobody can be woken."""

    fleet: SimulatedFleet

    def absent(self, hosts: Sequence[PlannedHost]) -> Mapping[HostName, str]:
        now = self.fleet.clock.now
        self.fleet.clock.now += CONNECT
        return {host.name: "no answer in 3 s" for host in hosts if not self.fleet.hosts[host.name].is_on(now)}

    def wake(self, hosts: Sequence[PlannedHost]) -> None:
        raise AssertionError("no simulated host has a hardware address")


@dataclass
class SimulatedProber:
    """Asks each probe as often as it wants to be asked, its interval apart; all hosts together."""

    fleet: SimulatedFleet
    version: str

    def measure_all(self, probes: Sequence[Probe], hosts: Sequence[ProbedHost]) -> Iterator[Measurement]:
        for probe in probes:
            for _ in range(probe.count):
                for host in hosts:
                    reading = self._look(self.fleet.hosts[host.name])
                    yield Measurement(host.name, probe.name, self.fleet.clock.now, reading, reading.value)
                self.fleet.clock.sleep(probe.interval_seconds)

    def close(self) -> None:
        pass

    def _look(self, host: SimulatedHost) -> Reading:
        if not host.is_on(self.fleet.clock.now):
            return Reading.NO_ANSWER
        return Reading.UNHEALTHY if host.fate is Fate.ILL and host.installed == self.version else Reading.HEALTHY


def _key(run: PlaybookRun) -> str:
    return f"{run.upgrade['change']}.{run.upgrade['plan'][:12]}"


def _report(host: SimulatedHost, outcome: HostOutcome, came_from: str = "") -> HostReport:
    current = "" if outcome is HostOutcome.UNREACHABLE else host.installed
    return HostReport(host=host.name, outcome=outcome, from_version=came_from, current=current)
