"""Processes of this machine: found exactly, ended for certain, and never a stranger's in their place.

A process is known by its number *and* its start time, and is signalled through a file descriptor of the kernel (pidfd):
a number that was given to somebody else in the meantime is never hit.
"""

import os
import select
import signal
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from upgrader.domain.errors import LabFailed

PROC = Path("/proc")
KILL_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Process:
    """One process that ran when it was looked at. `started` is in clock ticks since the machine booted."""

    pid: int
    parent: int
    started: int
    name: str


def look_at(pid: int) -> Process | None:
    """Return the running process with this number; None if there is none, or if it only waits to be buried."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(") ")
    fields = rest.split()
    if fields[0] in "ZX":
        return None
    return Process(pid=pid, parent=int(fields[1]), started=int(fields[19]), name=name)


def is_running(process: Process) -> bool:
    now = look_at(process.pid)
    return now is not None and now.started == process.started


def every_process() -> Iterator[Process]:
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (process := look_at(int(entry.name))):
            yield process


def command_line(process: Process) -> str:
    """Return the command line as one text, or an empty one when it cannot be read."""
    return _read(process.pid, "cmdline").replace("\0", " ").strip()


def with_marker(name: str, value: str) -> tuple[Process, ...]:
    """Return every process but this one that was started with exactly `name=value` in its environment."""
    return by_marker(name).get(value, ())


def by_marker(name: str) -> dict[str, tuple[Process, ...]]:
    """Return every process but this one that was started with `name` in its environment, by the value it had."""
    found: dict[str, tuple[Process, ...]] = {}
    for process in every_process():
        value = _marker(process, f"{name}=")
        if value is not None and process.pid != os.getpid():
            found[value] = (*found.get(value, ()), process)
    return found


def with_descendants(roots: Iterable[Process]) -> tuple[Process, ...]:
    """Return the processes and everything they started that still hangs below them."""
    children: dict[int, list[Process]] = defaultdict(list)
    for process in every_process():
        children[process.parent].append(process)
    found: dict[int, Process] = {}
    waiting = list(roots)
    while waiting:
        process = waiting.pop()
        if process.pid not in found:
            found[process.pid] = process
            waiting += children[process.pid]
    return tuple(found.values())


def first_of_container(processes: Iterable[Process]) -> Process | None:
    """Return the one among them that is number 1 in a namespace of its own."""
    for process in processes:
        status = _read(process.pid, "status").splitlines()
        numbers = next((line.split()[1:] for line in status if line.startswith("NSpid:")), [])
        if len(numbers) > 1 and numbers[-1] == "1":
            return process
    return None


def serving(endpoints: Collection[tuple[str, int]], *, name: str) -> tuple[Process, ...]:
    """Return the processes of that name that hold a TCP socket on one of our own addresses and ports.

    Finds the session of a server whose parent was killed, which no pid file and no marker knows.
    """
    sockets = {f"socket:[{inode}]" for inode in _inodes(endpoints)}
    if not sockets:
        return ()
    return tuple(p for p in every_process() if p.name == name and not sockets.isdisjoint(_open_files(p)))


def recorded(pid_file: Path) -> Process | None:
    """Return the running process whose number stands in a file; the caller checks that it is the right one."""
    try:
        text = pid_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return look_at(int(text)) if text.isdecimal() else None


def end(processes: Collection[Process], *, patience: float = 3.0) -> None:
    """End the processes: ask, wait, then kill. With no patience they are killed at once.

    Raises LabFailed when one is still there ten seconds after it was killed.
    """
    handles = {descriptor: process for process in processes if (descriptor := _open(process)) is not None}
    try:
        if patience:
            _signal(handles, signal.SIGTERM)
            _bury(handles, patience)
        _signal(handles, signal.SIGKILL)
        _bury(handles, KILL_PATIENCE_SECONDS)
        if handles:
            raise LabFailed("lab-process-stays", pids=", ".join(str(p.pid) for p in handles.values()))
    finally:
        for descriptor in handles:
            os.close(descriptor)


def _read(pid: int, name: str) -> str:
    try:
        return (PROC / str(pid) / name).read_text(encoding="utf-8", errors="replace")
    except OSError:  # gone, or not ours to read
        return ""


def _marker(process: Process, start: str) -> str | None:
    for variable in _read(process.pid, "environ").split("\0"):
        if variable.startswith(start):
            return variable.removeprefix(start)
    return None


def _inodes(endpoints: Collection[tuple[str, int]]) -> Iterator[str]:
    """The kernel writes an address as the hex of its bytes in this machine's order."""
    wanted = set()
    for address, port in endpoints:
        number = int.from_bytes(socket.inet_aton(address), sys.byteorder)
        wanted.add(f"{number:08X}:{port:04X}")
    for line in (PROC / "net" / "tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1] in wanted:
            yield fields[9]


def _open_files(process: Process) -> Iterator[str]:
    try:
        for entry in (PROC / str(process.pid) / "fd").iterdir():
            yield str(entry.readlink())
    except OSError:  # gone, or not ours to read
        return


def _open(process: Process) -> int | None:
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return None
    if is_running(process):
        return descriptor
    os.close(descriptor)
    return None


def _signal(handles: Iterable[int], number: signal.Signals) -> None:
    for descriptor in handles:
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            continue


def _bury(handles: dict[int, Process], seconds: float) -> None:
    """Wait until the processes have ended, at most so long, and forget each that has."""
    deadline = time.monotonic() + seconds
    poll = select.poll()
    for descriptor in handles:
        poll.register(descriptor, select.POLLIN)
    while handles and (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(left * 1000):
            poll.unregister(descriptor)
            os.close(descriptor)
            del handles[descriptor]
