"""One file from a server, whole: what broke goes on where it stopped, for as long as the file there is the same one."""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from upgrader.domain.errors import BadInput, PreflightFailed, Refused
from upgrader.ports import Progress

PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds between tries that brought nothing; one that did starts over
STEPS = 10  # lines of progress for one file
LEFT_FREE = 64 * 1024 * 1024


class LinkBroken(Exception):
    """The link to a server broke, or it was silent for too long. To try again may help."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How a person shows a server who they are. `password_file` is 0600 and holds nothing else; both may be missing."""

    identity: Path | None = None
    password_file: Path | None = None

    def password(self) -> str | None:
        """Raises BadInput unless nobody else can read the file."""
        if self.password_file is None:
            return None
        try:
            if self.password_file.stat().st_mode & 0o077:
                raise BadInput("password-file-open-to-others", file=self.password_file)
            return self.password_file.read_text(encoding="utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput("password-file-unreadable", file=self.password_file) from error


@dataclass(frozen=True, slots=True)
class Download:
    """A file that is being sent, from `offset` on, though another was asked for where the server could not.

    `size` is that of the whole file; `stamp` tells it from a later one of the same name, and is empty when it can't.
    """

    offset: int
    size: int
    stamp: str
    chunks: Iterator[bytes]


class Server(Protocol):
    """A folder on somebody else's machine."""

    def open(self, name: str, offset: int, stamp: str) -> AbstractContextManager[Download]:
        """Start sending. Raises LinkBroken, or Refused when the server has no such file or may not be talked to."""
        ...


@dataclass(frozen=True, slots=True)
class Transfer:
    """How files are fetched: at most so many bytes each, with what patience, and who is told."""

    server: Server
    progress: Progress
    pauses: Sequence[float] = PAUSES
    sleep: Callable[[float], None] = field(default=time.sleep)

    def fetch(self, name: str, place: Path, limit: int) -> bool:
        """Have `place` hold the whole file `name`, at most `limit` bytes; tell whether it was put together from parts.

        Until it is whole it lies beside `place` as `.part`. Raises Refused for a file that is too large, and
        PreflightFailed `source-broken` when the link stays broken; what has come so far stays for the next time.
        """
        tries, resumed = 0, False
        while True:
            before = _size(_part(place))
            try:
                resumed = self._one_try(name, place, limit) or resumed
            except LinkBroken as error:
                tries = tries + 1 if _size(_part(place)) <= before else 0
                if tries >= len(self.pauses):
                    fields = {"file": name, "found": str(error)[:120], "done": _size(_part(place))}
                    raise PreflightFailed("source-broken", **fields) from error
                self.progress("progress.link-broken", {"file": name, "found": str(error)[:60]})
                self.sleep(self.pauses[tries])
            else:
                return resumed

    def _one_try(self, name: str, place: Path, limit: int) -> bool:
        part = _part(place)
        kept, stamp = _kept(part)
        with self.server.open(name, kept, stamp) as download:
            if download.size > limit:
                raise Refused("source-too-large", file=name, expected=limit, found=download.size)
            if download.offset not in (0, kept):
                raise LinkBroken("the server went on elsewhere")
            _check_room(place.parent, download.size - download.offset, name)
            with writing(part):
                _note(part).write_text(json.dumps({"stamp": download.stamp}), encoding="utf-8")
                with part.open("r+b" if download.offset else "wb") as file:
                    file.truncate(download.offset)
                    file.seek(download.offset)
                    self._receive(name, download, file)
        if _size(part) != download.size:
            raise LinkBroken("the file ended too early")
        with writing(part):
            _note(part).unlink()
            part.replace(place)
        return download.offset > 0

    def _receive(self, name: str, download: Download, file: "Writable") -> None:
        done, told = download.offset, 0
        for chunk in download.chunks:
            done += len(chunk)
            if done > download.size:
                raise Refused("source-too-large", file=name, expected=download.size, found=done)
            file.write(chunk)
            if (step := STEPS * done // download.size) > told:
                told = step
                self.progress("progress.fetching", {"file": name, "percent": 100 * done // download.size})
        file.flush()
        os.fsync(file.fileno())


class Writable(Protocol):
    def write(self, content: bytes, /) -> int: ...
    def flush(self) -> None: ...
    def fileno(self) -> int: ...


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Say of the state folder, not of the server, when the disk is full."""
    try:
        yield
    except OSError as error:
        raise PreflightFailed("quarantine-not-writable", file=place, reason=error.strerror) from error


def _part(place: Path) -> Path:
    return place.with_name(f"{place.name}.part")


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _kept(part: Path) -> tuple[int, str]:
    """How many bytes of which file came before; nothing where that is not known."""
    try:
        stamp = json.loads(_note(part).read_text(encoding="utf-8"))["stamp"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ""
    return (_size(part), stamp) if isinstance(stamp, str) and stamp else (0, "")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _check_room(folder: Path, needed: int, name: str) -> None:
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < needed + LEFT_FREE:
        raise PreflightFailed("quarantine-full", file=name, expected=needed, found=free)
