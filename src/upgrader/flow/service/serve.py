"""Serve: one service that begins what is on the schedule, goes on with what was cut short, and measures soaks.

It is level-triggered: every tick looks at all journals afresh and does what is due. It remembers nothing that matters,
so a missed tick costs nothing, and neither does kill -9. It has no voice: it signs nothing, and acts in the name of
the person who put a change on the schedule, or who began what it goes on with. Each change is worked on in a process
of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from upgrader.domain.changes.heartbeat import Beat
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event, State, may
from upgrader.domain.changes.notification import AGAIN
from upgrader.domain.changes.plan import Plan
from upgrader.domain.changes.schedule import Due, Duty, due, scheduled
from upgrader.domain.errors import ExitCode, UpgraderError
from upgrader.domain.names import PersonId
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.applying.joint import pulled_by
from upgrader.flow.applying.retry_pending import retry_pending, waiting_hosts
from upgrader.flow.applying.roll_back import authorized_plan, roll_back_change
from upgrader.flow.approval.debts import overdue
from upgrader.flow.closing.soak import soak_change
from upgrader.flow.history import read_history
from upgrader.flow.service.in_order import pulled_back_with, waits_for
from upgrader.flow.service.notify import anything_owed
from upgrader.flow.service.schedule import expire
from upgrader.flow.service.service_journal import SERVICE, as_service
from upgrader.flow.site import Site
from upgrader.ports import Workers

RUNS = frozenset(
    {State.APPLYING, State.SOAKING, State.STABLE, State.ACCEPTED}
)  # what is due then depends on the plan that runs
SLICE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Said:
    """One line of the service: the key of its text, and its fields. `change` is empty for what concerns none."""

    at: datetime
    change: str
    key: str
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a duty ended. `code` and `fields` are those of the error when it ended with one."""

    duty: Duty
    exit_code: ExitCode
    state: str = ""
    code: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


Tell = Callable[[Said], None]
OpenSite = Callable[[], Site]


@dataclass
class Service:
    """`told` is what was last said of each change, so that the same is not said at every tick; nothing rests on it."""

    site: Site
    open_site: OpenSite
    workers: Workers[Outcome]
    tell: Tell
    seconds: int
    told: dict[str, tuple[str, ...]] = field(default_factory=dict)
    worst: ExitCode = ExitCode.DONE

    def tick(self) -> None:
        """Look at everything, and begin what is due. What is wrong with one change does not concern the others."""
        self.collect()
        self.site.heartbeat.beat(Beat(self.site.clock(), self.seconds, tuple(sorted(self.workers.busy))))
        for change in self.site.journals.unclosed_with(Event.CHANGE_REQUESTED):
            if change in self.workers.busy or self.site.is_ending():
                continue
            try:
                self._look_at(change)
            except UpgraderError as error:
                self._tell_once(change, "serve.unreadable", error.code, error.fields)
        self._look_at_debts()
        self._look_at_messages()

    def collect(self) -> None:
        """Tell how the duties ended that are over by now."""
        for change, outcome in self.workers.ended():
            if outcome is None:
                self._tell_once(change, "serve.broken", "broken", {})
                self.worst = self.worst or ExitCode.UNEXPECTED
                continue
            self.worst = self.worst or outcome.exit_code
            if outcome.code:
                self._tell_once(change, f"serve.refused.{outcome.duty}", outcome.code, outcome.fields)
            elif outcome.duty is not Duty.RETRY and (outcome.duty, outcome.state) != (Duty.MEASURE, State.SOAKING):
                self.told.pop(change, None)
                self._tell(change, "serve.over", {"state": outcome.state, "exit_code": int(outcome.exit_code)})

    def _look_at(self, change: str) -> None:
        history = read_history(self.site, change)
        plan, now = _running_plan(self.site, change, history), self.site.clock()
        found = due(history, plan, now) or _goes_back_too(self.site, change, history) or _late_hosts(history, plan, now)
        if found is not None and found.duty is Duty.START and (earlier := waits_for(self.site, change)):
            self._tell_once(change, "serve.waits-for", "", {"other": earlier})
        elif found is not None:
            self.workers.start(change, partial(carry_out, self.open_site, change, found, self.tell))

    def _look_at_debts(self) -> None:
        try:
            late = overdue(self.site)
        except UpgraderError:  # a journal that can't be read was told already
            return
        for debt in late:
            self._tell_once(f"debt {debt.change}", "serve.debt-overdue", "overdue", {"change": debt.change})

    def _look_at_messages(self) -> None:
        """Have people told what did not arrive a while ago, or what a killed process left untold."""
        try:
            if self.site.people.are_told and anything_owed(self.site, AGAIN):
                self.site.people.call()
        except UpgraderError as error:
            self._tell_once("", "serve.nobody-told", error.code, error.fields)

    def _tell_once(self, about: str, key: str, code: str, fields: Mapping[str, str]) -> None:
        if self.told.get(about) != (key, code):
            self.told[about] = (key, code)
            self._tell(about.removeprefix("debt "), key, {"code": code, **fields})

    def _tell(self, change: str, key: str, fields: Mapping[str, object]) -> None:
        self.tell(Said(self.site.clock(), change, key, fields))


def serve(open_site: OpenSite, workers: Workers[Outcome], tell: Tell, *, seconds: int, once: bool) -> ExitCode:
    """Serve one state folder until this process is asked to end, or `once`: one tick, and what it began.

    Asked to end, it begins nothing more and waits for what runs, which ends before its next wave. Gives the first exit
    code of a duty that was not well. Raises Locked when another service is at work here.
    """
    site = open_site()
    service = Service(site, open_site, workers, tell, seconds)
    holder = site.person or SERVICE
    with site.locks.hold([SERVICE], purpose=SERVICE, holder=holder, now=site.clock()):
        tell(Said(site.clock(), "", "serve.began", {"seconds": seconds, "folder": str(site.state)}))
        while True:
            service.tick()
            if once or _rest(service):
                break
        if site.is_ending() and workers.busy:
            tell(Said(site.clock(), "", "serve.waits", {"changes": sorted(workers.busy)}))
        service.collect()
        while workers.busy:
            site.sleep(SLICE_SECONDS)
            service.collect()
        tell(Said(site.clock(), "", "serve.ended", {}))
    return service.worst


def carry_out(open_site: OpenSite, change: str, found: Due, tell: Tell) -> Outcome:
    """Do one duty, on a site that was opened for it: a process shares no program that it talks to with another.

    A rule that says no is an outcome like others.
    """
    site = open_site()
    site = replace(site, person=found.by, journal=as_service(site.journal))

    def progress(key: str, fields: Mapping[str, object]) -> None:
        tell(Said(site.clock(), change, key, fields))

    if found.duty in (Duty.GO_ON, Duty.GO_BACK):
        progress(f"serve.begun.{found.duty}", {"person": found.by})
    try:
        match found.duty:
            case Duty.START:
                history = read_history(site, change)
                if (order := scheduled(history)) is None or due(history, None, site.clock()) != found:
                    return Outcome(found.duty, ExitCode.DONE, history.state)  # taken off a moment ago
                applied = apply_change(site, change, progress, order=order)
                return Outcome(found.duty, applied.exit_code, applied.change.state)
            case Duty.GO_ON | Duty.GO_BACK:
                applied = apply_change(site, change, progress)
                return Outcome(found.duty, applied.exit_code, applied.change.state)
            case Duty.MEASURE:
                soaked = soak_change(site, change, progress, wait=False)
                return Outcome(found.duty, soaked.exit_code, soaked.change.state)
            case Duty.PULL_BACK:
                return _pulled_back(site, change, progress)
            case Duty.RETRY:
                retried = retry_pending(site, change, progress)
                return Outcome(found.duty, retried.exit_code, retried.change.state)
            case Duty.EXPIRE:
                return _expired(site, change, progress)
    except UpgraderError as error:
        return Outcome(found.duty, error.exit_code, code=error.code, fields=error.fields)


def _goes_back_too(site: Site, change: str, history: History) -> Due | None:
    """A change goes back with the later one of its request that was taken back by a rule."""
    found = pulled_back_with(site, change, history)
    return Due(Duty.PULL_BACK, found[1]) if found is not None else None


def _pulled_back(site: Site, change: str, progress: Callable[[str, Mapping[str, object]], None]) -> Outcome:
    history = read_history(site, change)
    if (found := pulled_back_with(site, change, history)) is None:
        return Outcome(Duty.PULL_BACK, ExitCode.DONE, history.state)  # it has gone back a moment ago
    progress(f"serve.begun.{Duty.PULL_BACK}", {"other": found[0], "person": found[1]})
    taken = roll_back_change(site, change, pulled_by(found[0]), progress)
    return Outcome(Duty.PULL_BACK, taken.exit_code, taken.change.state)


def _expired(site: Site, change: str, progress: Callable[[str, Mapping[str, object]], None]) -> Outcome:
    order = expire(site, change)
    if order is not None:
        progress("serve.expired", {"person": order.by, "expires": f"{order.expires:%Y-%m-%dT%H:%M:%SZ}"})
    ending = ExitCode.OUTSIDE_WINDOW if order else ExitCode.DONE
    return Outcome(Duty.EXPIRE, ending, read_history(site, change).state)


def _late_hosts(history: History, plan: Plan | None, now: datetime) -> Due | None:
    """Workstations that the change still waits for are tried again in its hours, in the name of whoever began it."""
    began = history.last(Event.APPLY_STARTED)
    if plan is None or began is None or not may(history.state, Event.RETRY_AUTHORIZED) or plan.open_until(now) <= now:
        return None
    return Due(Duty.RETRY, PersonId(began.actor)) if waiting_hosts(history, plan) else None


def _running_plan(site: Site, change: str, history: History) -> Plan | None:
    return authorized_plan(site, change, history) if history.state in RUNS else None


def _rest(service: Service) -> bool:
    """Wait for the next tick; whether this process was asked to end meanwhile."""
    waited = 0.0
    while waited < service.seconds and not service.site.is_ending():
        service.site.sleep(SLICE_SECONDS)
        waited += SLICE_SECONDS
        service.collect()
    return service.site.is_ending()
