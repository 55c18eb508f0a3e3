"""Pending: every host that some change left behind and nobody has put right yet, over all changes of the site."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from upgrader.domain.host_exception import HostException
from upgrader.domain.lifecycle import Event, may
from upgrader.domain.playbook import HostOutcome
from upgrader.flow.site import Site
from upgrader.flow.status import read_changes


@dataclass(frozen=True, slots=True)
class Pending:
    """`exception` is None where nobody answers for the host yet."""

    change: str
    host: str
    outcome: HostOutcome
    current: str
    exception: HostException | None
    overdue: bool


def read_pending(site: Site) -> Sequence[Pending]:
    """All of them: first those for which nobody answers, then by the day on which they are due."""
    return sorted(_pending(site), key=_urgency)


def _pending(site: Site) -> Iterator[Pending]:
    now = site.clock()
    for name, change in read_changes(site).items():
        is_open = may(change.state, Event.HOST_EXCEPTED)  # before, a host that was not run is only waiting for its wave
        for host in change.left_behind:
            exception = change.exceptions.get(host.name)
            if exception.settled is None if exception else is_open:
                overdue = exception is not None and exception.is_overdue(now)
                yield Pending(name, host.name, host.outcome, host.current, exception, overdue)


def _urgency(pending: Pending) -> tuple[bool, datetime | None, str, str]:
    due = pending.exception.due if pending.exception else None
    return (due is not None, due, pending.change, pending.host)
