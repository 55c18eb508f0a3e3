"""The service and changes that were asked for together: each begins in its turn, and goes back with the later ones."""

from collections.abc import Sequence
from pathlib import Path

import pytest

import builders
from fakes import AtOnce, Break
from joint_hospital import CHANGES, FIRST, SECOND, THIRD, JointHospital
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.errors import ExitCode
from upgrader.flow.applying.abort import abort_change
from upgrader.flow.applying.roll_back import roll_back_change
from upgrader.flow.service.schedule import schedule_change
from upgrader.flow.service.serve import Said, Service

REASON = "the ward can't print"
LONG = 30  # ticks, in which a night of three changes is over


class JointNight:
    """Three changes on the schedule, and the service that looks at them."""

    def __init__(self, folder: Path) -> None:
        self.hospital = JointHospital(folder)
        self.lines: list[Said] = []
        self.workers = AtOnce()

    def schedule(self, changes: Sequence[str] = CHANGES) -> None:
        for change in changes:
            schedule_change(self.hospital.site(), change, at=None, expires=builders.CLOSES)

    def ticks(self, count: int) -> None:
        for _ in range(count):
            service = Service(self.hospital.site(), self.hospital.site, self.workers, self.lines.append, 20)
            service.tick()
            service.collect()
            self.hospital.clock.sleep(20)

    def events(self, change: str, *events: Event) -> int:
        with self.hospital.site().journal(change) as journal:
            return len(journal.history().of(*events))


@pytest.fixture
def night(tmp_path: Path) -> JointNight:
    night = JointNight(tmp_path)
    night.hospital.clock.now = builders.OPENS
    return night


def test_each_begins_when_the_one_before_it_was_found_stable(night: JointNight) -> None:
    night.schedule()
    night.ticks(1)
    assert night.hospital.states() == [State.SOAKING, State.SCHEDULED, State.SCHEDULED]
    assert [line.fields["other"] for line in night.lines if line.key == "serve.waits-for"] == [FIRST, SECOND]

    night.ticks(LONG)

    assert night.hospital.states() == [State.STABLE] * 3
    assert night.events(SECOND, Event.GATE_REFUSED) == 0


def test_when_the_last_one_goes_back_by_a_rule_those_before_it_go_back_too(night: JointNight) -> None:
    night.schedule()
    night.hospital.fleet.hosts["host-31"].breaks = Break.UNHEALTHY

    night.ticks(LONG)

    assert night.hospital.states() == [State.ROLLED_BACK] * 3
    assert {host.installed for host in night.hospital.fleet.hosts.values()} == {builders.OLD}
    assert night.events(SECOND, Event.ROLLBACK_STARTED) == night.events(FIRST, Event.ROLLBACK_STARTED) == 1


def test_what_a_person_took_back_alone_pulls_nobody(night: JointNight) -> None:
    night.schedule()
    night.ticks(LONG)
    roll_back_change(night.hospital.site(), THIRD, REASON, night.hospital.progress)

    night.ticks(3)

    assert night.hospital.states() == [State.STABLE, State.STABLE, State.ROLLED_BACK]


def test_none_goes_back_while_one_that_stands_on_it_does_not(night: JointNight) -> None:
    night.schedule()
    night.hospital.fleet.hosts["host-31"].breaks = Break.UNHEALTHY
    night.hospital.fleet.hosts["host-21"].breaks = Break.STAYS

    night.ticks(LONG)

    assert night.hospital.states()[0] is State.STABLE
    assert night.hospital.states()[1] is not State.ROLLED_BACK


def test_abort_of_one_takes_back_those_that_came_after_it(night: JointNight) -> None:
    night.schedule()
    night.ticks(LONG)

    ended = abort_change(night.hospital.site(), SECOND, REASON, night.hospital.progress)

    assert ended.exit_code is ExitCode.ROLLED_BACK
    assert night.hospital.states() == [State.STABLE, State.ROLLED_BACK, State.ROLLED_BACK]
