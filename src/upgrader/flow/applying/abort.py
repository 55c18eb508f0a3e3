"""Abort: end a change now. What it touched is taken back; a change that has touched nothing is cancelled."""

from dataclasses import dataclass

from upgrader.domain.changes.brake import Ask, Brake
from upgrader.domain.changes.joint import after
from upgrader.domain.changes.lifecycle import Event, State, may
from upgrader.domain.errors import ExitCode, Locked, Refused
from upgrader.domain.names import ChangeId
from upgrader.flow.applying.brakes import abort_asked, whole_second
from upgrader.flow.applying.cancel import cancel_change
from upgrader.flow.applying.joint import ran_together, roll_back_joint
from upgrader.flow.applying.pause import ANSWER_SECONDS, LOOK_SECONDS
from upgrader.flow.history import read_history
from upgrader.flow.identity import acting_person
from upgrader.flow.site import Site
from upgrader.ports import Progress


@dataclass(frozen=True, slots=True)
class Aborted:
    """`asked` when another command runs this change: it finishes the hosts that have begun, and takes them back."""

    exit_code: ExitCode
    state: State
    asked: bool = False


def abort_change(site: Site, change: ChangeId, reason: str, progress: Progress) -> Aborted:
    """Cancel a change that has not begun, take back one that has; here, or by the command that is running it.

    Raises Refused in a state from which there is no way back (it is over, or goes back already).
    """
    person = acting_person(site)
    waited = 0.0
    while True:
        state = read_history(site, change).state
        begun = may(state, Event.ROLLBACK_STARTED)
        if not begun and not may(state, Event.CHANGE_CANCELLED):
            return _over(site, change, state)
        try:
            if not begun:
                after = cancel_change(site, change, reason)
                _forget(site, change)
                return Aborted(ExitCode.DONE, after)
            taken = roll_back_joint(site, change, reason, progress)
            return Aborted(taken.exit_code, taken.change.state)
        except Locked:
            runs = _runs_now(site, change)
            wanted = Brake(ask=Ask.ABORT, change=runs, person=person, since=whole_second(site.clock()), reason=reason)
            site.brakes.ask(wanted)
            if waited >= ANSWER_SECONDS:
                return Aborted(ExitCode.DONE, state, asked=True)
            site.sleep(LOOK_SECONDS)
            waited += LOOK_SECONDS


def _runs_now(site: Site, change: ChangeId) -> ChangeId:
    """Which of the changes of its request is being run: a later one goes back before this one does."""
    later = (part.change for part in reversed(after(change, ran_together(site, change))))
    return next((one for one in later if read_history(site, one).state is State.APPLYING), change)


def _over(site: Site, change: ChangeId, state: State) -> Aborted:
    """Either the running command did what we asked for, or there was nothing to abort."""
    if state in (State.ROLLING_BACK, State.ROLLED_BACK, State.STUCK, State.CANCELLED):
        _forget(site, change)
        return Aborted(ExitCode.DONE, state, asked=state is State.ROLLING_BACK)
    raise Refused("change-not-in-state", state=state, event=Event.ROLLBACK_STARTED, legal="-")


def _forget(site: Site, change: ChangeId) -> None:
    if (left := abort_asked(site, change)) is not None:
        site.brakes.done(left)
