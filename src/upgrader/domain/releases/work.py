"""Work that comes by itself: messages of other systems, and jobs by the clock. A version changes without it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

DRAINS = 4  # before the switch and after it, and once more each on the way back
WAITS = 2  # before the switch, and on the way back


@dataclass(frozen=True, slots=True)
class Tap:
    """What lets work in: a program of the build that shuts it and one that opens it. Each may run twice."""

    stop: str
    start: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A message service. All are programs of the build.

    `queue` prints how many messages wait inside; `count_in` and `count_out` how many were ever taken in and sent
    on. What came while the intake was shut lies in the folder `held`, and `replay` takes it in and prints how many that
    were; both are None where the senders keep it themselves.
    """

    intake: Tap
    queue: str
    drain_seconds: int
    count_in: str
    count_out: str
    replay: str | None = None
    held: str | None = None


class WhenRunning(StrEnum):
    """What follows when a job still runs at the end of the time that is waited."""

    DEFER = "defer"  # the host is pending, and asked again another time
    FAIL = "fail"  # the host counts as failed; nothing on it was switched


@dataclass(frozen=True, slots=True)
class Job:
    """How a host finds out whether a job runs: `command` is a program of the build, 0 none, 1 one runs.

    `schedule` keeps the next one from starting meanwhile.
    """

    command: str
    wait_seconds: int
    then: WhenRunning
    schedule: Tap | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What of it a release has: messages, jobs, or both."""

    interface: Interface | None = None
    job: Job | None = None

    @property
    def longest_seconds(self) -> int:
        """When a host whose work does not end has been given all its limits."""
        drains = DRAINS * self.interface.drain_seconds if self.interface else 0
        return drains + (WAITS * self.job.wait_seconds if self.job else 0)

    @property
    def told(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        """What whoever signs should read, as code and fields, in the order in which it happens on a host."""
        if self.job:
            yield f"job-{self.job.then}", {"seconds": str(self.job.wait_seconds), "command": self.job.command}
        if self.interface:
            code = "interface-replay" if self.interface.replay else "interface"
            yield code, {"seconds": str(self.interface.drain_seconds), "held": self.interface.held or ""}
