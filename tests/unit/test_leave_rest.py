"""A window that is over before all waves ran: a person ends it with what was reached, nobody is forgotten."""

from datetime import timedelta

import pytest

import builders
from fakes import Break, Hospital, Killed
from upgrader.domain.changes.change import view
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.errors import ExitCode, OutsideWindow, Refused
from upgrader.domain.names import HostName
from upgrader.flow.applying.apply import Applied, apply_change
from upgrader.flow.applying.leave_rest import leave_rest
from upgrader.flow.closing.except_hosts import Answering, except_hosts
from upgrader.flow.closing.soak import soak_change

WHY = "the night was too short"


@pytest.fixture
def hospital() -> Hospital:
    """The first wave was found stable; the window ends before the second begins."""
    hospital = Hospital()
    hospital.prober.close = lambda: setattr(hospital.clock, "now", builders.CLOSES)  # type: ignore[method-assign]
    with pytest.raises(OutsideWindow):
        apply_change(hospital.site(), builders.CHANGE, hospital.progress)
    hospital.prober.close = lambda: None  # type: ignore[method-assign]
    return hospital


def leave(hospital: Hospital) -> Applied:
    return leave_rest(hospital.site(), builders.CHANGE, WHY, hospital.progress)


def test_what_ran_is_watched_and_what_did_not_is_left_behind_by_name(hospital: Hospital) -> None:
    runs = len(hospital.fleet.runs)

    ended = leave(hospital)

    assert (ended.exit_code, ended.change.state) == (ExitCode.OFFLINE_LEFT, State.SOAKING)
    assert len(hospital.fleet.runs) == runs
    left = [host.name for host in ended.change.left_behind]
    assert left == [name for wave in hospital.plan.waves[1:] for name in wave.hosts]
    began = hospital.journal.history().last(Event.SOAK_STARTED)
    assert began is not None
    assert (began.data["without"], began.data["reason"]) == ([wave.number for wave in hospital.plan.waves[1:]], WHY)


def test_nobody_accepts_before_somebody_answers_for_each_host(hospital: Hospital) -> None:
    ended = leave(hospital)
    site = hospital.site()
    soaked = soak_change(site, builders.CHANGE, hospital.progress, wait=True)
    assert soaked.change.state is State.STABLE
    assert soaked.change.unowned == tuple(host.name for host in ended.change.left_behind)

    hosts = [HostName(host.name) for host in ended.change.left_behind]
    answering = Answering(builders.REQUESTER, hospital.clock.now + timedelta(days=7), WHY)
    assert except_hosts(site, builders.CHANGE, hosts, answering).unowned == ()


def test_while_the_window_is_open_apply_goes_on(hospital: Hospital) -> None:
    hospital.clock.now = builders.CLOSES - timedelta(seconds=1)

    with pytest.raises(Refused, match="window-still-open"):
        leave(hospital)


def test_a_wave_that_was_cut_short_is_for_the_way_back_alone() -> None:
    hospital = Hospital()

    def kill(moment: str) -> None:
        if moment == "after" and hospital.journal.history().entries[-1].event is Event.WAVE_STARTED:
            raise Killed

    hospital.journal.kills = kill
    with pytest.raises(Killed):
        apply_change(hospital.site(), builders.CHANGE, hospital.progress)
    hospital.journal.kills = lambda _: None
    stood = view(hospital.journal.history(), hospital.plan)
    assert any(wave.started and not wave.finished for wave in stood.waves.values())
    hospital.clock.now = builders.CLOSES

    with pytest.raises(OutsideWindow, match="wave-left-open"):
        leave(hospital)


def test_a_change_that_reached_nobody_or_is_over_has_no_rest() -> None:
    hospital = Hospital()
    with pytest.raises(Refused, match="change-not-in-state"):
        leave(hospital)

    hospital.fleet.hosts["host-01"].breaks = Break.UNHEALTHY
    apply_change(hospital.site(), builders.CHANGE, hospital.progress)
    with pytest.raises(Refused, match="change-not-in-state"):
        leave(hospital)
