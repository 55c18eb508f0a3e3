"""Apply: run the approved plan wave by wave, and take it back by itself when a threshold breaks.

Call it again after a crash: the journal says where it stopped, every host knows what was done to it,
nothing runs twice.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from upgrader.domain import plain
from upgrader.domain.approval.authorization import Authorization
from upgrader.domain.approval.debt import opening
from upgrader.domain.changes.change import REACHED, SILENT, Change, breach, view
from upgrader.domain.changes.forecast import Experience
from upgrader.domain.changes.lifecycle import Event, Work, work_left
from upgrader.domain.changes.plan import Plan, Wave
from upgrader.domain.changes.playbook import PENDING, HostOutcome
from upgrader.domain.changes.request import Kind
from upgrader.domain.changes.schedule import Scheduled, scheduled
from upgrader.domain.changes.verdict import Verdict
from upgrader.domain.errors import ExitCode, Integrity, OutsideWindow, Refused, UpgraderError
from upgrader.domain.names import ChangeId, HostName
from upgrader.domain.secret import secrets_of
from upgrader.flow.applying.brakes import abort_asked
from upgrader.flow.applying.clocks import check_host_clocks, check_journal_clock
from upgrader.flow.applying.host_memory import check_journal_is_newest
from upgrader.flow.applying.pause import heed, wait_while_paused
from upgrader.flow.applying.prove import prove_way_back
from upgrader.flow.applying.roll import Roll, check_somebody_reached
from upgrader.flow.applying.roll_back import (
    TakenBack,
    asked_because,
    authorized_before,
    authorized_plan,
    resume_rollback,
    take_back,
)
from upgrader.flow.applying.running import Running, run_playbook
from upgrader.flow.approval import authorize as gate
from upgrader.flow.approval.authorize import Examined
from upgrader.flow.approval.debts import check_none_overdue
from upgrader.flow.closing.soak import judge_wave
from upgrader.flow.history import read_history, write_plan_made
from upgrader.flow.identity import acting_person
from upgrader.flow.planning.calendar import check_calendar
from upgrader.flow.planning.forecast import Reserve, check_last_safe_moment, earlier_experience, forecast
from upgrader.flow.planning.overlap import names_to_hold
from upgrader.flow.releases.deliverables import Deliverables, deliverables
from upgrader.flow.site import Site
from upgrader.ports import Journal, Progress


@dataclass(frozen=True, slots=True)
class Applied:
    """How `apply` ended. `because` is the code of the rule that broke when the change was taken back.

    `of` is the change of the same request that this tells of, when it is another one than was named.
    """

    exit_code: ExitCode
    change: Change
    because: str = ""
    of: ChangeId | None = None


def apply_change(site: Site, change: str, progress: Progress, *, order: Scheduled | None = None) -> Applied:
    """Run what is left of a change.

    1. lock   2. what is left to do?   3. the gate   4. every wave in order   5. begin the soak
    With an `order` it begins only while exactly that stands on the schedule, and with the plan that was scheduled.
    Raises Refused, OutsideWindow, Locked or Integrity before any host is contacted; the refusal is in the journal.
    """
    actor = acting_person(site)
    with (
        site.locks.hold([f"change-{change}"], purpose=f"apply {change}", holder=actor, now=site.clock()),
        site.journal(change) as journal,
    ):
        match work_left(journal.history().state):
            case Work.NOTHING:
                return _nothing_left(site, change)
            case Work.GO_BACK:
                return _applied_back(resume_rollback(site, change, journal, actor, progress))
            case Work.GO_ON:
                return (
                    settle_what_ran(site, change, journal, actor, progress)
                    or _after_pause(site, change, journal, actor, progress)
                    or _apply(site, change, journal, actor, progress)
                )
            case Work.START:
                wait_while_paused(site, change, journal, actor, progress)
                if order is not None and scheduled(journal.history()) != order:
                    raise Refused("not-scheduled", change=change, state=journal.history().state)
                return _apply(site, change, journal, actor, progress, order)


def settle_what_ran(site: Site, change: str, journal: Journal, actor: str, progress: Progress) -> Applied | None:
    """After a stop: judge the wave that ended unjudged, begin the soak when all are stable. None: waves are left.

    Needs nobody's word and no window: no host gets anything new. The way back is part of what was signed, but
    for a person to ask for once the window is over.
    """
    plan = authorized_plan(site, change, journal.history())
    stood = view(journal.history(), plan)
    over = [wave for wave in plan.waves if stood.waves[wave.number].started and not _unproven(stood, wave)]
    unjudged = [wave for wave in over if stood.waves[wave.number].verdict != Verdict.STABLE]
    if not unjudged and len(over) < len(plan.waves):
        _check_none_left_open(site, plan, journal, actor)
        return None
    with authorized_before(site, change, journal, actor, progress) as running:
        for wave in unjudged:
            if because := _finish_wave(running, wave):
                return _applied_back(take_back(running, because, ends=plan.window.closes))
        return begin_soak(running) if len(over) == len(plan.waves) else None


def _after_pause(site: Site, change: str, journal: Journal, actor: str, progress: Progress) -> Applied | None:
    taken = wait_while_paused(site, change, journal, actor, progress)
    return _applied_back(taken) if taken is not None else None


def _check_none_left_open(site: Site, plan: Plan, journal: Journal, actor: str) -> None:
    """Once the window is over: raises OutsideWindow `wave-left-open`, which names the hosts of a wave cut short."""
    stood = view(journal.history(), plan)
    left = [wave for wave in plan.waves if stood.waves[wave.number].started and _unproven(stood, wave)]
    if left and site.clock() >= plan.window.closes:
        with _refusal_written_down(site, journal, actor, {}):
            hosts = ", ".join(name for name in left[0].hosts if name in stood.touched)
            raise OutsideWindow("wave-left-open", change=plan.change, wave=left[0].number, hosts=hosts)


def _apply(
    site: Site, change: str, journal: Journal, actor: str, progress: Progress, order: Scheduled | None = None
) -> Applied:
    with _refusal_written_down(site, journal, actor, {}):
        check_journal_clock(site, change, journal.history())
    with _passed_gate(site, change, journal, actor, order) as examined:
        names = names_to_hold(site, examined.snapshot, examined.plan)
        with site.locks.hold(names, purpose=f"apply {change}", holder=actor, now=site.clock()):
            running = Running(site, journal, examined.plan, examined.tree, actor, progress)
            brought = _brought(running, examined)
            _check_secrets(running)
            check_journal_is_newest(running)  # the first question to a host
            _check_clocks(running)
            if work_left(journal.history().state) is Work.START:
                _prove_way_back(running, brought)
                _open_debt(running, examined)
                running.write(Event.APPLY_STARTED, {"plan": examined.plan.digest.hex})
            with _interruption_written_down(running):
                taken = _run_waves(running, examined, brought)
            return _applied_back(taken) if taken else begin_soak(running)


@contextmanager
def _interruption_written_down(running: Running) -> Iterator[None]:
    """Whoever stops a change by hand wants to look first: it is written down, and the service does not go on with it.

    SIGTERM, which is also how a computer that shuts down ends its programs, comes as a kind of its own.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        if type(stop) is KeyboardInterrupt:
            running.write(Event.APPLY_INTERRUPTED, {})
        raise


def _open_debt(running: Running, examined: Examined) -> None:
    """An emergency owes signatures from here on; a start that was cut short has written that down already."""
    opened = running.journal.history().last(Event.DEBT_OPENED)
    known = opened is not None and opened.data["plan"] == running.plan.digest.hex
    if running.plan.kind is Kind.EMERGENCY and not known:
        running.write(Event.DEBT_OPENED, opening(examined.trust, examined.plan, running.site.clock()))


def _run_waves(running: Running, examined: Examined, brought: Deliverables) -> TakenBack | None:
    """Every wave that was not found stable yet, in order; when a rule breaks, all that was touched is taken back.

    So does a wave that a crash cut short, when it could no longer come to its verdict in time: what it kept free for
    that is still there.
    """
    latest, earlier, roll = examined, earlier_experience(running.site, running.plan), Roll(running)
    before = view(running.journal.history(), running.plan).waves
    roll.wake_first()
    for wave in running.plan.waves:
        if before[wave.number].verdict == Verdict.STABLE:
            continue
        begun, held = before[wave.number].started is not None, True
        while held:  # once, but for a wave that somebody pauses: its rest is asked about like a new one
            if because := heed(running):
                return take_back(running, because)
            roll.wait(wave)
            latest = _ask_again(running, latest)
            kept = _reserve(running, latest, wave, earlier)
            if begun and kept.is_over(running.site.clock()):
                return take_back(running, "last-safe-moment-over", ends=kept.ends)
            with _refusal_written_down(running.site, running.journal, running.actor, _ground(latest)):
                check_last_safe_moment(running.site, running.plan, wave, kept)
                present = roll.take(wave)
            roll.wake_next(wave)
            begun, held = begun or bool(present), False
            if present:
                because, held = _upgrade_wave(running, wave, present, brought, kept)
            if because:
                return take_back(running, because, ends=kept.ends)
    return None


def begin_soak(running: Running, also: Mapping[str, Any] | None = None) -> Applied:
    """Begin to watch what the waves reached, unless nobody was; `also` is written down with it."""
    if (abort := abort_asked(running.site, running.plan.change)) is not None:
        return _applied_back(take_back(running, asked_because(abort.reason)))
    gate.check_tree(running.site, running.tree)
    with _refusal_written_down(running.site, running.journal, running.actor, {}):
        check_somebody_reached(running)
    running.write(Event.SOAK_STARTED, {"seconds": running.plan.soak.seconds, **(also or {})})
    return _finished(running)


def _upgrade_wave(
    running: Running, wave: Wave, present: Sequence[HostName], brought: Deliverables, kept: Reserve
) -> tuple[str, bool]:
    """Upgrade those of a wave who are there, and judge it. Gives the code of the broken rule, empty when all is well.

    Gives too whether the wave was held in its middle: then its rest is still to come, and it is not judged yet.
    A wave that was cut short goes on with the hosts that have not said yet what became of them.
    """
    stood = view(running.journal.history(), running.plan)
    left = [name for name in present if stood.hosts[name].outcome in SILENT]
    if left and not stood.waves[wave.number].finished:
        running.write(Event.WAVE_STARTED, {"wave": wave.number, "name": wave.name, "hosts": list(left)})
        result = run_playbook(running, running.plan.playbooks.upgrade, left, brought, until=kept.stops)
        if held := {report.host for report in result.reports if report.is_held}:
            after = view(running.journal.history(), running.plan)
            begun = [host for host in after.hosts.values() if host.name not in held]
            return breach(begun, wave.number, running.plan.thresholds) or "", True
    return _finish_wave(running, wave), False


def _unproven(stood: Change, wave: Wave) -> Sequence[str]:
    """The hosts that have still to be asked: after the end of a wave none, before it those that said nothing."""
    if stood.waves[wave.number].finished:
        return ()
    return [name for name in wave.hosts if name in stood.touched and stood.hosts[name].outcome in SILENT]


def _finish_wave(running: Running, wave: Wave) -> str:
    """Judge a wave whose hosts have all been asked, once: what the journal says of it stands.

    Gives the code of the broken rule.
    """
    before = view(running.journal.history(), running.plan).waves[wave.number]
    if before.verdict:
        return "" if before.verdict == Verdict.STABLE else f"wave-{before.verdict}"
    after = view(running.journal.history(), running.plan)
    if not before.finished and _all_put_off(after):
        return ""  # it is not over: `apply`, called again, asks the same hosts
    if not before.finished:
        running.write(Event.WAVE_FINISHED, {"wave": wave.number})
    if because := breach(after.hosts.values(), wave.number, running.plan.thresholds):
        return because
    reached = [name for name in wave.hosts if after.hosts[name].outcome in REACHED]
    asked = [after.hosts[name].outcome for name in wave.hosts if name in after.touched]
    if not reached and all(outcome is HostOutcome.BUSY for outcome in asked):
        return ""  # everybody works: the wave has not been, and the next one asks whether any has
    if not reached:
        return "wave-reached-nobody"
    judgement = judge_wave(running, wave, reached)
    running.write(
        Event.WAVE_JUDGED,
        {
            "wave": wave.number,
            "verdict": judgement.verdict,
            "measurements": judgement.measurements,
            "reasons": list(judgement.reasons[:50]),
            "places": plain.to_plain(judgement.places),
        },
    )
    return "" if judgement.verdict is Verdict.STABLE else f"wave-{judgement.verdict}"


def _all_put_off(change: Change) -> bool:
    """Whether all hosts that were asked were busy, in the first wave of which any was there."""
    return bool(change.touched) and all(change.hosts[name].outcome is HostOutcome.BUSY for name in change.touched)


def _ask_again(running: Running, before: Examined) -> Examined:
    """Before every wave: the tree, the window, and that enough words still hold. Raises what the gate raises.

    A new commit or trust file is examined whole. Without one, time alone may have ended a key, a person or a word.
    A stop here leaves the change `applying`: the waves that are done stay, and `apply` or `rollback` goes on.
    """
    site = running.site
    gate.check_tree(site, running.tree)
    gate.check_window(site, running.plan)
    now = (site.mirror.refresh().commit, site.trust.load().version)
    if now == (before.snapshot.commit, before.trust.version):
        with _refusal_written_down(site, running.journal, running.actor, _ground(before)):
            again = gate.examine_again(site, before)
            gate.give_authorization(site, again)
        return again
    with _passed_gate(site, running.plan.change, running.journal, running.actor) as examined:
        return examined


def _reserve(running: Running, latest: Examined, wave: Wave, earlier: Experience) -> Reserve:
    """What this wave keeps free, if the hospital's calendar, as it stands on the branch, lets it run now.

    Raises OutsideWindow.
    """
    with _refusal_written_down(running.site, running.journal, running.actor, _ground(latest)):
        ends = check_calendar(running.site, running.tree, latest, wave.hosts)
    return Reserve(forecast(running.site, running.plan, running.journal.history(), wave, earlier), ends)


def _ground(examined: Examined) -> Mapping[str, Any]:
    return {"commit": examined.snapshot.commit, "trust_version": examined.trust.version}


@contextmanager
def _passed_gate(
    site: Site, change: str, journal: Journal, actor: str, order: Scheduled | None = None
) -> Iterator[Examined]:
    """Ask the gate, and write down its answer, yes or no. Raises what the gate raises."""
    with ExitStack() as stack:
        with _refusal_written_down(site, journal, actor, {}):
            ground = gate.present_ground(site)
        with _refusal_written_down(site, journal, actor, ground.as_data()):
            examined = stack.enter_context(gate.examine(site, change, ground))
            if order is not None and examined.plan.digest.hex != order.plan:
                found = examined.plan.digest.short
                raise Refused("schedule-plan-changed", change=change, expected=order.plan[:8], found=found)
            if work_left(journal.history().state) is Work.START:
                check_none_overdue(site, examined.plan)
            else:
                _check_plan_is_kept(journal, examined.plan)
            authorization = gate.give_authorization(site, examined)
        _write_authorization(site, journal, examined, authorization, actor)
        yield examined


@contextmanager
def _refusal_written_down(site: Site, journal: Journal, actor: str, ground: Mapping[str, Any]) -> Iterator[None]:
    """A no goes into the journal with what it stands on, as far as that was known."""
    try:
        yield
    except UpgraderError as error:
        data = {"code": error.code, "fields": error.fields, **ground}
        journal.write(Event.GATE_REFUSED, data, at=site.clock(), actor=actor)
        raise


def _check_plan_is_kept(journal: Journal, plan: Plan) -> None:
    """A change that has begun ends with the plan it began with, whoever signed another one meanwhile."""
    begun = journal.history().last(Event.APPLY_STARTED)
    if begun is None or begun.data["plan"] != plan.digest.hex:
        raise Refused("plan-changed-under-way", change=plan.change, plan=plan.digest.short)


def _write_authorization(
    site: Site, journal: Journal, examined: Examined, authorization: Authorization, actor: str
) -> None:
    write_plan_made(site, journal, examined.plan)
    data = {
        "plan": authorization.plan.hex,
        "commit": authorization.commit,
        "trust_version": authorization.trust_version,
        "people": list(authorization.people),
        "approvals": list(authorization.approvals),
    }
    journal.write(Event.PLAN_AUTHORIZED, data, at=site.clock(), actor=actor)


def _brought(running: Running, examined: Examined) -> Deliverables:
    """All builds, re-hashed now. Their damage is written down before it is raised."""
    try:
        return deliverables(running.site, examined)
    except Integrity as error:
        running.write(Event.GATE_REFUSED, {"code": error.code, "fields": error.fields})
        raise


def _check_secrets(running: Running) -> None:
    """Every secret that a host will need can be read here. The refusal is written down before it is raised."""
    names = [host.name for host in running.plan.hosts]
    with _refusal_written_down(running.site, running.journal, running.actor, {}):
        sudo = running.site.inventory.sudo_secrets(running.tree.path, names)
        running.site.secrets.read([*secrets_of(running.plan, names), *sudo])


def _check_clocks(running: Running) -> None:
    """The hosts of the next wave agree with us on what time it is. A refusal is written down before it is raised."""
    stood = view(running.journal.history(), running.plan).waves
    left = next((wave for wave in running.plan.waves if stood[wave.number].verdict != Verdict.STABLE), None)
    if left is not None:
        with _refusal_written_down(running.site, running.journal, running.actor, {}):
            check_host_clocks(running, left)


def _prove_way_back(running: Running, brought: Deliverables) -> None:
    """What a database could not come back from does not begin. A refusal is written down before it is raised."""
    with _refusal_written_down(running.site, running.journal, running.actor, {}):
        prove_way_back(running, brought)


def _finished(running: Running) -> Applied:
    change = view(running.journal.history(), running.plan)
    return Applied(ending(change), change)


def ending(change: Change) -> ExitCode:
    """The exit code of a change whose waves are over: taken back, done, or done with hosts left behind."""
    if change.stopped_because:
        return ExitCode.ROLLBACK_INCOMPLETE if change.not_restored else ExitCode.ROLLED_BACK
    left = sum(change.counts[outcome] for outcome in (HostOutcome.UNREACHABLE, HostOutcome.NOT_RUN, *PENDING))
    return ExitCode.OFFLINE_LEFT if left else ExitCode.DONE


def _applied_back(taken: TakenBack) -> Applied:
    return Applied(taken.exit_code, taken.change, taken.because)


def _nothing_left(site: Site, change: str) -> Applied:
    """The waves of this change are over: nothing runs, and the exit code tells again how they ended.

    Raises Refused for a change that has no plan yet, or was cancelled, BadInput `change-unknown` for no change at all.
    """
    history = read_history(site, change)
    if not history.of(Event.APPLY_STARTED):
        raise Refused("change-not-in-state", state=history.state, event=Event.APPLY_STARTED, legal="-")
    over = view(history, authorized_plan(site, change, history))
    return Applied(ending(over), over, over.stopped_because)
