"""The next step after a verb: of one change, or over all changes that were asked for together with it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from upgrader.cli.desk import Desk
from upgrader.domain.changes.joint_step import JointState, have_begun, next_over
from upgrader.domain.changes.lifecycle import State
from upgrader.domain.errors import UpgraderError
from upgrader.domain.names import ChangeId
from upgrader.flow.site import Site


@contextmanager
def told_of_the_others(desk: Desk, site: Site, change: ChangeId) -> Iterator[None]:
    """When an error stops a night of several changes: beside it, what stays upgraded and what a person decides."""
    from upgrader import render
    from upgrader.flow.watching.joint_status import read_joint

    try:
        yield
    except UpgraderError as error:
        with suppress(UpgraderError):  # what stopped the night is told in any case
            parts = read_joint(site, change)
            if have_begun(parts):
                lines = [*render.joint(change, parts, desk.texts), f"  {desk.texts('joint.stays')}"]
                error.add_note("\n".join([*lines, _step(desk, parts)]))
        raise


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
    desk.say(_step(desk, parts))


def _step(desk: Desk, parts: Sequence[JointState]) -> str:
    found = next_over(parts)
    told = desk.texts(f"next.joint.{found.step}", change=found.change, first=found.first, last=found.last)
    return f"{desk.texts('cli.next')}: {told}"
