"""Pending: every host that some change left behind and nobody has put right yet, over all changes of the site."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from upgrader.domain.changes.host_exception import HostException
from upgrader.domain.changes.lifecycle import Event, may
from upgrader.domain.changes.playbook import PENDING, HostOutcome
from upgrader.domain.names import HostName
from upgrader.flow.history import read_history
from upgrader.flow.service.check_in import checked_in
from upgrader.flow.site import Site
from upgrader.flow.watching.status import read_changes

AWAY = frozenset({HostOutcome.OFFLINE, HostOutcome.UNREACHABLE, HostOutcome.NOT_RUN})


@dataclass(frozen=True, slots=True)
class Pending:
    """`exception` is None where nobody answers for the host yet. `last_seen` is when the host last said something of
    itself, to us or by checking in.
    """

    change: str
    host: str
    outcome: HostOutcome
    current: str
    exception: HostException | None
    overdue: bool
    detail: str
    last_seen: datetime | None


def read_pending(site: Site) -> Sequence[Pending]:
    """All of them: first those for which nobody answers, then by the day on which they are due."""
    return sorted(_pending(site), key=_urgency)


def _pending(site: Site) -> Iterator[Pending]:
    now, here = site.clock(), checked_in(site)
    for name, change in read_changes(site).items():
        said = _last_said(site, name) if change.left_behind else {}
        is_open = may(change.state, Event.HOST_EXCEPTED)  # before, a host that was not run is only waiting for its wave
        for host in change.left_behind:
            exception = change.exceptions.get(host.name)
            waits = host.outcome in PENDING and may(change.state, Event.RETRY_AUTHORIZED)
            if waits or (exception.settled is None if exception else is_open):
                overdue = exception is not None and exception.is_overdue(now)
                seen = max((at for at in (said.get(host.name), here.get(HostName(host.name))) if at), default=None)
                yield Pending(name, host.name, host.outcome, host.current, exception, overdue, host.detail, seen)


def _last_said(site: Site, change: str) -> Mapping[str, datetime]:
    """When each host of a change last answered."""
    reports = read_history(site, change).of(Event.HOST_REPORTED)
    return {entry.data["host"]: entry.at for entry in reports if HostOutcome(entry.data["outcome"]) not in AWAY}


def _urgency(pending: Pending) -> tuple[bool, datetime | None, str, str]:
    due = pending.exception.due if pending.exception else None
    return (due is not None, due, pending.change, pending.host)
