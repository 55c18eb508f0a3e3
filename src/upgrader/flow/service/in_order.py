"""In order: what the service does with changes that were asked for together: one waits, and goes back, with the others.

It holds no memory of them: at every look the journals say which one is still to come, and which went back.
"""

from upgrader.domain.changes.joint import JointPart, after, before
from upgrader.domain.changes.joint_step import BACK, GOING_BACK
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.names import ChangeId, PersonId
from upgrader.flow.applying.comes_after import found_stable
from upgrader.flow.applying.joint import asked_together, ran_together, was_taken_alone
from upgrader.flow.site import Site

PULLED = frozenset({State.SOAKING, State.STABLE})


def waits_for(site: Site, change: str) -> ChangeId | None:
    """The change that this one comes after and that was not found stable yet; None when it may begin.

    The gate says the same, each time that it is asked; a service that knows it need not ask.
    """
    earlier = before(change, asked_together(site, change))
    return earlier[-1].change if earlier and not found_stable(_history(site, earlier[-1])) else None


def pulled_back_with(site: Site, change: str, history: History) -> tuple[ChangeId, PersonId] | None:
    """The later change with which this one goes back, and who took that back; None when it stays as it is.

    It stays while another one that stands on it has still to go back, and when a person took back the later one alone.
    """
    if history.state not in PULLED:
        return None
    joint = ran_together(site, change)
    for part in after(change, joint):
        later = _history(site, part)
        if later.state in GOING_BACK:
            return None
        began = later.last(Event.ROLLBACK_STARTED)
        if later.state in BACK and began is not None:
            alone = was_taken_alone(part.change, joint, str(began.data["because"]))
            return None if alone else (part.change, PersonId(began.actor))
    return None


def _history(site: Site, part: JointPart) -> History:
    with site.journal(part.change) as journal:
        return journal.history()
