"""A change: a view of its journal, computed and never stored."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from upgrader.domain.changes.demand import Demand, demand_of, fulfilled_at
from upgrader.domain.changes.host_exception import HostException, exceptions_of
from upgrader.domain.changes.journal import Entry, History
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.plan import UNKNOWN, Plan
from upgrader.domain.changes.playbook import PENDING, HostOutcome
from upgrader.domain.releases.release import Thresholds

REACHED = frozenset({HostOutcome.UPGRADED, HostOutcome.UNCHANGED})
SILENT = frozenset({HostOutcome.NOT_RUN, HostOutcome.UNREACHABLE}) | PENDING


@dataclass(frozen=True, slots=True)
class HostState:
    """What one host ended as, as far as the journal knows.

    `installed` is the version that it ran when the plan was made, `current` the one that it last said it runs.
    """

    name: str
    wave: int
    outcome: HostOutcome
    installed: str
    current: str
    detail: str
    downtime_ms: int


@dataclass(frozen=True, slots=True)
class WaveState:
    number: int
    started: datetime | None
    finished: datetime | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Change:
    """Everything that the verbs ask of a change.

    `stopped_because` is the code of the rule that broke, or what a person said; `reasons` are what the probes said when
    they last found something that was not well. `touched` are the hosts on which this change may have left something:
    all that took part in a wave that was started, or were tried again later; `late` are the latter,
    `going_back` those of them that are taken back alone.
    """

    state: State
    plan_digest: str
    hosts: Mapping[str, HostState]
    waves: Mapping[int, WaveState]
    stopped_because: str
    reasons: tuple[str, ...]
    soak_started: datetime | None
    exceptions: Mapping[str, HostException]
    touched: tuple[str, ...] = ()
    late: frozenset[str] = frozenset()
    going_back: frozenset[str] = frozenset()
    demand: Demand | None = None
    stable_since: datetime | None = None

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for it by a day: not for one that was cancelled."""
        return self.demand is not None and self.state is not State.CANCELLED

    @property
    def counts(self) -> Mapping[HostOutcome, int]:
        return Counter(host.outcome for host in self.hosts.values())

    @property
    def not_restored(self) -> tuple[HostState, ...]:
        """After a rollback: the hosts for which nobody has said that they are as they were."""
        whole = {HostOutcome.ROLLED_BACK, HostOutcome.UNCHANGED}
        touched = set(self.touched)
        return tuple(h for h in self.hosts.values() if h.name in touched and h.outcome not in whole)

    @property
    def left_behind(self) -> tuple[HostState, ...]:
        """The hosts that are not as the change should leave them: on the new version, or taken back with the others."""
        if self.stopped_because:
            return self.not_restored
        return tuple(host for host in self.hosts.values() if host.outcome not in REACHED)

    @property
    def unowned(self) -> tuple[str, ...]:
        """The hosts that are left behind, and for which nobody answers yet."""
        return tuple(host.name for host in self.left_behind if host.name not in self.exceptions)


def view(history: History, plan: Plan | None) -> Change:
    """Compute the change from its journal and the plan that it runs."""
    hosts = _hosts_of(plan)
    waves = {wave.number: WaveState(wave.number, None, None, "") for wave in plan.waves} if plan else {}
    plan_digest, because, soak_started = "", "", None
    reasons: tuple[str, ...] = ()
    begun, late, back = frozenset[str](), frozenset[str](), frozenset[str]()
    for entry in history.entries:
        match entry.event:
            case Event.PLAN_MADE:
                plan_digest = entry.data["plan"]
            case Event.WAVE_STARTED | Event.WAVE_FINISHED | Event.WAVE_JUDGED:
                number = entry.data["wave"]
                if entry.event is Event.WAVE_STARTED:
                    begun |= _named(entry, (name for name, host in hosts.items() if host.wave == number))
                reasons = tuple(entry.data.get("reasons", reasons))
                if number in waves:
                    waves[number] = _wave_after(waves[number], entry)
            case Event.HOST_REPORTED:
                name = entry.data["host"]
                if name in hosts:
                    hosts[name] = _host_after(hosts[name], entry, going_back=bool(because) or name in back)
            case Event.RETRY_STARTED:
                begun, late, back = begun | _named(entry), late | _named(entry), back - _named(entry)
            case Event.LATE_ROLLBACK_STARTED:
                back |= _named(entry)
            case Event.FOUND_STABLE | Event.FOUND_UNSTABLE | Event.FOUND_INCONCLUSIVE:
                reasons = tuple(entry.data["reasons"])
            case Event.ROLLBACK_STARTED:
                because = entry.data["because"]
            case Event.SOAK_STARTED:
                soak_started = entry.at
            case _:
                pass
    exceptions = exceptions_of(history)
    touched = tuple(name for name in hosts if name in begun)
    return Change(
        state=history.state,
        plan_digest=plan_digest,
        hosts=hosts,
        waves=waves,
        stopped_because=because,
        reasons=reasons,
        soak_started=soak_started,
        exceptions=exceptions,
        touched=touched,
        late=late,
        going_back=back,
        demand=demand_of(history),
        stable_since=fulfilled_at(history),
    )


def _named(entry: Entry, otherwise: Iterable[str] = ()) -> frozenset[str]:
    """The hosts that an entry names; `otherwise` where it names none."""
    return frozenset(entry.data.get("hosts", otherwise))


def breach(outcomes: Iterable[HostState], wave: int, thresholds: Thresholds) -> str | None:
    """Which threshold the outcomes so far have broken, as a stable code; None when none is.

    A host that no event speaks of (not run) counts as failed, never as well.
    """
    bad = {HostOutcome.FAILED, HostOutcome.ROLLED_BACK, HostOutcome.NOT_RUN}
    failed_in_all = failed_in_wave = unreachable = in_wave = 0
    for host in outcomes:
        if host.wave > wave:
            continue
        failed_in_all += host.outcome in bad
        if host.wave == wave:
            in_wave += host.outcome not in PENDING
            failed_in_wave += host.outcome in bad
            unreachable += host.outcome is HostOutcome.UNREACHABLE
    if failed_in_wave > thresholds.failed_in_wave:
        return "too-many-failed-in-wave"
    if failed_in_all > thresholds.failed_in_all:
        return "too-many-failed-in-all"
    if unreachable > thresholds.unreachable_in_wave or (in_wave and unreachable == in_wave):
        return "too-many-unreachable"
    return None


def _hosts_of(plan: Plan | None) -> dict[str, HostState]:
    if plan is None:
        return {}
    installed = {host.name: host.installed for host in plan.hosts}
    return {
        name: HostState(name, wave.number, HostOutcome.NOT_RUN, installed[name], installed[name], "", 0)
        for wave in plan.waves
        for name in wave.hosts
    }


def _wave_after(wave: WaveState, entry: Entry) -> WaveState:
    match entry.event:
        case Event.WAVE_STARTED:
            return replace(wave, started=entry.at, finished=None, verdict="")
        case Event.WAVE_FINISHED:
            return replace(wave, finished=entry.at)
        case _:
            return replace(wave, verdict=entry.data["verdict"])


def _host_after(host: HostState, entry: Entry, *, going_back: bool) -> HostState:
    """What a host is after one more report. What it said before is kept where the new report only confirms it."""
    data = entry.data
    outcome = HostOutcome(data["outcome"])
    confirms = outcome is HostOutcome.UNCHANGED and host.outcome is not HostOutcome.NOT_RUN
    if going_back:
        outcome = _after_rollback(host, outcome, data["current"])
    elif outcome is HostOutcome.UNCHANGED and _is_our_work(host, data):
        outcome = HostOutcome.UPGRADED  # said again after a crash: the host is as this change made it
    return replace(
        host,
        outcome=outcome,
        current=data["current"] or host.current,
        detail=host.detail if confirms or not data["detail"] else data["detail"],
        downtime_ms=max(host.downtime_ms, data["downtime_ms"]),
    )


def _is_our_work(host: HostState, data: Mapping[str, Any]) -> bool:
    """A host that names the version it came from was upgraded by this change, even if we died before we heard of it."""
    return host.outcome is HostOutcome.UPGRADED or data["from"] not in ("", data["current"])


def _after_rollback(host: HostState, outcome: HostOutcome, current: str) -> HostOutcome:
    """Believe a host that it was taken back only when it runs again what it ran before."""
    if outcome not in (HostOutcome.ROLLED_BACK, HostOutcome.UNCHANGED):
        return outcome
    if host.installed not in (UNKNOWN, current):
        return HostOutcome.FAILED
    untouched = host.outcome in (HostOutcome.UNCHANGED, HostOutcome.NOT_RUN, HostOutcome.UNREACHABLE, HostOutcome.BUSY)
    return outcome if untouched else HostOutcome.ROLLED_BACK
