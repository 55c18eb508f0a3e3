"""Pause: no further wave or host of a change begins until somebody says so; what is done already stays under watch.

A paused change that had begun is measured as in its soak. What is found unstable goes back, pause or not.
"""

from dataclasses import dataclass
from datetime import timedelta

from upgrader.domain.changes.brake import Ask, Brake, pause_of
from upgrader.domain.changes.change import REACHED, view
from upgrader.domain.changes.lifecycle import Event, may
from upgrader.domain.changes.verdict import Verdict
from upgrader.domain.errors import Ended, Locked, Refused
from upgrader.domain.names import ChangeId
from upgrader.flow.applying.brakes import (
    abort_asked,
    check_brakes,
    check_stopped,
    paused_by,
    whole_second,
    write_down_asks,
    write_down_stop,
)
from upgrader.flow.applying.roll_back import TakenBack, asked_because, authorized_before, take_back
from upgrader.flow.applying.running import Running
from upgrader.flow.closing.soak import judge_soak, measure_round
from upgrader.flow.history import read_history
from upgrader.flow.identity import acting_person
from upgrader.flow.site import Site
from upgrader.ports import Journal, Progress

LOOK_SECONDS = 1.0  # how often a paused change looks whether somebody asked for something
ANSWER_SECONDS = 10.0  # how long whoever asks waits for the running command to write it down


@dataclass(frozen=True, slots=True)
class Asked:
    """`noted` tells whether the ask is a fact of the journal by now; a running command will make it one."""

    brake: Brake
    noted: bool


def pause_change(site: Site, change: ChangeId, reason: str) -> Asked:
    """Let no further wave or host of this change begin. Hosts that have begun go on to their end.

    Raises Refused in a state in which nothing could wait, BadInput for a change that is not known here.
    """
    history = read_history(site, change)
    if not may(history.state, Event.CHANGE_PAUSED):
        raise Refused("change-not-in-state", state=history.state, event=Event.CHANGE_PAUSED, legal="-")
    for earlier in site.brakes.asked(change):
        if earlier.ask is Ask.RESUME:  # what is asked now comes after it
            site.brakes.done(earlier)
    asked = _ask(site, change, Ask.PAUSE, reason)
    state = read_history(site, change).state
    if asked.noted and not may(state, Event.CHANGE_PAUSED):  # the last wave ended meanwhile
        raise Refused("change-not-in-state", state=state, event=Event.CHANGE_PAUSED, legal="-")
    return asked


def resume_change(site: Site, change: ChangeId, reason: str) -> Asked:
    """Let a paused change go on: a command that waits does, and otherwise `apply` may be called again.

    Raises Refused `change-not-paused`.
    """
    history = read_history(site, change)
    if paused_by(site, change, history) is None:
        raise Refused("change-not-paused", change=change, state=history.state)
    return _ask(site, change, Ask.RESUME, reason)


def heed(running: Running) -> str:
    """Do what was asked of a running change, before its next wave or host: wait while it is paused.

    Gives why it has to be taken back now, because somebody asked for that or what was done is unstable; empty when it
    may go on. Raises Refused `all-stopped`, and Ended when this process was asked to end.
    """
    site, journal, change = running.site, running.journal, running.plan.change
    measured = None
    while True:
        if (abort := abort_asked(site, change)) is not None:
            return asked_because(abort.reason)
        if site.is_ending():
            raise Ended("ended-between-waves", change=change)
        write_down_stop(site, journal, running.actor)
        check_stopped(site)
        write_down_asks(site, journal, change)
        if pause_of(journal.history()) is None:
            return ""
        if measured is None:
            running.progress("progress.paused", {"change": change})
        interval = timedelta(seconds=running.plan.soak.interval_seconds)
        if measured is None or site.clock() >= measured + interval:
            measured = site.clock()
            if _is_unstable(running):
                return "paused-unstable"
        site.sleep(LOOK_SECONDS)


def wait_while_paused(site: Site, change: str, journal: Journal, actor: str, progress: Progress) -> TakenBack | None:
    """Before `apply` asks the gate: wait while the change is paused, and take it back when it must be.

    A change that has not begun does not wait: it raises Refused `change-paused` or `abort-asked`. All raise Refused
    `all-stopped`.
    """
    write_down_stop(site, journal, actor)
    write_down_asks(site, journal, change)
    if not may(journal.history().state, Event.ROLLBACK_STARTED):
        check_brakes(site, change)
        return None
    check_stopped(site)
    if pause_of(journal.history()) is None and abort_asked(site, change) is None:
        return None
    with authorized_before(site, change, journal, actor, progress) as running:
        because = heed(running)
        return take_back(running, because) if because else None


def _is_unstable(running: Running) -> bool:
    """Measure the hosts that this change reached once more, and judge all that was measured in this pause."""
    change = view(running.journal.history(), running.plan)
    hosts = [host.name for host in change.hosts.values() if host.outcome in REACHED and host.name in change.touched]
    if not hosts:
        return False
    measure_round(running, hosts, Event.PAUSE_MEASURED)
    history = running.journal.history()
    paused = pause_of(history)
    rounds = [entry for entry in history.of(Event.PAUSE_MEASURED) if paused is None or entry.seq > paused.seq]
    return judge_soak(running.plan, hosts, rounds).verdict is Verdict.UNSTABLE


def _ask(site: Site, change: ChangeId, ask: Ask, reason: str) -> Asked:
    """Ask, and make it a fact: oneself when nobody works on the change, else by whoever does."""
    person = acting_person(site)
    wanted = Brake(ask=ask, change=change, person=person, since=whole_second(site.clock()), reason=reason)
    brake = site.brakes.ask(wanted)
    waited = 0.0
    while brake in site.brakes.asked(change):
        try:
            with (
                site.locks.hold([f"change-{change}"], purpose=f"{ask} {change}", holder=person, now=site.clock()),
                site.journal(change) as journal,
            ):
                write_down_asks(site, journal, change)
        except Locked:
            if waited >= ANSWER_SECONDS:
                return Asked(brake, noted=False)
            site.sleep(LOOK_SECONDS / 2)
            waited += LOOK_SECONDS / 2
    return Asked(brake, noted=True)
