"""The next step after a verb: of one change, or over all changes that were asked for together with it."""

from collections.abc import Sequence

from upgrader.cli.desk import Desk
from upgrader.domain.changes.joint_step import JointState, next_over
from upgrader.domain.changes.lifecycle import State
from upgrader.domain.names import ChangeId
from upgrader.flow.site import Site


def tell_next(desk: Desk, site: Site, change: ChangeId, state: State) -> None:
    """Say it last, with how far the others have come."""
    from upgrader import render
    from upgrader.flow.watching.joint_status import read_joint

    parts = read_joint(site, change)
    desk.say(*render.joint(change, parts, desk.texts))
    tell_step(desk, change, state, parts)


def tell_step(desk: Desk, change: ChangeId, state: State, parts: Sequence[JointState]) -> None:
    """Say what to do next, when it is known how far the others have come; no `parts` for one alone."""
    if not parts:
        desk.next(f"next.after.{state}", change=change)
        return
    found = next_over(parts)
    desk.next(f"next.joint.{found.step}", change=found.change, first=found.first, last=found.last)
