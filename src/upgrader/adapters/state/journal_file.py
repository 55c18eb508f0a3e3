"""The journal of a change on disk: JSON lines, each on the platter before the act that it announces."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from upgrader.adapters.builds.build_store import sync_folder
from upgrader.adapters.state.journal_marks import JournalMarks
from upgrader.adapters.state.locks import try_lock
from upgrader.domain.changes.journal import Entry, History, Tip
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, Locked, PreflightFailed

BEGINNING = b'{"actor":"'  # of every line: the keys stand in their order


class JournalFile:
    """One journal. Anybody may read it at any time; the first `write` locks it for this process until `close`.

    `set_aside` is the file into which a torn last line was moved, when one was found on opening for writing. Without
    `marks` nobody knows whether this machine wrote what stands there.
    """

    def __init__(self, path: Path, marks: JournalMarks | None = None) -> None:
        self._path = path
        self._marks = marks
        self._writer: _Writer | None = None
        self.set_aside: Path | None = None

    def is_vouched(self) -> bool:
        """Whether what stands here is what was written last: by this machine since it was started, or vouched for."""
        return self._marks is not None and self._marks.is_ours(self._path, self._tip())

    def vouch(self) -> None:
        """The hosts were asked, and know of nothing more: from here on this journal is ours."""
        if self._marks is not None:
            self._marks.remember(self._path, self._tip())

    def history(self) -> History:
        """What was written so far. Raises Integrity for a line that was changed, removed or put in.

        A last line that is not finished is left out, not judged: it is being written, or a power cut tore it.
        """
        if self._writer is not None:
            return self._writer.history()
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return History()
        return _Reading(content, self._path).history

    def write(self, event: Event, data: Mapping[str, Any], *, at: datetime, actor: str) -> Entry:
        """Write down one fact. When this returns, it is on disk; when it raises, nothing of it is there.

        Raises Refused when the change is not in a state for it, Locked when another process writes this journal,
        PreflightFailed when the disk is full, Integrity when the file was changed behind our back.
        """
        writer = self._writer = self._writer or self._open(at=at, actor=actor)
        vouched = self.is_vouched()
        line = writer.tip.following(event, data, at=at, actor=actor).to_line()
        try:
            entry = writer.append(line)
        except BaseException:  # a failed disk or Ctrl-C: what stands in the file is read again before the next line
            self.close()
            raise
        if vouched:
            self.vouch()
        return entry

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _tip(self) -> Tip:
        return self._writer.tip if self._writer is not None else self.history().tip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, *, at: datetime, actor: str) -> "_Writer":
        """Lock the file and read it. A torn line that was moved aside is itself a fact, and the next line says it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            sync_folder(self._path.parent)
            sync_folder(self._path.parent.parent)
        except OSError as error:
            raise PreflightFailed("journal-not-written", file=self._path, reason=error.strerror) from error
        try:
            if not try_lock(descriptor):
                raise Locked("journal-in-use", file=self._path)
            reading = _Reading(_read_all(descriptor), self._path)
            aside = reading.mend(descriptor)
            writer = _Writer(self._path, descriptor, reading.history)
            if aside is not None:
                self.set_aside = aside
                writer.tell_torn(aside, at=at, actor=actor)
        except BaseException:
            os.close(descriptor)
            raise
        return writer


class _Reading:
    """The content of a journal file, judged: its history, and what is left after the last line feed."""

    def __init__(self, content: bytes, path: Path) -> None:
        *lines, self._tail = content.split(b"\n")
        self._path = path
        self._whole = len(content) - len(self._tail)
        self._entries: list[Entry] = []
        self._tip = Tip()
        for line in lines:
            self._take(line + b"\n")
        if self._tail and not is_torn(self._tail):  # all but the line feed is there: then it was written down
            self._take(self._tail + b"\n")

    @property
    def history(self) -> History:
        return History(tuple(self._entries), self._tip.head, self._tip.state)

    def mend(self, descriptor: int) -> Path | None:
        """Let the file end with a line feed: finish a whole last line, move a torn one into a file beside it.

        The act that a torn line was to announce never began, because `write` had not returned.
        """
        if not self._tail:
            return None
        try:
            if self._entries and self._entries[-1].to_line() == self._tail + b"\n":
                os.write(descriptor, b"\n")
                os.fsync(descriptor)
                return None
            return self._put_aside(descriptor)
        except OSError as error:
            raise PreflightFailed("journal-not-written", file=self._path, reason=error.strerror) from error

    def _put_aside(self, descriptor: int) -> Path:
        aside = self._path.with_name(f"{self._path.name}.torn-{Digest.of(self._tail).hex[:12]}")
        with aside.open("wb") as file:
            file.write(self._tail)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(aside.parent)
        os.ftruncate(descriptor, self._whole)
        os.fsync(descriptor)
        return aside

    def _take(self, line: bytes) -> None:
        entry = self._tip.read(line, str(self._path))
        self._entries.append(entry)
        self._tip = self._tip.after(entry, line)


class _Writer:
    """A journal that is open and locked, with its history in memory."""

    def __init__(self, path: Path, descriptor: int, history: History) -> None:
        self._path = path
        self._descriptor = descriptor
        self._entries = list(history.entries)
        self._size = os.fstat(descriptor).st_size
        self.tip = history.tip

    def history(self) -> History:
        return History(tuple(self._entries), self.tip.head, self.tip.state)

    def append(self, line: bytes) -> Entry:
        entry = self.tip.read(line, str(self._path))  # in memory stands what a reader will find, to the second
        self._check_untouched()
        try:
            _write_all(self._descriptor, line)
            os.fsync(self._descriptor)
        except OSError as error:
            with suppress(OSError):  # should this fail too, the torn line is moved aside when the file is opened again
                os.ftruncate(self._descriptor, self._size)
                os.fsync(self._descriptor)
            raise PreflightFailed("journal-not-written", file=self._path, reason=error.strerror) from error
        self._size += len(line)
        self._entries.append(entry)
        self.tip = self.tip.after(entry, line)
        return entry

    def tell_torn(self, aside: Path, *, at: datetime, actor: str) -> None:
        """Write down that the torn last line now lies in a file of its own."""
        told = {"file": aside.name, "bytes": aside.stat().st_size}
        self.append(self.tip.following(Event.TORN_LINE_MOVED_ASIDE, told, at=at, actor=actor).to_line())

    def close(self) -> None:
        os.close(self._descriptor)

    def _check_untouched(self) -> None:
        ours = os.fstat(self._descriptor)
        try:
            there = self._path.stat(follow_symlinks=False)
        except FileNotFoundError as error:
            raise Integrity("journal-changed", file=self._path, found="the file is gone") from error
        if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            raise Integrity("journal-changed", file=self._path, found="another file in its place")
        if ours.st_size != self._size:
            raise Integrity("journal-changed", file=self._path, found=f"{ours.st_size} bytes, not {self._size}")


def is_torn(tail: bytes) -> bool:
    """Whether these bytes after the last line feed can be what a power cut left of one of our lines.

    That is its beginning, or zeros where a file system had made room and not written yet, or both. Anything else was
    not written by us: it is judged as a line, and refused.
    """
    said = tail.rstrip(b"\0")
    if not (said.startswith(BEGINNING) or BEGINNING.startswith(said)):
        return False
    try:
        json.loads(said)
    except ValueError:
        return True
    return False


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        return file.read()


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
