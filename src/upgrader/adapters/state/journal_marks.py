"""Marks: what this machine itself wrote last into each journal, kept in memory alone.

A mark is gone when the machine was started anew, and stands in no backup. So a journal whose tip is not as marked may
be an older one that was put back: its hosts are asked before anything runs. A mark that is lost costs one question, no
more; it is no memory of a change, and nothing is ever read from it but that.
"""

import os
from contextlib import suppress
from pathlib import Path

from upgrader.domain.changes.journal import Tip
from upgrader.domain.digest import Digest

MEMORY = Path("/dev/shm")  # noqa: S108 - a tmpfs; the folder in it is ours alone


class JournalMarks:
    """One link for each journal, whose text is the mark: tmpfs keeps that in the link itself, and takes no page."""

    def __init__(self, memory: Path = MEMORY) -> None:
        self._folder = memory / f"upgrader-journals-{os.geteuid()}"

    def is_ours(self, journal: Path, tip: Tip) -> bool:
        """Whether this machine wrote the last line of this journal since it was started. An empty one is anybody's."""
        if tip.length == 0:
            return True
        try:
            return self._is_private() and str(self._mark(journal).readlink()) == _text(tip)
        except OSError:
            return False

    def remember(self, journal: Path, tip: Tip) -> None:
        """Set the mark. Where there is no such memory nothing is remembered, and the hosts are asked each time."""
        mark = self._mark(journal)
        fresh = mark.with_name(f"{mark.name}.{os.getpid()}")
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if self._is_private():
                fresh.unlink(missing_ok=True)
                fresh.symlink_to(_text(tip))
                fresh.replace(mark)

    def _mark(self, journal: Path) -> Path:
        return self._folder / Digest.of(os.fsencode(journal.absolute())).hex[:40]

    def _is_private(self) -> bool:
        found = self._folder.lstat()
        return found.st_uid == os.geteuid() and found.st_mode & 0o170077 == 0o040000


def _text(tip: Tip) -> str:
    return f"{tip.length}.{tip.head.hex}"
