"""Brakes: what people ask of work that may be running in another process, and what the journal says of it.

Asking is not yet a fact of the change: whoever carries it out writes the fact down. Only the stop of all work is no
single change's matter, and holds by itself until it is lifted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from upgrader.domain import plain
from upgrader.domain.changes.journal import Entry, History
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.names import ChangeId, PersonId


class Ask(StrEnum):
    """What is asked: of one change, or (the last two) of all work of the controller."""

    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    STOP = "stop"
    LIFT = "lift"


FOR_ALL = frozenset({Ask.STOP, Ask.LIFT})
# A change that goes back, is watched or is over waits for nobody any more.
ENDS_OF_PAUSE = (Event.CHANGE_RESUMED, Event.ROLLBACK_STARTED, Event.SOAK_STARTED, Event.CHANGE_CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Brake:
    """Who asks for what, since when and why. `change` is None when all work is meant."""

    ask: Ask
    change: ChangeId | None = None
    person: PersonId
    since: datetime
    reason: str

    def as_data(self) -> Mapping[str, Any]:
        """What the journal keeps of it."""
        return {"person": self.person, "since": plain.to_plain(self.since), "reason": self.reason}

    def stands_in(self, entry: Entry | None) -> bool:
        """Whether this very ask was written down with `entry`."""
        return entry is not None and dict(entry.data) == dict(self.as_data())


def pause_of(history: History) -> Entry | None:
    """The line with which a change was paused; None when it is not paused."""
    last = history.last(Event.CHANGE_PAUSED, *ENDS_OF_PAUSE)
    return last if last is not None and last.event is Event.CHANGE_PAUSED else None
