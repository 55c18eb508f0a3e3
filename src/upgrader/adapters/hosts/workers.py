"""Work beside the service: a process a piece, forked from it, so that what breaks one leaves the others alone.

A worker does not outlive its service, however that ends: the kernel kills it. Whoever is to end is told by SIGTERM, and
takes the time that it needs. Signals of the terminal go to the service alone.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

T = TypeVar("T")
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
TERMINATED = 143


@dataclass(frozen=True, slots=True)
class _Worker:
    process: BaseProcess
    result: Connection


class Workers(Generic[T]):
    def __init__(self) -> None:
        self._workers: dict[str, _Worker] = {}

    @property
    def busy(self) -> Set[str]:
        return self._workers.keys()

    def start(self, name: str, work: Callable[[], T]) -> None:
        """Do `work` beside us. Its result has to be small, and something that pickle knows."""
        forking = multiprocessing.get_context("fork")
        ours, theirs = forking.Pipe(duplex=False)
        process = forking.Process(target=_work, args=(work, theirs, os.getpid()), name=name)
        process.start()
        theirs.close()
        self._workers[name] = _Worker(process, ours)

    def ended(self) -> Sequence[tuple[str, T | None]]:
        """Those that ended since this was asked last, each with its result; None for one that ended without any."""
        over = [name for name, worker in self._workers.items() if not worker.process.is_alive()]
        return [(name, self._result(self._workers.pop(name))) for name in over]

    def ask_to_end(self) -> None:
        for worker in list(self._workers.values()):
            worker.process.terminate()

    def _result(self, worker: _Worker) -> T | None:
        try:
            result: T = worker.result.recv()
        except EOFError:
            return None
        finally:
            worker.result.close()
            worker.process.join()
        return result


def _work(work: Callable[[], T], result: Connection, service: int) -> None:
    os.setpgid(0, 0)
    ctypes.CDLL(None, use_errno=True).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != service:  # it died while we were being made
        os._exit(TERMINATED)
    try:
        result.send(work())
    except KeyboardInterrupt:
        sys.exit(TERMINATED)
