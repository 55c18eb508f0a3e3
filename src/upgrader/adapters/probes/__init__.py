"""Probes: one file for each way to look at a host, and the prober that asks them all."""

import heapq
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from upgrader.adapters.probes.command import CommandProbe
from upgrader.adapters.probes.http import HttpProbe
from upgrader.adapters.probes.look import Look
from upgrader.adapters.probes.tcp import TcpProbe
from upgrader.domain.changes.verdict import Measurement, Reading
from upgrader.domain.releases.probe import Probe, ProbeKind
from upgrader.ports import Clock, ProbedHost


@dataclass(frozen=True, slots=True)
class Access:
    """How hosts are reached over ssh. Without a key the caller's agent is asked."""

    ssh_key: Path | None
    known_hosts: Path


# Reading this dict is reading the whole plugin system.
PROBES: Mapping[ProbeKind, Callable[[Access], Look]] = {
    ProbeKind.HTTP: lambda _: HttpProbe(),
    ProbeKind.TCP: lambda _: TcpProbe(),
    ProbeKind.COMMAND: lambda access: CommandProbe(access.ssh_key, access.known_hosts),
}


class Rounds(StrEnum):
    """How often each probe is asked: as often as it wants, or once (one tick of a soak)."""

    FULL = "full"
    ONE = "one"


@dataclass(slots=True)
class _Series:
    """One probe on one host, and how far it has got."""

    probe: Probe
    host: ProbedHost
    wanted: int
    started: float = 0.0
    asked: int = 0
    not_healthy: int = 0

    @property
    def is_over(self) -> bool:
        """All asked, or so many bad readings that no later one can make it stable."""
        return self.asked >= self.wanted or self.not_healthy > self.probe.failures_allowed

    def count(self, reading: Reading) -> None:
        self.asked += 1
        self.not_healthy += reading is not Reading.HEALTHY


class Prober:
    """Asks every probe of every host, many hosts at a time. Sleeps between the rounds without holding a thread."""

    def __init__(
        self,
        clock: Clock,
        ssh_key: Path | None,
        known_hosts: Path,
        parallel: int = 20,
        *,
        sleep: Callable[[float], None] = time.sleep,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._ticks = ticks
        self._parallel = parallel
        access = Access(ssh_key, known_hosts)
        self._looks = {kind: make(access) for kind, make in PROBES.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that were kept; the prober may be used again and makes new ones."""
        for look in self._looks.values():
            look.close()

    def measure_all(
        self, probes: Sequence[Probe], hosts: Sequence[ProbedHost], rounds: Rounds = Rounds.FULL
    ) -> Iterator[Measurement]:
        """Give every measurement as it comes in.

        A probe is asked `count` times on each host, its interval apart from start to start, and no more on a host where
        it was not healthy more often than allowed: that host can't be found stable any more.
        """
        series = [
            _Series(probe, host, probe.count if rounds is Rounds.FULL else 1) for host in hosts for probe in probes
        ]
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="probe") as pool:
            try:
                yield from self._play(series, pool)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _play(self, series: Sequence[_Series], pool: ThreadPoolExecutor) -> Iterator[Measurement]:
        due = [(self._ticks(), number) for number in range(len(series))]
        running: dict[Future[Measurement], int] = {}
        while due or running:
            while due and due[0][0] <= self._ticks():
                _, number = heapq.heappop(due)
                series[number].started = self._ticks()
                running[pool.submit(self._measure, series[number])] = number
            left = max(0.0, due[0][0] - self._ticks()) if due else None
            if not running:
                self._sleep(left or 0.0)
                continue
            for done in wait(running, left, FIRST_COMPLETED).done:
                number = running.pop(done)
                yield from self._after(series[number], number, done.result(), due)

    def _after(
        self, series: _Series, number: int, measurement: Measurement, due: list[tuple[float, int]]
    ) -> Iterator[Measurement]:
        series.count(measurement.reading)
        if not series.is_over:
            heapq.heappush(due, (series.started + series.probe.interval_seconds, number))
        yield measurement

    def _measure(self, series: _Series) -> Measurement:
        return self._looks[series.probe.kind].measure(series.probe, series.host, self._clock())
