"""What a killed controller had done already is not done again: every wave, host, verdict and debt counts once."""

from datetime import timedelta

import pytest

import builders
from fakes import Break, Hospital, Killed
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.request import Soak, WhenUnstable
from upgrader.domain.changes.verdict import Reading
from upgrader.domain.errors import ExitCode
from upgrader.flow.applying.apply import Applied, apply_change
from upgrader.flow.applying.roll_back import roll_back_change
from upgrader.flow.closing.soak import soak_change

WAVES = (("host-01",), ("host-02", "host-03"), ("host-04", "host-05"))
GOES_BACK = Soak(timedelta(hours=12), timedelta(minutes=30), WhenUnstable.ROLL_BACK)
HOSTS = tuple(host for wave in WAVES for host in wave)


def apply(hospital: Hospital) -> Applied:
    return apply_change(hospital.site(), builders.CHANGE, hospital.progress)


def killed_after(hospital: Hospital, event: Event, times: int = 1) -> None:
    """Apply, and be killed right after `event` was written down for the so-many-th time."""

    def kill(moment: str) -> None:
        written = hospital.journal.history().of(event)
        if moment == "after" and len(written) == times and written[-1] is hospital.journal.history().entries[-1]:
            raise Killed

    hospital.journal.kills = kill
    with pytest.raises(Killed):
        apply(hospital)
    hospital.journal.kills = lambda _: None


@pytest.mark.parametrize("wave", [1, 2, 3])
def test_a_wave_that_ended_is_judged_and_not_run_again(wave: int) -> None:
    hospital = Hospital()
    killed_after(hospital, Event.WAVE_FINISHED, wave)

    assert apply(hospital).exit_code is ExitCode.DONE

    assert hospital.fleet.asked_for("upgrade") == list(WAVES)
    assert len(hospital.journal.history().of(Event.WAVE_JUDGED)) == len(WAVES)


def test_a_wave_that_broke_a_threshold_is_taken_back_after_the_crash_without_being_run_again() -> None:
    hospital = Hospital()
    hospital.fleet.hosts["host-02"].breaks = Break.UNHEALTHY
    killed_after(hospital, Event.WAVE_FINISHED, 2)
    hospital.fleet.hosts["host-02"].breaks = None

    applied = apply(hospital)

    assert (applied.exit_code, applied.because) == (ExitCode.ROLLED_BACK, "too-many-failed-in-wave")
    assert hospital.fleet.asked_for("upgrade") == list(WAVES[:2])


def test_a_verdict_that_stands_in_the_journal_is_not_asked_for_again() -> None:
    hospital = Hospital()
    hospital.prober.seen["host-02"] = Reading.UNHEALTHY
    killed_after(hospital, Event.WAVE_JUDGED, 2)
    hospital.prober.seen.clear()

    applied = apply(hospital)

    assert (applied.exit_code, applied.because) == (ExitCode.ROLLED_BACK, "wave-unstable")
    assert hospital.fleet.asked_for("upgrade") == list(WAVES[:2])


def test_a_wave_that_was_cut_short_goes_on_with_the_hosts_that_said_nothing_yet() -> None:
    hospital = Hospital()
    killed_after(hospital, Event.HOST_REPORTED, 2)

    apply(hospital)

    assert hospital.fleet.asked_for("upgrade") == [("host-01",), ("host-02", "host-03"), ("host-03",), WAVES[2]]


def test_when_the_window_is_over_what_ran_is_still_judged_and_the_soak_still_begins() -> None:
    hospital = Hospital()
    killed_after(hospital, Event.HOST_REPORTED, len(HOSTS))
    hospital.clock.now = builders.CLOSES + timedelta(hours=1)

    assert apply(hospital).exit_code is ExitCode.DONE

    assert hospital.journal.history().state is State.SOAKING


def test_when_the_window_is_over_what_ran_badly_is_named_and_a_person_takes_it_back() -> None:
    hospital = Hospital()
    hospital.prober.seen["host-01"] = Reading.UNHEALTHY
    killed_after(hospital, Event.WAVE_FINISHED)
    hospital.clock.now = builders.CLOSES + timedelta(hours=1)

    applied = apply(hospital)

    assert (applied.exit_code, applied.because) == (ExitCode.ROLLBACK_INCOMPLETE, "wave-unstable")
    assert hospital.fleet.asked_for("rollback") == []
    assert apply(hospital).exit_code is ExitCode.ROLLED_BACK  # called again, knowing that


def test_the_same_rollback_goes_on_after_a_crash() -> None:
    hospital = Hospital()
    apply(hospital)
    site = hospital.site()
    hospital.journal.kills = lambda moment: _kill_in_rollback(hospital, moment)
    with pytest.raises(Killed):
        roll_back_change(site, builders.CHANGE, "asked", hospital.progress)
    hospital.journal.kills = lambda _: None

    taken = roll_back_change(site, builders.CHANGE, "asked", hospital.progress)

    assert taken.exit_code is ExitCode.ROLLED_BACK
    assert {host.rollbacks for host in hospital.fleet.hosts.values()} == {1}
    assert len(hospital.journal.history().of(Event.ROLLBACK_STARTED)) == 1


def test_a_soak_that_had_begun_the_way_back_goes_on_with_it() -> None:
    hospital = Hospital(request=builders.make_request(soak=GOES_BACK))
    apply(hospital)
    hospital.prober.seen["host-01"] = Reading.UNHEALTHY
    hospital.journal.kills = lambda moment: _kill_in_rollback(hospital, moment)
    with pytest.raises(Killed):
        soak_change(hospital.site(), builders.CHANGE, hospital.progress, wait=True)
    hospital.journal.kills = lambda _: None

    soaked = soak_change(hospital.site(), builders.CHANGE, hospital.progress, wait=True)

    assert soaked.exit_code is ExitCode.ROLLED_BACK
    assert hospital.journal.history().state is State.ROLLED_BACK


def _kill_in_rollback(hospital: Hospital, moment: str) -> None:
    going_back = hospital.journal.history().of(Event.ROLLBACK_STARTED)
    if moment == "after" and going_back and hospital.journal.history().entries[-1].event is Event.HOST_REPORTED:
        raise Killed
