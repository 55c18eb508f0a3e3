"""The journal of a change: facts in the order in which they were written down, each chained to the one before.

An entry is on disk before the act that it announces. The chain shows a changed or removed line; the head of the chain
stands in the acceptance that people sign, which shows a cut or recomputed tail.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from upgrader.domain import plain
from upgrader.domain.changes.lifecycle import Event, State, advance
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, Refused

FIRST = Digest("0" * 64)
SPELLING = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact. `data` is plain JSON and never holds a secret."""

    seq: int
    prev: Digest
    at: datetime
    actor: str
    event: Event
    data: Mapping[str, Any]

    def to_line(self) -> bytes:
        value = {
            "seq": self.seq,
            "prev": self.prev.hex,
            "at": plain.to_plain(self.at),
            "actor": self.actor,
            "event": self.event.value,
            "data": plain.to_plain(self.data),
        }
        return (SPELLING.encode(value) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Tip:
    """Where a journal ends: all that the next entry has to fit to."""

    length: int = 0
    head: Digest = FIRST
    state: State = State.NEW

    def following(self, event: Event, data: Mapping[str, Any], *, at: datetime, actor: str) -> Entry:
        """The entry that would come next. Raises Refused when the change is not in a state for it."""
        advance(self.state, event)
        return Entry(self.length, self.head, at, actor, event, data)

    def read(self, line: bytes, name: str) -> Entry:
        """The entry that `line` holds, if it may stand here. Raises Integrity naming the line."""
        number = self.length + 1
        entry = _read_line(line, number, name)
        if entry.seq != self.length or entry.prev != self.head:
            raise Integrity("journal-chain-broken", file=name, line=number)
        try:
            advance(self.state, entry.event)
        except Refused as error:
            raise Integrity(
                "journal-order-broken", file=name, line=number, state=self.state, event=entry.event
            ) from error
        return entry

    def after(self, entry: Entry, line: bytes) -> "Tip":
        """Where the journal ends once `line`, which holds `entry`, stands in it."""
        return Tip(self.length + 1, Digest.of(line), advance(self.state, entry.event))


@dataclass(frozen=True, slots=True)
class History:
    """A journal that was read and found whole."""

    entries: tuple[Entry, ...] = ()
    head: Digest = FIRST
    state: State = State.NEW

    @property
    def tip(self) -> Tip:
        return Tip(len(self.entries), self.head, self.state)

    def following(self, event: Event, data: Mapping[str, Any], *, at: datetime, actor: str) -> Entry:
        """The entry that would come next. Raises Refused when the change is not in a state for it."""
        return self.tip.following(event, data, at=at, actor=actor)

    def with_entry(self, entry: Entry) -> "History":
        tip = self.tip.after(entry, entry.to_line())
        return History((*self.entries, entry), tip.head, tip.state)

    def of(self, *events: Event) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.event in events)

    def up_to(self, event: Event) -> "History":
        """The journal as it stood when `event` was last written; all of it when it never was."""
        last = self.last(event)
        if last is None or last is self.entries[-1]:
            return self
        before = self.entries[: last.seq + 1]
        return read_history((entry.to_line() for entry in before), "journal.jsonl")

    def last(self, *events: Event) -> Entry | None:
        return next((entry for entry in reversed(self.entries) if entry.event in events), None)


def read_history(lines: Iterable[bytes], name: str) -> History:
    """Read a journal and check its chain and its order. Raises Integrity naming the first line that does not fit."""
    entries: list[Entry] = []
    tip = Tip()
    for line in lines:
        entry = tip.read(line, name)
        tip = tip.after(entry, line)
        entries.append(entry)
    return History(tuple(entries), tip.head, tip.state)


def read_entry(line: bytes) -> Entry:
    """The entry that a line holds, wherever it stands. Raises ValueError, KeyError or TypeError for no entry."""
    value = json.loads(line)
    return Entry(
        value["seq"],
        Digest(value["prev"]),
        plain.instant(value["at"]),
        value["actor"],
        Event(value["event"]),
        value["data"],
    )


def _read_line(line: bytes, number: int, name: str) -> Entry:
    try:
        entry = read_entry(line)
        whole = entry.to_line() == line
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Integrity("journal-line-damaged", file=name, line=number, found=str(error)[:120]) from error
    if not whole:
        raise Integrity("journal-line-damaged", file=name, line=number, found="another spelling")
    return entry
