"""Together: accept, or close, all changes of one request, each with its own record and its own bundle."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from upgrader.domain.changes.joint_step import may_be_accepted, may_be_closed, needs_no_acceptance
from upgrader.domain.changes.lifecycle import State
from upgrader.domain.errors import Refused
from upgrader.domain.names import ChangeId, RoleId
from upgrader.flow.closing.accept import Accepted, accept_change, check_may_be_accepted
from upgrader.flow.closing.close import Closed, close_change
from upgrader.flow.history import read_history
from upgrader.flow.site import Site
from upgrader.flow.watching.joint_status import read_joint


def results_to_accept(site: Site, change: ChangeId) -> Sequence[ChangeId]:
    """The changes of one request whose result the hospital accepts, in order; of one alone only itself.

    What was taken back whole, cancelled or closed needs no acceptance. Raises Refused `joint-not-over` while another
    one is not at its end, `hosts-without-owner`, and `change-not-in-state` when there is nothing to accept.
    """
    found = _at_their_end(site, change, may_be_accepted, needs_no_acceptance)
    for one in found or [change]:
        check_may_be_accepted(site, one, read_history(site, one))
    return found


def accept_together(
    site: Site, changes: Sequence[ChangeId], role: RoleId | None, reason: str
) -> Iterator[tuple[ChangeId, Accepted]]:
    """Sign the acceptance of each by itself, first first, and give it once it is pushed.

    Raises what `accept_change` raises; the records before that stand, and who is asked again signs none twice.
    """
    for change in changes:
        yield change, accept_change(site, change, role, reason)


def close_together(site: Site, change: ChangeId, folder: Path | None) -> Iterator[tuple[ChangeId, Closed]]:
    """Close each that was accepted or taken back, and give it once its bundle is written; those closed write it anew.

    One that was cancelled has nothing to show. Raises Refused `joint-not-over` before the first is closed while one of
    them is not at its end; otherwise what `close_change` raises.
    """
    for one in _at_their_end(site, change, may_be_closed, lambda state: state is State.CANCELLED):
        yield one, close_change(site, one, folder or site.change_folder(one) / "closed")


def _at_their_end(
    site: Site, change: ChangeId, may_be: Callable[[State], bool], needs_none: Callable[[State], bool]
) -> Sequence[ChangeId]:
    parts = read_joint(site, change)
    if not parts:
        return [change]
    if left := [one for one in parts if not may_be(one.state) and not needs_none(one.state)]:
        raise Refused("joint-not-over", change=change, others=", ".join(f"{one.part.change}" for one in left))
    return [one.part.change for one in parts if may_be(one.state)]
