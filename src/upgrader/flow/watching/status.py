"""Status: what the journal says of a change, computed afresh. Contacts no host and changes nothing."""

from collections.abc import Mapping

from upgrader.domain.changes.change import Change, view
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import Plan, read_plan
from upgrader.flow import repository
from upgrader.flow.applying.roll_back import authorized_plan
from upgrader.flow.history import read_history
from upgrader.flow.site import Site


def read_change(site: Site, change: str) -> Change:
    """One change. Raises BadInput `change-unknown` when this controller has no journal of it."""
    history = read_history(site, change)
    return view(history, plan_of(site, change, history))


def read_changes(site: Site) -> Mapping[str, Change]:
    """All changes that this controller has a journal of, by id."""
    folder = site.state / "changes"
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return {name: read_change(site, name) for name in names if (folder / name / "journal.jsonl").exists()}


def plan_of(site: Site, change: str, history: History) -> Plan | None:
    """The plan that the change runs under, else the one in the person's clone, else none."""
    if history.of(Event.PLAN_AUTHORIZED):
        return authorized_plan(site, change, history)
    made = history.last(Event.PLAN_MADE)
    file = site.clone.root / repository.change_folder(change) / "plan.json"
    if made is None or not file.exists():
        return None
    plan = read_plan(file.read_bytes(), str(file))
    return plan if plan.digest.hex == made.data["plan"] else None
