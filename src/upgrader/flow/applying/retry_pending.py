"""Retry: upgrade the workstations that were away or in use, once they are back and while their change still may run."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from upgrader.domain.approval.authorization import Authorization
from upgrader.domain.changes.change import Change, view
from upgrader.domain.changes.forecast import Experience
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event, may
from upgrader.domain.changes.plan import Plan
from upgrader.domain.changes.playbook import PENDING, HostOutcome
from upgrader.domain.errors import ExitCode, OutsideWindow, Refused, UpgraderError
from upgrader.domain.names import HostName
from upgrader.flow.applying.brakes import check_brakes
from upgrader.flow.applying.host_memory import check_journal_is_newest
from upgrader.flow.applying.late_hosts import check_late_failures, finish, unfinished, upgrade_late
from upgrader.flow.applying.re_imaged import find_re_imaged
from upgrader.flow.applying.roll_back import authorized_before, authorized_plan
from upgrader.flow.applying.running import Running
from upgrader.flow.approval import authorize as gate
from upgrader.flow.approval.authorize import Examined
from upgrader.flow.approval.debts import check_none_overdue
from upgrader.flow.history import read_history
from upgrader.flow.identity import acting_person
from upgrader.flow.planning.calendar import hosts_allowed
from upgrader.flow.planning.forecast import earlier_experience, late_length
from upgrader.flow.planning.overlap import names_to_hold
from upgrader.flow.releases.deliverables import deliverables
from upgrader.flow.site import Site
from upgrader.ports import Journal, Progress

AGAIN = timedelta(minutes=15)  # after which a host that was busy, or lost on the way, is asked once more


@dataclass(frozen=True, slots=True)
class Retried:
    """`tried` are the hosts that were there and were worked on; `waiting` those that are still to come."""

    exit_code: ExitCode
    change: Change
    tried: Sequence[str]
    waiting: Sequence[str]


def retry_pending(site: Site, change: str, progress: Progress, *, look: bool = False) -> Retried:
    """Try once more the hosts that a change waits for. Safe to call at any time, and again: nobody there is no news.

    1. lock   2. end what was cut short   3. who is waited for?   4. hours, gate, calendar   5. who is there?
    6. upgrade, ask the probes, take back alone whoever is not well   7. close the exceptions of those who are well
    With `look`, hosts that were done are asked what they run, so that one installed anew is waited for again; without,
    only those that checked in. Raises Refused, OutsideWindow, Locked or Integrity before any host is changed.
    """
    actor = acting_person(site)
    read_history(site, change)
    with (
        site.locks.hold([f"change-{change}"], purpose=f"retry {change}", holder=actor, now=site.clock()),
        site.journal(change) as journal,
    ):
        history = journal.history()
        if not may(history.state, Event.RETRY_AUTHORIZED):
            raise Refused("change-not-in-state", state=history.state, event=Event.RETRY_AUTHORIZED, legal="-")
        plan = authorized_plan(site, change, history)
        if view(history, plan).stopped_because:
            return _retried(journal, plan, [])
        tried = list(unfinished(history))
        if tried:
            with authorized_before(site, change, journal, actor, progress) as running:
                finish(running, tried)
        find_re_imaged(site, journal, plan, actor, progress, everybody=look)
        if waiting_hosts(journal.history(), plan):
            tried += _try(site, journal, plan, actor, progress)
        return _retried(journal, plan, tried)


def waiting_hosts(history: History, plan: Plan) -> Sequence[HostName]:
    """The workstations that a change waits for: away, in use, installed anew, or lost before anything was proven."""
    hosts = view(history, plan).hosts
    waited_for = PENDING | {HostOutcome.UNREACHABLE}
    return [host.name for host in plan.workstations if hosts[host.name].outcome in waited_for]


def _try(site: Site, journal: Journal, plan: Plan, actor: str, progress: Progress) -> list[str]:
    """Work on those who are there, a wave's worth at a time. Gives the hosts that were worked on."""
    if plan.open_until(site.clock()) <= site.clock():
        raise _not_open(site, plan)
    with _passed_gate(site, journal, plan, actor) as (examined, authorization):
        hosts = hosts_allowed(site, examined.tree, examined, _due(site, journal.history(), plan))
        present = _present(site, plan, hosts)
        if not present:
            return []
        names = names_to_hold(site, examined.snapshot, examined.plan)
        with site.locks.hold(names, purpose=f"retry {plan.change}", holder=actor, now=site.clock()):
            running = Running(site, journal, plan, examined.tree, actor, progress)
            check_journal_is_newest(running)
            brought = deliverables(site, examined)
            running.write(Event.RETRY_AUTHORIZED, _as_data(authorization))
            worth = max(len(wave.hosts) for wave in plan.waves)
            earlier = earlier_experience(site, plan)
            for start in range(0, len(present), worth):
                batch = present[start : start + worth]
                if not _may_begin(running, batch, earlier):
                    return present[:start]
                upgrade_late(running, batch, brought)
            gate.check_tree(site, running.tree)
    return present


def _may_begin(running: Running, batch: Sequence[str], earlier: Experience) -> bool:
    """Whether a batch can be over, or taken back, before the hours end; and late hosts have not failed too often."""
    site, history = running.site, running.journal.history()
    check_brakes(site, running.plan.change)
    check_late_failures(history, running.plan)
    gate.check_tree(site, running.tree)
    needed = late_length(site, running.plan, history, batch, earlier)
    return site.clock() + needed <= running.plan.open_until(site.clock())


def _due(site: Site, history: History, plan: Plan) -> Sequence[HostName]:
    """Those who are waited for, but for hosts that were tried a short while ago."""
    tried = {name: entry.at for entry in history.of(Event.RETRY_STARTED) for name in entry.data["hosts"]}
    now = site.clock()
    return [name for name in waiting_hosts(history, plan) if name not in tried or now - tried[name] >= AGAIN]


def _present(site: Site, plan: Plan, names: Sequence[HostName]) -> list[str]:
    """Those who take a connection. The others are called awake, and found the next time."""
    hosts = [plan.host(name) for name in names]
    absent = site.presence.absent(hosts) if hosts else {}
    sleepers = [h for h in hosts if h.name in absent and h.workstation is not None and h.workstation.mac is not None]
    if sleepers:
        site.presence.wake(sleepers)
    return [host.name for host in hosts if host.name not in absent]


@contextmanager
def _passed_gate(site: Site, journal: Journal, plan: Plan, actor: str) -> Iterator[tuple[Examined, Authorization]]:
    """Ask the gate about the plan that ran, as of now. A no is written down, once while nothing else happens."""
    authorized = journal.history().last(Event.PLAN_AUTHORIZED)
    commit = authorized.data["commit"] if authorized else ""
    ground: Mapping[str, Any] = {}
    try:
        check_brakes(site, plan.change)
        check_late_failures(journal.history(), plan)
        check_none_overdue(site, plan)
        ground = gate.present_ground(site).as_data()
        with gate.examine_late(site, plan.change, commit, plan.digest.hex) as examined:
            authorization = gate.authorized_at_any_time(site, examined)
            yield examined, authorization
    except UpgraderError as error:
        _write_refusal(site, journal, error, ground, actor)
        raise


def _write_refusal(site: Site, journal: Journal, error: UpgraderError, ground: Mapping[str, Any], actor: str) -> None:
    data = {"code": error.code, "fields": error.fields, "late": True, **ground}
    entries = journal.history().entries
    last = entries[-1] if entries else None
    if last is None or last.event is not Event.GATE_REFUSED or last.data.get("code") != error.code:
        journal.write(Event.GATE_REFUSED, data, at=site.clock(), actor=actor)


def _as_data(authorization: Authorization) -> Mapping[str, Any]:
    return {
        "plan": authorization.plan.hex,
        "commit": authorization.commit,
        "trust_version": authorization.trust_version,
        "people": list(authorization.people),
        "approvals": list(authorization.approvals),
    }


def _not_open(site: Site, plan: Plan) -> OutsideWindow:
    zone = ZoneInfo(plan.window.zone)
    now = f"{site.clock().astimezone(zone):%Y-%m-%d %H:%M}"
    if plan.late is None:
        closes = f"{plan.window.closes.astimezone(zone):%Y-%m-%d %H:%M}"
        return OutsideWindow("late-not-declared", change=plan.change, closes=closes, now=now, zone=plan.window.zone)
    hours, until = f"{plan.late.starts}-{plan.late.ends}", f"{plan.late.until.astimezone(zone):%Y-%m-%d %H:%M}"
    return OutsideWindow("late-not-open", change=plan.change, hours=hours, until=until, now=now, zone=plan.window.zone)


def _retried(journal: Journal, plan: Plan, tried: Sequence[str]) -> Retried:
    change = view(journal.history(), plan)
    waiting = waiting_hosts(journal.history(), plan)
    outcomes = {change.hosts[name].outcome for name in tried}
    if HostOutcome.FAILED in outcomes:
        code = ExitCode.ROLLBACK_INCOMPLETE
    elif HostOutcome.ROLLED_BACK in outcomes:
        code = ExitCode.ROLLED_BACK
    else:
        code = ExitCode.OFFLINE_LEFT if waiting else ExitCode.DONE
    return Retried(code, change, tuple(dict.fromkeys(tried)), waiting)
