"""The journal as the service writes it: what it began says so, and the same answer of the gate is written down once.

A service asks the gate at every tick. That it heard the same no again is no new fact; a person's every try is one.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any

from upgrader.domain import plain
from upgrader.domain.changes.journal import Entry, History
from upgrader.domain.changes.lifecycle import Event
from upgrader.ports import Journal

SERVICE = "serve"
ANSWERS = frozenset({Event.GATE_REFUSED, Event.PLAN_AUTHORIZED})
BEGUN = frozenset({*ANSWERS, Event.APPLY_STARTED, Event.WAVE_STARTED, Event.SOAK_MEASURED, Event.START_EXPIRED})
# Fields of a refusal that differ from one second to the next.
MOVING = frozenset({"now", "found", "last", "takes", "back", "until"})


class ServiceJournal:
    """A journal in the hands of the service. The actor is still the person who answers for what is done."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def history(self) -> History:
        return self._journal.history()

    def write(self, event: Event, data: Mapping[str, Any], *, at: datetime, actor: str) -> Entry:
        """Write down one fact, but for an answer of the gate that stands there already: that entry is given then."""
        told = {**data, "by": SERVICE} if event in BEGUN else data
        if event in ANSWERS and (said := self._said(event, told, actor)):
            return said
        return self._journal.write(event, told, at=at, actor=actor)

    def is_vouched(self) -> bool:
        return self._journal.is_vouched()

    def vouch(self) -> None:
        self._journal.vouch()

    def _said(self, event: Event, data: Mapping[str, Any], actor: str) -> Entry | None:
        wanted = (event, actor, _lasting(data))
        for entry in reversed(self._journal.history().entries):
            if entry.event not in ANSWERS:
                return None
            if (entry.event, entry.actor, _lasting(entry.data)) == wanted:
                return entry
        return None


def as_service(
    open_journal: Callable[[str], AbstractContextManager[Journal]],
) -> Callable[[str], AbstractContextManager[Journal]]:
    @contextmanager
    def open_as_service(change: str) -> Iterator[Journal]:
        with open_journal(change) as journal:
            yield ServiceJournal(journal)

    return open_as_service


def _lasting(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an answer says, without what only time changes."""
    said: dict[str, Any] = plain.to_plain(dict(data))
    fields = said.get("fields", {})
    return {**said, "fields": {name: value for name, value in fields.items() if name not in MOVING}}
