"""Roll call before each wave: workstations that are off are pending and block nobody; servers that are off still count.

Whoever was touched before they vanished is no longer "offline"; nobody there at all is never success.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

import builders
from fakes import Break, Hospital, Killed
from upgrader.domain.changes.late import Late, Workstation, too_many_absent
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.playbook import HostOutcome, PlaybookRun
from upgrader.domain.errors import ExitCode, PreflightFailed
from upgrader.flow.applying.apply import Applied, apply_change
from upgrader.flow.applying.roll_back import roll_back_change

MAC = "52:54:00:12:34:56"


def hospital_of(count: int = 5, *, mac: str | None = None) -> Hospital:
    hosts = [replace(builders.make_host(n), workstation=Workstation(mac)) for n in range(1, count + 1)]
    return Hospital(hosts=hosts)


def apply(hospital: Hospital) -> Applied:
    return apply_change(hospital.site(), builders.CHANGE, hospital.progress)


def offline_reports(hospital: Hospital) -> list[str]:
    reports = hospital.journal.history().of(Event.HOST_REPORTED)
    return [entry.data["host"] for entry in reports if entry.data["outcome"] == HostOutcome.OFFLINE]


def test_workstations_that_are_off_are_skipped_and_the_change_ends_with_hosts_left_behind() -> None:
    hospital = hospital_of()
    hospital.presence.off = {"host-02", "host-05"}

    applied = apply(hospital)

    assert applied.exit_code is ExitCode.OFFLINE_LEFT
    assert applied.change.counts == {HostOutcome.UPGRADED: 3, HostOutcome.OFFLINE: 2}
    assert hospital.fleet.asked_for("upgrade") == [("host-01",), ("host-03",), ("host-04",)]
    assert applied.change.state is State.SOAKING


def test_a_wave_in_which_everybody_is_off_is_passed_over_and_the_next_one_runs() -> None:
    hospital = hospital_of()
    hospital.presence.off = {"host-02", "host-03"}

    applied = apply(hospital)

    assert applied.exit_code is ExitCode.OFFLINE_LEFT
    assert hospital.fleet.asked_for("upgrade") == [("host-01",), ("host-04", "host-05")]


def test_a_server_that_is_off_takes_part_and_counts_as_unreachable() -> None:
    hospital = Hospital()
    hospital.presence.off = {"host-01"}
    hospital.fleet.hosts["host-01"].breaks = Break.GONE

    applied = apply(hospital)

    assert (applied.exit_code, applied.because) == (ExitCode.ROLLBACK_INCOMPLETE, "too-many-unreachable")
    assert hospital.presence.asked == []


def test_canaries_that_vanish_after_the_switch_have_failed_and_nobody_else_is_touched() -> None:
    hospital = hospital_of()
    hospital.fleet.hosts["host-01"].breaks = Break.CUT_OFF

    applied = apply(hospital)

    assert applied.because == "too-many-unreachable"
    assert {host for run in hospital.fleet.runs for host in run.hosts} == {"host-01"}


def test_without_any_canary_there_no_later_wave_begins() -> None:
    hospital = hospital_of()
    hospital.presence.off = {"host-01"}

    with pytest.raises(PreflightFailed) as refused:
        apply(hospital)

    assert refused.value.code == "nobody-reached"
    assert hospital.fleet.runs == []
    hospital.presence.off = set()
    assert apply(hospital).exit_code is ExitCode.DONE


def test_more_workstations_off_than_declared_stop_the_change_before_the_wave() -> None:
    hospital = hospital_of()
    hospital.presence.off = {"host-02", "host-03", "host-04"}

    with pytest.raises(PreflightFailed) as refused:
        apply(hospital)

    assert refused.value.code == "too-many-offline"
    assert hospital.fleet.asked_for("upgrade") == [("host-01",)]


def test_whoever_is_off_is_in_the_journal_once_however_often_apply_is_called() -> None:
    hospital = hospital_of()
    hospital.presence.off = {"host-01"}

    for _ in range(3):
        with pytest.raises(PreflightFailed):
            apply(hospital)

    assert offline_reports(hospital) == ["host-01"]


def test_a_host_that_was_begun_and_then_goes_dark_is_not_offline() -> None:
    hospital = hospital_of()

    def die(run: PlaybookRun) -> None:
        if "host-02" in run.hosts:
            raise Killed

    hospital.fleet.before_run = die
    with pytest.raises(Killed):
        apply(hospital)
    hospital.fleet.before_run = lambda _: None
    hospital.fleet.hosts["host-02"].breaks = Break.GONE
    hospital.presence.off = {"host-02"}

    apply(hospital)

    assert "host-02" not in offline_reports(hospital)


def test_taking_back_asks_nothing_of_hosts_that_were_never_begun() -> None:
    hospital = hospital_of()
    hospital.presence.off = {"host-02", "host-05"}
    apply(hospital)

    taken = roll_back_change(hospital.site(), builders.CHANGE, "asked", hospital.progress)

    assert taken.exit_code is ExitCode.ROLLED_BACK
    assert hospital.fleet.asked_for("rollback") == [("host-01", "host-03", "host-04")]


def test_sleepers_with_an_address_are_called_and_waited_for_before_their_wave() -> None:
    hospital = hospital_of(mac=MAC)
    hospital.presence.off = {"host-01", "host-04"}
    hospital.presence.wakes = {"host-01", "host-04"}

    applied = apply(hospital)

    assert hospital.presence.called == ["host-01", "host-04"]
    assert applied.exit_code is ExitCode.DONE


def test_a_sleeper_that_does_not_wake_costs_a_bounded_wait_and_is_called_once() -> None:
    hospital = hospital_of(mac=MAC)
    hospital.presence.off = {"host-04"}
    begun = hospital.clock()

    applied = apply(hospital)

    assert applied.exit_code is ExitCode.OFFLINE_LEFT
    assert hospital.presence.called == ["host-04"]
    assert hospital.clock() - begun < timedelta(minutes=4)


@pytest.mark.parametrize(("absent", "is_too_many"), [(0, False), (3, False), (4, True)])
def test_the_share_that_may_be_away_is_what_was_declared(absent: int, *, is_too_many: bool) -> None:
    late = Late(builders.CLOSES + timedelta(days=5), "12:00", "13:30", "Asia/Shanghai", absent_at_most=30)

    assert too_many_absent(10, ["host"] * absent, late) is is_too_many


@pytest.mark.parametrize(
    ("starts", "ends", "hours"), [("12:00", "13:30", {12, 13}), ("22:00", "02:00", {22, 23, 0, 1})]
)
def test_late_hours_are_those_of_the_hospital_s_clocks_also_past_midnight(
    starts: str, ends: str, hours: set[int]
) -> None:
    late = Late(builders.CLOSES + timedelta(days=3), starts, ends, "Asia/Shanghai")
    midnight = builders.CLOSES.replace(hour=16, minute=0, second=0)  # 00:00 in Shanghai

    open_at = {hour for hour in range(24) if late.is_open(midnight + timedelta(hours=hour))}

    assert open_at == hours
    assert not late.is_open(late.until + timedelta(minutes=1))
