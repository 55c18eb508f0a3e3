"""History: what this controller wrote down of a change."""

from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import Plan
from upgrader.domain.errors import BadInput
from upgrader.flow.identity import acting_person
from upgrader.flow.site import Site
from upgrader.ports import Journal


def read_history(site: Site, change: str) -> History:
    """Raises BadInput `change-unknown` when this controller has no journal of the change."""
    with site.journal(change) as journal:
        history = journal.history()
    if not history.entries:
        raise BadInput("change-unknown", change=change, file=site.change_folder(change) / "journal.jsonl")
    return history


def write_plan_made(site: Site, journal: Journal, plan: Plan) -> None:
    """Let the journal know the plan that stands on the branch, when it was made on another computer."""
    planned = journal.history().last(Event.PLAN_MADE)
    if planned is None or planned.data["plan"] != plan.digest.hex:
        made = {"plan": plan.digest.hex, "revision": plan.revision, "hosts": len(plan.hosts)}
        journal.write(Event.PLAN_MADE, made, at=site.clock(), actor=acting_person(site))
