"""Folders for the time of one run, which nobody else may enter. What a killed process left goes with the next run.

A folder is locked (flock(2)) for as long as its process lives, and gets the name under which it is looked for once it
is: whoever can lock one has found one that nobody needs any more.
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - a tmpfs; the folder in it is ours alone
BEFORE, OURS = "upgrader-new-", "upgrader-r-"  # short, for the sockets in it have short names
NAME = re.compile(r"upgrader-r-\w{8}")


@contextmanager
def private_folder(within: Path | None = None) -> Iterator[Path]:
    """A folder that only we may enter and that is gone afterwards; at the latest when the next one is made there."""
    parent = within or Path(tempfile.gettempdir())
    take_away_what_is_left(parent)
    before = os.umask(0o077)
    try:
        fresh = Path(tempfile.mkdtemp(prefix=BEFORE, dir=parent))
        descriptor = os.open(fresh, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _try_lock(descriptor)
            folder = fresh.rename(parent / fresh.name.replace(BEFORE, OURS, 1))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
    finally:
        os.umask(before)


def take_away_what_is_left(parent: Path) -> None:
    """Remove the folders of processes of this user that were killed. Those of living ones, and of others, stay."""
    with suppress(OSError):
        for path in parent.iterdir():
            if NAME.fullmatch(path.name):
                _remove_if_left(path)


def _remove_if_left(path: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid() and _try_lock(descriptor):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Where the file system takes no locks, nothing is ever found to be left."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
