"""What hosts remember of a change, beside what its journal says: a journal that was put back knows less than they."""

from collections.abc import Mapping, Sequence

from upgrader.domain.changes.change import Change
from upgrader.domain.changes.playbook import HostOutcome

GONE_BACK = frozenset({"undo-started", "taken-back", "undo-failed"})


def hosts_ahead(change: Change, remembered: Mapping[str, str]) -> Sequence[str]:
    """The hosts that have done under this change what its journal does not know, each with its own last fact.

    `remembered` is the last fact that each host wrote down under this change, empty where it has none; a host that did
    not answer is not in it. A host of a wave that began may have come further than its last report: that is a crash,
    and `apply` asks it again. A host of a wave that never began can't have, nor can one go back that nobody took back.
    """
    begun = set(change.touched)
    ahead = []
    for name, host in change.hosts.items():
        fact = remembered.get(name, "")
        upgraded = host.outcome is HostOutcome.UPGRADED and not change.stopped_because
        if (fact and name not in begun) or (upgraded and fact in GONE_BACK):
            ahead.append(f"{name} ({fact})")
    return ahead
