"""Looking through all journals for one thing, without reading each: what is found is then read, and checked, whole."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from upgrader.domain.changes.journal import Entry, read_entry
from upgrader.domain.changes.lifecycle import Event

TAIL = 4096
ENDED = re.compile(rb'"event":"change (closed|cancelled)"')
TRUST_VERSION = re.compile(rb'"trust_version":(\d{1,6})')


class JournalSearch:
    """All journals of one controller, in the folder of its changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def unclosed_with(self, event: str) -> list[str]:
        """The names of changes that are not closed or cancelled, and whose journal tells of an event.

        A text that somebody wrote into a journal can't look like one: its quotation marks are escaped there.
        """
        wanted = f'"event":"{event}"'.encode()
        return [name for name, path, ended in self._all() if not ended and wanted in path.read_bytes()]

    def newest_trust_version(self) -> int:
        """The highest trust file version that any journal names; of closed changes, near their end. 0 for none."""
        found = 0
        for _, path, ended in self._all():
            content = _tail(path) if ended else path.read_bytes()
            found = max([found, *map(int, TRUST_VERSION.findall(content))])
        return found

    def earlier(self, system: str, events: Iterable[Event], *, but: str, most: int) -> list[list[Entry]]:
        """The entries of these events from the journals of a system, but for one change; of the latest `most`, by id.

        They are measured, not believed: no journal is checked here, and a line that can't be read tells nothing.
        """
        wanted = re.compile(b"^.*" + b'"event":"(%s)"' % b"|".join(sorted(e.encode() for e in events)) + b".*\n", re.M)
        found: list[list[Entry]] = []
        for name, path, _ in reversed(list(self._all())):
            if len(found) == most:
                break
            if name != but and _system_of(path) == system:
                lines = (hit.group() for hit in wanted.finditer(path.read_bytes()))
                found.append([entry for line in lines if (entry := _entry(line))])
        return found

    def _all(self) -> Iterator[tuple[str, Path, bool]]:
        """Each change's journal, and whether its last lines say that it is over."""
        if not self._folder.is_dir():
            return
        for change in sorted(self._folder.iterdir()):
            path = change / "journal.jsonl"
            if path.is_file():
                yield change.name, path, ENDED.search(_tail(path)) is not None


def _system_of(path: Path) -> str:
    """Which system the change of a journal is of; empty when its first line does not tell."""
    with path.open("rb") as file, suppress(ValueError, KeyError, TypeError):
        return str(json.loads(file.readline())["data"]["system"])
    return ""


def _entry(line: bytes) -> Entry | None:
    try:
        return read_entry(line)
    except (ValueError, KeyError, TypeError):
        return None


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        return file.read()
