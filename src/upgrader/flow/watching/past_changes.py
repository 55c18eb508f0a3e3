"""Past changes: what this controller's journals say of all changes, in short."""

from collections.abc import Mapping, Sequence

from upgrader.domain.hospital.installation import PastChange, past_change
from upgrader.domain.names import ChangeId, SystemId
from upgrader.flow.history import read_history
from upgrader.flow.site import Site


def past_changes(site: Site) -> Mapping[SystemId, Sequence[PastChange]]:
    """The changes of this controller in short, in the order of their numbers, by system."""
    folder = site.state / "changes"
    found: dict[SystemId, list[PastChange]] = {}
    for path in sorted(folder.glob("*/journal.jsonl")) if folder.is_dir() else ():
        name = ChangeId(path.parent.name)
        change = past_change(name, read_history(site, name))
        if change is not None:
            found.setdefault(change.system, []).append(change)
    return found
