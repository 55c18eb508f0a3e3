"""Joint: run changes that were asked for together in their order, and take them back in the other.

Each has its own plan, its own signatures and its own journal; the gate is asked for each. What holds them together
stands in every plan: all of them in order, and the digest of the plan before.
"""

from collections.abc import Sequence
from dataclasses import replace

from upgrader.domain.changes.joint import JointPart, after, before
from upgrader.domain.changes.joint_step import BACK, GOING_BACK
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.errors import ExitCode
from upgrader.domain.names import ChangeId
from upgrader.flow.applying.apply import Applied, apply_change
from upgrader.flow.applying.comes_after import found_stable
from upgrader.flow.applying.roll_back import TakenBack, asked_because, authorized_plan, roll_back_change, was_asked
from upgrader.flow.closing.soak import soak_change
from upgrader.flow.history import read_history
from upgrader.flow.repository import change_folder
from upgrader.flow.site import Site
from upgrader.ports import Progress


def asked_together(site: Site, change: str) -> tuple[JointPart, ...]:
    """All changes that were asked for together with this one, by the request in the clone; empty for one alone.

    Who has an old clone types one command more: the gate lets none begin before the one that it comes after.
    """
    file = site.clone.root / change_folder(change) / "request.yml"
    content = file.read_bytes() if file.is_file() else b""
    return site.documents.read_request(content, str(file)).joint if b"joint" in content else ()


def ran_together(site: Site, change: str) -> tuple[JointPart, ...]:
    """The same, by the plan under which this one ran; empty when none was authorized."""
    history = read_history(site, change)
    if not history.of(Event.PLAN_AUTHORIZED):
        return ()
    return authorized_plan(site, change, history).joint or ()


def apply_joint(site: Site, change: ChangeId, progress: Progress) -> Applied:
    """Run a change; one that was asked for together with others comes after those before it, which run first.

    1. in order, each that is not stable yet: apply, then watch it to the end of its soak   2. one that was taken back:
    take back, in reverse order, those that ran before it, unless a person took it back alone. A change alone is applied
    as `apply_change` does.
    Called again after a crash it goes on where the journals stop. Raises what `apply_change` raises.
    """
    joint = asked_together(site, change)
    if not joint:
        return apply_change(site, change, progress)
    for part in before(change, joint):
        if found_stable(read_history(site, part.change)):
            continue
        progress("progress.joint", {"change": part.change, "release": part.name})
        applied = _carry_through(site, part.change, joint, progress)
        if applied.change.state is not State.STABLE:
            return replace(applied, of=applied.of or part.change)
    return _carry_through(site, change, joint, progress)


def roll_back_joint(site: Site, change: ChangeId, reason: str, progress: Progress) -> TakenBack:
    """Take a change back, and before it, in reverse order, those that came after it; of one alone only itself.

    One that can't be taken back whole stops this: what it stands on stays as it is. Raises what `roll_back_change`
    raises.
    """
    for part in reversed(after(change, ran_together(site, change))):
        if _is_to_go_back(site, part.change):
            taken = roll_back_change(site, part.change, reason, progress)
            if taken.exit_code is not ExitCode.ROLLED_BACK:
                return replace(taken, of=part.change)
    return roll_back_change(site, change, reason, progress)


def roll_back_together(site: Site, change: ChangeId, reason: str, progress: Progress) -> TakenBack:
    """Take back all that ran of the request of this change, last first, whichever of them is named.

    Typed again after a crash it goes on where the journals stop. Raises what `roll_back_change` raises.
    """
    joint = ran_together(site, change) or asked_together(site, change)
    first = next((part.change for part in joint if _is_to_go_back(site, part.change)), change)
    taken = roll_back_joint(site, first, reason, progress)
    return replace(taken, of=taken.of or first)


def _carry_through(site: Site, change: ChangeId, joint: Sequence[JointPart], progress: Progress) -> Applied:
    """Apply one change and watch it until there is a verdict; when it goes back by itself, so do those before it."""
    applied = apply_change(site, change, progress)
    if applied.change.state is State.SOAKING:
        soaked = soak_change(site, change, progress, wait=True)
        applied = Applied(soaked.exit_code, soaked.change, soaked.change.stopped_because)
    if applied.change.state in BACK and not was_taken_alone(change, joint, applied.because):
        return _take_back_before(site, change, joint, applied, progress)
    return applied


def was_taken_alone(change: ChangeId, joint: Sequence[JointPart], because: str) -> bool:
    """Whether a person took back this change and meant no other: those before it stay as they are."""
    return was_asked(because) and not pulled_back(because, after(change, joint))


def pulled_back(because: str, joint: Sequence[JointPart]) -> bool:
    """Whether a change went back because one of these did."""
    return because in {asked_because(pulled_by(part.change)) for part in joint}


def pulled_by(change: ChangeId) -> str:
    return f"{change} was taken back"


def _take_back_before(
    site: Site, change: ChangeId, joint: Sequence[JointPart], applied: Applied, progress: Progress
) -> Applied:
    """Take back what ran before a change that went back. Gives the one that could not be taken back whole, if any."""
    for part in reversed(before(change, joint)):
        if _is_to_go_back(site, part.change):
            progress("progress.joint-back", {"change": part.change, "release": part.name})
            taken = roll_back_change(site, part.change, pulled_by(change), progress)
            if taken.exit_code is not ExitCode.ROLLED_BACK:
                return Applied(taken.exit_code, taken.change, taken.because, part.change)
    return applied


def _is_to_go_back(site: Site, change: ChangeId) -> bool:
    """Whether there is something to take back, or a way back that has not come to its end.

    One that went back in part is done: a person answers for every host that stayed behind.
    """
    with site.journal(change) as journal:
        return journal.history().state in GOING_BACK
