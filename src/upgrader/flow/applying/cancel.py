"""Cancel: end a change before anything was done to a host."""

from upgrader.domain.changes.lifecycle import Event, State
from upgrader.flow.history import read_history
from upgrader.flow.identity import acting_person
from upgrader.flow.site import Site


def cancel_change(site: Site, change: str, reason: str) -> State:
    """Write down that a change is cancelled. Raises Refused once it has begun, and when it was for another reason."""
    actor = acting_person(site)
    read_history(site, change)
    with (
        site.locks.hold([f"change-{change}"], purpose=f"cancel {change}", holder=actor, now=site.clock()),
        site.journal(change) as journal,
    ):
        last = journal.history().last(Event.CHANGE_CANCELLED)
        if last is not None and last.data["reason"] == reason:
            return journal.history().state
        journal.write(Event.CHANGE_CANCELLED, {"reason": reason}, at=site.clock(), actor=actor)
        return journal.history().state
