"""Locks: who works on what since when, so that two people never change the same thing at once.

They are flock(2) locks on files that stay: the kernel lets go of them when their holder dies, so there is no stale lock
to break. What a file says of its holder is for people; only the kernel's lock counts.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from upgrader.domain import plain
from upgrader.domain.errors import Locked, PreflightFailed

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class Locks:
    """A folder with one file per name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def hold(self, names: Iterable[str], purpose: str, holder: str, now: datetime) -> Iterator[None]:
        """Hold all of `names` or none. Does not wait: raises Locked telling who holds the first that is taken."""
        wanted = sorted(set(names))
        if not wanted:
            raise ValueError("no name to lock: a lock on nothing protects nothing")
        note = {"holder": holder, "purpose": purpose, "since": str(plain.to_plain(now))}
        with ExitStack() as held:
            for name in wanted:
                held.enter_context(self._hold_one(name, note))
            yield

    @contextmanager
    def _hold_one(self, name: str, note: Mapping[str, str]) -> Iterator[None]:
        descriptor = self._open(name)
        try:
            if not try_lock(descriptor):
                raise Locked("locked", name=name, **_read_note(descriptor))
            try:
                _write_note(descriptor, note, name)
                yield
            finally:
                os.ftruncate(descriptor, 0)
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked child may still hold a copy of the descriptor
        finally:
            os.close(descriptor)

    def _open(self, name: str) -> int:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name[:80]!r} can't name a lock")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise PreflightFailed("lock-not-possible", name=name, reason=error.strerror) from error


def try_lock(descriptor: int) -> bool:
    """Lock an open file for this holder alone. False when somebody else has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_note(descriptor: int, note: Mapping[str, str], name: str) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, (json.dumps(note, ensure_ascii=False) + "\n").encode(), 0)
    except OSError as error:
        raise PreflightFailed("lock-not-possible", name=name, reason=error.strerror) from error


def _read_note(descriptor: int) -> dict[str, str]:
    """What the holder wrote of itself; `?` for what it had not written yet when we looked."""
    try:
        told = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        told = {}
    return {field: str(told.get(field, "?")) for field in ("holder", "purpose", "since")}
