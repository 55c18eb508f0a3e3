"""The janitor: a small process of its own that ends a lab when its owner is gone, however the owner died.

It reads from a pipe whose other end only the owner holds. The pipe ends when the owner closes it, leaves, or is killed.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import upgrader
from upgrader.domain.errors import LabFailed
from upgrader.lab.lab import Lab, Progress, silent
from upgrader.lab.record import has_record

END_SECONDS = 120


@contextmanager
def watched_by_janitor(directory: Path) -> Iterator[None]:
    """End the lab in this folder when the block is left, or when this process dies inside it.

    Raises LabFailed when the janitor could not end it; what it said lies in `<directory>/janitor.log`.
    """
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    janitor = _start(directory)
    try:
        yield
    finally:
        _dismiss(janitor, directory)


@contextmanager
def temporary_lab(
    directory: Path, *, hosts: int = 12, machines: bool = False, progress: Progress = silent
) -> Iterator[Lab]:
    """A lab that lasts as long as the block, and not one process longer."""
    with watched_by_janitor(directory):
        yield Lab.up(directory, hosts=hosts, machines=machines, progress=progress)


def _start(directory: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(Path(upgrader.__file__).parents[1])}
    with (directory / "janitor.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "upgrader.lab.janitor", str(directory)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a Ctrl-C for the owner is not one for the janitor
            env=environment,
        )


def _dismiss(janitor: subprocess.Popen[bytes], directory: Path) -> None:
    if janitor.stdin:
        janitor.stdin.close()
    try:
        code = janitor.wait(END_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise LabFailed("lab-janitor-failed", log=directory / "janitor.log") from error
    if code != 0:
        raise LabFailed("lab-janitor-failed", log=directory / "janitor.log")


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    directory = Path(sys.argv[1])
    sys.stdin.buffer.read()
    if has_record(directory):
        Lab.load(directory).down()


if __name__ == "__main__":
    main()
