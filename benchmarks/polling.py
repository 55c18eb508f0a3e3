"""Downtime as a client sees it: it asks every host many times a second, from outside, through the whole upgrade."""

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

from upgrader.lab.host import SERVICE_PORT, LabHost

INTERVAL_SECONDS = 0.02
PATIENCE_SECONDS = 0.5


@dataclass(slots=True)
class Gaps:
    """For every host the longest time between two good answers, in seconds, less the time between two questions."""

    longest: dict[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.longest.values())

    @property
    def worst(self) -> float:
        return max(self.longest.values())


@contextmanager
def polled(hosts: Sequence[LabHost]) -> Iterator[Gaps]:
    gaps, ended = Gaps(), threading.Event()
    pollers = [threading.Thread(target=_poll, args=(host, gaps, ended)) for host in hosts]
    for poller in pollers:
        poller.start()
    try:
        yield gaps
    finally:
        ended.set()
        for poller in pollers:
            poller.join()


def _poll(host: LabHost, gaps: Gaps, ended: threading.Event) -> None:
    """A gap runs from the question that got the last answer to the question that got the next one."""
    gaps.longest[host.name] = 0.0
    last = time.monotonic()
    while not ended.wait(INTERVAL_SECONDS):
        asked = time.monotonic()
        if _answers(host):
            gaps.longest[host.name] = max(gaps.longest[host.name], asked - last - INTERVAL_SECONDS)
            last = asked


def _answers(host: LabHost) -> bool:
    connection = HTTPConnection(host.address, SERVICE_PORT, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", "/VERSION")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
