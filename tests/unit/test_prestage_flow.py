"""Pre-staging against made-up hosts: the gate without the window, facts that move nothing."""

from datetime import timedelta

import pytest

from fakes import Break, Hospital
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.errors import ExitCode, OutsideWindow, Refused, UpgraderError
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.applying.prestage import PRESTAGE, Prestaged, prestage_change


def prestage(hospital: Hospital) -> Prestaged:
    return prestage_change(hospital.site(), hospital.plan.change, hospital.progress)


def test_every_host_is_asked_once_before_the_window_opens() -> None:
    hospital = Hospital()
    hospital.clock.now = hospital.plan.window.opens - timedelta(minutes=30)

    found = prestage(hospital)

    (run,) = hospital.fleet.runs
    assert run.playbook == PRESTAGE
    assert set(run.hosts) == {host.name for host in hospital.plan.hosts}
    assert found.exit_code is ExitCode.DONE
    history = hospital.journal.history()
    assert len(history.of(Event.HOST_PRESTAGED)) == len(hospital.plan.hosts)
    assert history.state is State.PLANNED


def test_when_people_no_longer_count_no_host_is_contacted_and_the_no_is_written_down() -> None:
    hospital = Hospital()
    hospital.clock.now += timedelta(days=4000)

    with pytest.raises(UpgraderError):
        prestage(hospital)

    assert hospital.fleet.runs == []
    assert hospital.journal.history().state is State.PLANNED


def test_a_window_that_is_over_and_a_change_that_has_begun_are_refused() -> None:
    hospital = Hospital()
    hospital.clock.now = hospital.plan.window.closes
    with pytest.raises((OutsideWindow, Refused)):
        prestage(hospital)

    begun = Hospital()
    apply_change(begun.site(), begun.plan.change, begun.progress)
    before = len(begun.fleet.runs)
    with pytest.raises(Refused) as refused:
        prestage(begun)

    assert refused.value.code == "prestage-too-late"
    assert (len(begun.fleet.runs), hospital.fleet.runs) == (before, [])


@pytest.mark.parametrize(
    ("breaks", "code"), [(Break.GONE, ExitCode.OFFLINE_LEFT), (Break.REFUSES, ExitCode.PREFLIGHT_FAILED)]
)
def test_a_host_that_lacks_the_builds_is_told(breaks: Break, code: ExitCode) -> None:
    hospital = Hospital()
    hospital.fleet.hosts["host-02"].breaks = breaks

    found = prestage(hospital)

    assert found.exit_code is code
    assert [report.host for report in found.reports if report not in found.ready] == ["host-02"]
    assert hospital.fleet.asked_for("upgrade") == []
