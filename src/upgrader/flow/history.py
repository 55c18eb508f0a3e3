"""History: what this controller wrote down of a change."""

from upgrader.domain.errors import BadInput
from upgrader.domain.journal import History
from upgrader.flow.site import Site


def read_history(site: Site, change: str) -> History:
    """Raises BadInput `change-unknown` when this controller has no journal of the change."""
    with site.journal(change) as journal:
        history = journal.history()
    if not history.entries:
        raise BadInput("change-unknown", change=change, file=site.change_folder(change) / "journal.jsonl")
    return history
