"""`interface:` and `job:` in release.yml: work that comes by itself, and how a host keeps it out for a while."""

from collections.abc import Iterator
from typing import Annotated

from upgrader.adapters.documents.fields import Inside, InsideCommand
from upgrader.adapters.documents.models import Finding, Model, reads, written_as
from upgrader.adapters.documents.values import one_of, seconds
from upgrader.domain.releases.work import Interface, Job, Tap, WhenRunning, Work

LONGEST_WAIT = 4 * 3600


class _Tap(Model):
    stop: InsideCommand
    start: InsideCommand

    def to_domain(self) -> Tap:
        return Tap(self.stop, self.start)


class _Counts(Model):
    taken_in: Annotated[InsideCommand, written_as("in")]
    sent_on: Annotated[InsideCommand, written_as("out")]


class InterfaceModel(Model):
    intake: _Tap
    queue: InsideCommand
    drain_within: Annotated[int, reads(seconds(1, 3600))]
    counts: _Counts
    replay: InsideCommand | None = None
    held: Inside | None = None

    def findings(self) -> Iterator[Finding]:
        """What is replayed is kept first, so that no failure loses it: both are named, or neither."""
        if (self.replay is None) is not (self.held is None):
            yield Finding((), "missing-key", {"key": "replay" if self.replay is None else "held"})

    def to_domain(self) -> Interface:
        return Interface(
            intake=self.intake.to_domain(),
            queue=self.queue,
            drain_seconds=self.drain_within,
            count_in=self.counts.taken_in,
            count_out=self.counts.sent_on,
            replay=self.replay,
            held=self.held,
        )


class JobModel(Model):
    command: InsideCommand
    wait: Annotated[int, reads(seconds(0, LONGEST_WAIT))]
    then: Annotated[WhenRunning, reads(one_of(WhenRunning))]
    schedule: _Tap | None = None

    def to_domain(self) -> Job:
        return Job(self.command, self.wait, self.then, self.schedule.to_domain() if self.schedule else None)


def work_of(interface: InterfaceModel | None, job: JobModel | None) -> Work | None:
    """None where no work comes by itself."""
    if interface is None and job is None:
        return None
    return Work(interface.to_domain() if interface else None, job.to_domain() if job else None)
