"""Brake files: one file per ask in one folder of the state. A file that is there counts, whatever process looks.

A file that can't be read counts too: it refuses, and never means that nothing was asked.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from upgrader.adapters.builds.build_store import sync_folder
from upgrader.domain import plain
from upgrader.domain.changes.brake import FOR_ALL, Ask, Brake
from upgrader.domain.errors import PreflightFailed, Refused

FORMAT = "upgrader.brake/1"
PAST = "past"


class BrakeFiles:
    """The folder; it is made with the first ask."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ask(self, brake: Brake) -> Brake:
        """Put an ask where every process sees it; what was asked before stands, and is given instead.

        On disk when this returns. Raises PreflightFailed when it can't be written.
        """
        path = self._path(brake.ask, brake.change)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_new(path, brake)
        except FileExistsError:
            return _read(path)
        except OSError as error:
            raise PreflightFailed("brake-not-written", file=path, reason=error.strerror) from error
        return brake

    def asked(self, change: str) -> Sequence[Brake]:
        """What is asked of one change, oldest first. Raises Refused `brake-unreadable`."""
        paths = [self._path(ask, change) for ask in Ask if ask not in FOR_ALL]
        return sorted((_read(path) for path in paths if os.path.lexists(path)), key=lambda brake: brake.since)

    def stopped(self) -> Brake | None:
        """The stop of all work; None when there is none. Raises Refused `brake-unreadable`."""
        path = self._path(Ask.STOP, None)
        return _read(path) if os.path.lexists(path) else None

    def done(self, brake: Brake) -> None:
        """Take an ask away once it stands in the journal. Asking for it twice is no error."""
        path = self._path(brake.ask, brake.change)
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            sync_folder(path.parent)

    def lift(self, lifted: Brake) -> None:
        """End the stop of all work. Both, the stop and who lifted it, are kept in the folder `past`."""
        past = self._folder / PAST
        stop = self._path(Ask.STOP, None)
        stamp = f"{lifted.since:%Y%m%dT%H%M%S%fZ}"
        try:
            past.mkdir(parents=True, exist_ok=True)
            _write_new(past / f"{stamp}.{Ask.LIFT}", lifted)
            stop.rename(past / f"{stamp}.{Ask.STOP}")
            sync_folder(past)
            sync_folder(self._folder)
        except OSError as error:
            raise PreflightFailed("brake-not-written", file=stop, reason=error.strerror) from error

    def holding(self, change: str) -> tuple[str, ...]:
        """The files of which one is enough that no further host of a change begins."""
        asks = ((Ask.STOP, None), (Ask.PAUSE, change), (Ask.ABORT, change))
        return tuple(str(self._path(ask, whose).absolute()) for ask, whose in asks)

    def _path(self, ask: Ask, change: str | None) -> Path:
        return self._folder / f"{change or 'all'}.{ask}"


def _write_new(path: Path, brake: Brake) -> None:
    """The whole file or none, and never over another one."""
    told = {"format": FORMAT, **plain.to_plain(brake)}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            json.dump(told, file, ensure_ascii=False, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        os.link(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(path.parent)


def _read(path: Path) -> Brake:
    try:
        value = json.loads(path.read_bytes())
        if value.pop("format") != FORMAT:
            raise ValueError("another format")
        return plain.from_plain(Brake, value)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused("brake-unreadable", file=path, found=str(error)[:120]) from error
