"""Joint status: how far each change of one request has come, by the journals of this controller."""

from collections.abc import Sequence

from upgrader.domain.changes.joint import JointPart
from upgrader.domain.changes.joint_step import JointState, joint_state
from upgrader.domain.changes.lifecycle import Event
from upgrader.flow.applying.joint import asked_together, pulled_back, ran_together
from upgrader.flow.applying.roll_back import was_asked
from upgrader.flow.site import Site


def read_joint(site: Site, change: str) -> Sequence[JointState]:
    """How far all changes of the request of this one have come, in their order; empty for one alone.

    They are named by the plan under which it ran, else by its request in the clone. Contacts no host, changes nothing.
    Raises BadInput `change-unknown` when this controller has no journal of the change.
    """
    return joint_states(site, ran_together(site, change) or asked_together(site, change))


def joint_states(site: Site, joint: Sequence[JointPart]) -> Sequence[JointState]:
    """The same, of these; `new` is one of which this controller has no journal."""
    states = []
    for part in joint:
        with site.journal(part.change) as journal:
            history = journal.history()
        started = history.last(Event.ROLLBACK_STARTED)
        because = started.data["because"] if started is not None else ""
        states.append(joint_state(part, history, asked=was_asked(because) and not pulled_back(because, joint)))
    return states
