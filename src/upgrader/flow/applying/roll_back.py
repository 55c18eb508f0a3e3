"""Roll back: take back what this change did, on every host that it touched, and say what each host ended as."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from upgrader.domain import plain
from upgrader.domain.changes.brake import Brake
from upgrader.domain.changes.change import Change, view
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event, State, may
from upgrader.domain.changes.plan import Plan, read_plan
from upgrader.domain.digest import Digest
from upgrader.domain.errors import ExitCode, Refused
from upgrader.domain.names import ChangeId
from upgrader.domain.plain import instant
from upgrader.flow import repository
from upgrader.flow.applying.brakes import abort_asked
from upgrader.flow.applying.host_memory import check_journal_is_newest
from upgrader.flow.applying.running import Running, run_playbook
from upgrader.flow.history import read_history
from upgrader.flow.identity import acting_person
from upgrader.flow.planning.materials import need
from upgrader.flow.planning.overlap import names_to_hold
from upgrader.flow.releases.deliverables import NOTHING
from upgrader.flow.site import Site
from upgrader.ports import Journal, Progress, Snapshot

ASKED = "asked: "


@dataclass(frozen=True, slots=True)
class TakenBack:
    """How a rollback ended; `of` is the change of the same request that this tells of, when it is not the named one."""

    exit_code: ExitCode
    change: Change
    because: str
    of: ChangeId | None = None


def roll_back_change(site: Site, change: str, reason: str, progress: Progress) -> TakenBack:
    """Take a change back because a person says so, outside the window too: the way back is part of what was signed.

    Asked again after a crash, it goes on where it stopped. Raises Refused when the change is not in a state that can be
    taken back.
    """
    actor, because = acting_person(site), asked_because(reason)
    read_history(site, change)
    with (
        site.locks.hold([f"change-{change}"], purpose=f"rollback {change}", holder=actor, now=site.clock()),
        site.journal(change) as journal,
    ):
        state = journal.history().state
        if may(state, Event.ROLLBACK_FINISHED):
            return resume_rollback(site, change, journal, actor, progress)
        if not may(state, Event.ROLLBACK_STARTED):
            if _is_taken_back(journal.history(), because):
                return _ended(site, change, journal.history(), because)
            raise Refused("change-not-in-state", state=state, event=Event.ROLLBACK_STARTED, legal="-")
        with authorized_before(site, change, journal, actor, progress) as running:
            return take_back(running, because)


def _is_taken_back(history: History, because: str) -> bool:
    """Whether this very rollback came to its end, for which a command that was killed right after is given again."""
    started = history.last(Event.ROLLBACK_STARTED)
    over = history.state is State.ROLLED_BACK
    return over and started is not None and started.data["because"] == because


def _ended(site: Site, change: str, history: History, because: str) -> TakenBack:
    return TakenBack(ExitCode.ROLLED_BACK, view(history, authorized_plan(site, change, history)), because)


def resume_rollback(site: Site, change: str, journal: Journal, actor: str, progress: Progress) -> TakenBack:
    """Go on with a rollback that was cut short, or that left hosts behind."""
    with authorized_before(site, change, journal, actor, progress) as running:
        started = journal.history().last(Event.ROLLBACK_STARTED)
        because = started.data["because"] if started else "-"
        if may(journal.history().state, Event.ROLLBACK_STARTED):  # stuck: try once more
            return take_back(running, because)
        ends = instant(started.data["ends"]) if started and "ends" in started.data else None
        return _take_back_hosts(running, because, ends, None)


def asked_because(reason: str) -> str:
    """Why a change is taken back that a person wants back."""
    return f"{ASKED}{reason}"


def was_asked(because: str) -> bool:
    """Whether somebody asked for it, and no rule was broken."""
    return because.startswith(ASKED)


def take_back(running: Running, because: str, *, ends: datetime | None = None) -> TakenBack:
    """Write down why, then take back every host that a started wave may have touched, all at once.

    The way back that nobody asked for may take until `ends`. A host that it has not reached by then is stuck: it is
    named, nothing more is begun on it, and a person decides. Without `ends` it takes the time that it needs. Whoever
    asked for it from another process stands there as the one who did.
    """
    began, abort = running.site.clock(), _readable_abort(running)
    by_them = abort is not None and because == asked_because(abort.reason)
    actor = abort.person if abort is not None and by_them else running.actor
    data = {"because": because, **({"ends": plain.to_plain(ends)} if ends else {})}
    replace(running, actor=actor).write(Event.ROLLBACK_STARTED, data)
    if abort is not None:
        running.site.brakes.done(abort)
    return _take_back_hosts(running, because, ends, began)


def _readable_abort(running: Running) -> Brake | None:
    """What was asked; one that can't be read holds what would begin, and never the way back."""
    try:
        return abort_asked(running.site, running.plan.change)
    except Refused:
        return None


def _take_back_hosts(running: Running, because: str, ends: datetime | None, began: datetime | None) -> TakenBack:
    """`began` is None for a way back that was cut short: nobody knows how long that one took."""
    clock = running.site.clock
    before = view(running.journal.history(), running.plan)
    touched, back = before.touched, _back_already(running.journal.history(), before)
    asked = [name for name in touched if name not in back]
    if asked and (ends is None or clock() < ends):
        run_playbook(running, running.plan.playbooks.rollback, asked, NOTHING, until=ends)
    change = view(running.journal.history(), running.plan)
    took = {"touched": len(touched), **({"seconds": int((clock() - began).total_seconds())} if began else {})}
    left = [host.name for host in change.not_restored]
    if left:
        running.write(Event.ROLLBACK_INCOMPLETE, {"hosts": left, **took})
    else:
        running.write(Event.ROLLBACK_FINISHED, {"hosts": list(touched), **took})
    change = replace(change, state=running.journal.history().state)
    return TakenBack(ExitCode.ROLLBACK_INCOMPLETE if left else ExitCode.ROLLED_BACK, change, because)


def _back_already(history: History, change: Change) -> frozenset[str]:
    """The hosts that have said in this rollback, before it was cut short, that they are as they were."""
    started = history.last(Event.ROLLBACK_STARTED)
    said = {e.data["host"] for e in history.of(Event.HOST_REPORTED) if started is not None and e.seq > started.seq}
    return frozenset(said - {host.name for host in change.not_restored})


@contextmanager
def authorized_before(site: Site, change: str, journal: Journal, actor: str, progress: Progress) -> Iterator[Running]:
    """The plan and the tree that were authorized when this change began: a rollback runs exactly these.

    Approvals that have run out since do not block the way back; other bytes than the authorized ones do, and so does a
    journal that knows less than the hosts.
    """
    snapshot, plan = _authorized(site, change, journal.history())
    with site.export(snapshot) as tree:
        if tree.digest != plan.playbooks.tree:
            raise Refused("plan-not-of-its-parts", change=change, part="playbooks")
        names = names_to_hold(site, snapshot, plan)
        with site.locks.hold(names, purpose=f"rollback {change}", holder=actor, now=site.clock()):
            running = Running(site, journal, plan, tree, actor, progress)
            check_journal_is_newest(running)
            yield running


def authorized_plan(site: Site, change: str, history: History) -> Plan:
    """The plan under which this change ran, read from the commit that the gate let pass."""
    return _authorized(site, change, history)[1]


def _authorized(site: Site, change: str, history: History) -> tuple[Snapshot, Plan]:
    authorized = history.last(Event.PLAN_AUTHORIZED)
    if authorized is None:
        raise Refused("change-not-in-state", state=history.state, event=Event.ROLLBACK_STARTED, legal="-")
    snapshot = site.mirror.at(authorized.data["commit"])
    content = need(snapshot, f"{repository.change_folder(change)}/plan.json")
    return snapshot, _plan_of(content, authorized.data["plan"])


def _plan_of(content: bytes, digest: str) -> Plan:
    known = Digest(digest)
    plan = read_plan(content, known=known)
    if Digest.of(content) != known:
        raise Refused("plan-digest", expected=digest[:8], found=plan.digest.short, file="plan.json")
    return plan
