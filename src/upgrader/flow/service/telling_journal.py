"""The journal as it is written where people want to be told: each fact first, then the call, which waits for nobody."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from upgrader.domain.changes.journal import Entry, History
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.notification import is_told
from upgrader.ports import Journal


class TellingJournal:
    """A journal that has people called once there is something to tell, after it was written down."""

    def __init__(self, journal: Journal, call: Callable[[], None]) -> None:
        self._journal = journal
        self._call = call

    def history(self) -> History:
        return self._journal.history()

    def write(self, event: Event, data: Mapping[str, Any], *, at: datetime, actor: str) -> Entry:
        entry = self._journal.write(event, data, at=at, actor=actor)
        if is_told(event, data):
            self._call()
        return entry

    def is_vouched(self) -> bool:
        return self._journal.is_vouched()

    def vouch(self) -> None:
        self._journal.vouch()
