"""What an act costs: wall seconds, and CPU seconds of everything that hangs below this process.

On one machine the hosts' side counts too: their sshd, their shells, their services. Whatever leaves its parent is
inherited by ours (PR_SET_CHILD_SUBREAPER, prctl(2)), so nothing that a lab starts is lost from the sum.
"""

import ctypes
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.2
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Running:
    """One process in /proc: its parent, its name, and CPU seconds of itself and of the children that it buried."""

    pid: int
    parent: int
    name: str
    cpu: float


@dataclass(frozen=True, slots=True)
class Meter:
    """Reads what everything below the process `root` has cost."""

    root: int

    def measure(self, act: Callable[[], object]) -> Cost:
        started, before = time.perf_counter(), self.cpu_seconds()
        act()
        return Cost(time.perf_counter() - started, self.cpu_seconds() - before)

    def cpu_seconds(self) -> float:
        """Of the root and all below it, those that ended included."""
        return sum(process.cpu for process in below(self.root))


def become_measured() -> Meter:
    """Go on in a child process whose parent inherits, and buries, whatever loses its own parent (as init does).

    Call it before anything is started that shall be counted.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    root, child = os.getpid(), os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended, folders are removed
        return Meter(root)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGINT))
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(statistics.median(c.wall for c in costs), statistics.median(c.cpu for c in costs))


def below(root: int) -> Iterator[Running]:
    """The process `root` and everything that hangs below it now."""
    processes, children = {}, defaultdict(list)
    for process in _every_process():
        processes[process.pid] = process
        children[process.parent].append(process.pid)
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        waiting += children[pid]
        if pid in processes:
            yield processes[pid]


def _every_process() -> Iterator[Running]:
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # ended meanwhile
        name, _, rest = text.partition("(")[2].rpartition(") ")
        fields = rest.split()
        yield Running(int(entry.name), int(fields[1]), name, sum(map(int, fields[11:15])) / TICKS)


@dataclass(slots=True)
class Peak:
    """The most memory that was seen, in megabytes, and how many processes shared it then."""

    megabytes: float = 0.0
    processes: int = 0


@contextmanager
def watched_memory(meter: Meter, peak: Peak) -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Gives what must be told the controller's process; its whole tree is then looked at until the block is left.

    Memory is PSS (proc(5)): a page that n processes share counts 1/n for each. The masters of ssh connections, which
    leave their parents, are the controller's too.
    """
    ended = threading.Event()
    earlier = {process.pid for process in below(meter.root)}
    watcher: list[threading.Thread] = []

    def watch(root: int) -> None:
        while not ended.wait(SAMPLE_SECONDS):
            masters = [p.pid for p in below(meter.root) if p.name == "ssh" and p.pid not in earlier]
            pids = {process.pid for process in below(root)} | set(masters)
            seen = [kilobytes for pid in pids if (kilobytes := _pss_kilobytes(pid))]
            if sum(seen) / 1024 > peak.megabytes:
                peak.megabytes, peak.processes = sum(seen) / 1024, len(seen)

    def begin(process: subprocess.Popen[bytes]) -> None:
        watcher.append(threading.Thread(target=watch, args=(process.pid,)))
        watcher[0].start()

    try:
        yield begin
    finally:
        ended.set()
        for thread in watcher:
            thread.join()


def _pss_kilobytes(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0  # ended meanwhile
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
