"""Locks: who works on what since when, so that two people never change the same thing at once.

They are flock(2) locks on files that stay: the kernel lets go of them when their holder dies, on another machine the
file server does, so there is no stale lock to break. What a file says of its holder is for people; only the kernel's
lock counts.
"""

import errno
import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from upgrader.adapters.state.lock_folder import check_locks_hold
from upgrader.domain import plain
from upgrader.domain.changes.lock import HeldLock
from upgrader.domain.errors import Locked, PreflightFailed

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
LOOK_SECONDS = 0.05  # somebody who only looks holds a lock for less than this
WITHOUT_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


class Locks:
    """A folder with one file per name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def hold(self, names: Iterable[str], purpose: str, holder: str, now: datetime) -> Iterator[None]:
        """Hold all of `names` or none. Does not wait: raises Locked telling who holds the first that is taken.

        Raises PreflightFailed where the folder's file system takes no locks, or takes them so that others don't see it.
        """
        wanted = sorted(set(names))
        if not wanted:
            raise ValueError("no name to lock: a lock on nothing protects nothing")
        note = {
            "holder": holder,
            "purpose": purpose,
            "since": str(plain.to_plain(now)),
            "machine": socket.gethostname(),
        }
        self._make_folder()
        with ExitStack() as held:
            for name in wanted:
                held.enter_context(self._hold_one(name, note))
            yield

    def list_held(self) -> Sequence[HeldLock]:
        """Every lock that somebody holds now, and those whose holder died without giving them back."""
        paths = sorted(self._folder.iterdir()) if self._folder.is_dir() else []
        return [found for path in paths if path.is_file() and (found := _look(path)) is not None]

    @contextmanager
    def _hold_one(self, name: str, note: Mapping[str, str]) -> Iterator[None]:
        descriptor = self._open(name)
        try:
            if not self._try_twice(descriptor, name):
                told = _read_note(descriptor)
                raise Locked("locked", name=name, **told)
            try:
                _write_note(descriptor, note, name)
                yield
            finally:
                os.ftruncate(descriptor, 0)
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked child may still hold a copy of the descriptor
        finally:
            os.close(descriptor)

    def _try_twice(self, descriptor: int, name: str) -> bool:
        try:
            if try_lock(descriptor):
                return True
            time.sleep(LOOK_SECONDS)
            return try_lock(descriptor)
        except OSError as error:
            if error.errno in WITHOUT_LOCKS:
                raise PreflightFailed(
                    "locks-not-shared", folder=self._folder, found=error.strerror, mount=self._folder
                ) from error
            raise PreflightFailed("lock-not-possible", name=name, reason=error.strerror) from error

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PreflightFailed("lock-not-possible", name=self._folder, reason=error.strerror) from error
        check_locks_hold(self._folder)

    def _open(self, name: str) -> int:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name[:80]!r} can't name a lock")
        try:
            return os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise PreflightFailed("lock-not-possible", name=name, reason=error.strerror) from error


def _look(path: Path) -> HeldLock | None:
    """What one lock file tells; None when nobody has it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        alive = not _try_shared(descriptor)
        note = _read_note(descriptor) if alive or os.fstat(descriptor).st_size else None
    finally:
        os.close(descriptor)
    return None if note is None else HeldLock(name=path.name, alive=alive, **note)


def _try_shared(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
    return {field: str(told.get(field, "?")) for field in ("holder", "purpose", "since", "machine")}
