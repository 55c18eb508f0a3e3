"""An exception: a host that a change left behind, with who owns it and until when it must be put right."""

from dataclasses import dataclass, replace
from datetime import datetime

from upgrader.domain.changes.journal import Entry, History
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.names import HostName, PersonId
from upgrader.domain.plain import instant


@dataclass(frozen=True, slots=True, kw_only=True)
class HostException:
    """`due` is the instant from which it is overdue; `settled` is when somebody said that it is put right, and how."""

    host: HostName
    owner: PersonId
    due: datetime
    reason: str
    settled: datetime | None = None
    how: str = ""

    def is_overdue(self, now: datetime) -> bool:
        return self.settled is None and now >= self.due


def exceptions_of(history: History) -> dict[str, HostException]:
    """The exceptions of a change by host, as its journal tells them; what was said last of a host counts."""
    found: dict[str, HostException] = {}
    for entry in history.of(Event.HOST_EXCEPTED, Event.EXCEPTION_SETTLED):
        host = entry.data["host"]
        if entry.event is Event.HOST_EXCEPTED:
            found[host] = _read(entry)
        elif host in found:
            found[host] = replace(found[host], settled=entry.at, how=entry.data["reason"])
    return found


def _read(entry: Entry) -> HostException:
    data = entry.data
    return HostException(
        host=HostName(data["host"]),
        owner=PersonId(data["owner"]),
        due=instant(data["due"]),
        reason=data["reason"],
    )
