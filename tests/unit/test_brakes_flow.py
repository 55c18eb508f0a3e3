"""Pause, resume, abort and the stop of all work: they reach a running change, and what was done stays under watch."""

from collections.abc import Callable
from datetime import timedelta

import pytest

import builders
from fakes import Hospital, Killed
from upgrader.domain.changes.brake import Ask, Brake
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.playbook import PlaybookRun
from upgrader.domain.changes.verdict import Reading
from upgrader.domain.errors import ExitCode, Refused
from upgrader.flow.applying.abort import abort_change
from upgrader.flow.applying.apply import Applied, apply_change
from upgrader.flow.applying.brakes import check_brakes
from upgrader.flow.applying.pause import pause_change, resume_change
from upgrader.flow.applying.prestage import prestage_change
from upgrader.flow.applying.stop import lift_stop, stop_all
from upgrader.flow.closing.soak import soak_change

FIRST, SECOND, THIRD = ("host-01",), ("host-02", "host-03"), ("host-04", "host-05")
ALL_OLD = dict.fromkeys((*FIRST, *SECOND, *THIRD), builders.OLD)
ALL_NEW = dict.fromkeys(ALL_OLD, builders.NEW)
Act = Callable[[], object]


def apply(hospital: Hospital) -> Applied:
    return apply_change(hospital.site(), builders.CHANGE, hospital.progress)


def installed(hospital: Hospital) -> dict[str, str]:
    return {host.name: host.installed for host in hospital.fleet.hosts.values()}


def facts(hospital: Hospital, *events: Event) -> list[tuple[Event, str]]:
    return [(entry.event, entry.actor) for entry in hospital.journal.history().of(*events)]


def from_elsewhere(hospital: Hospital, ask: Ask, reason: str = "the ward asks", *, all_work: bool = False) -> None:
    """What another process writes into the state folder while ours works."""
    change = None if all_work else builders.CHANGE
    now = hospital.clock.now.replace(microsecond=0)
    hospital.brakes.ask(Brake(ask=ask, change=change, person=builders.HEAD, since=now, reason=reason))


def during(hospital: Hospital, hosts: tuple[str, ...], act: Act) -> None:
    """Do something when the playbook begins on exactly these hosts."""

    def look(run: PlaybookRun) -> None:
        if run.hosts == hosts and run.playbook.endswith("upgrade.yml"):
            act()

    hospital.fleet.before_run = look


def later(hospital: Hospital, seconds: float, act: Act) -> None:
    """Do something once that much time has passed for whoever waits."""
    start, done = hospital.clock.now, [False]

    def look() -> None:
        if not done[0] and hospital.clock.now >= start + timedelta(seconds=seconds):
            done[0] = True
            act()

    hospital.clock.after_sleep = look


def before_host(hospital: Hospital, name: str, act: Act) -> None:
    done: list[str] = []

    def look(host: str) -> None:
        if host == name and not done:
            done.append(host)
            act()

    hospital.fleet.before_host = look


# ------------------------------------------------------------------------------------------------------ pause, resume


def test_a_pause_from_another_process_holds_the_next_wave_until_somebody_resumes() -> None:
    hospital = Hospital()
    seen: list[dict[str, str]] = []
    during(hospital, SECOND, lambda: from_elsewhere(hospital, Ask.PAUSE))
    hospital.fleet.holds = lambda: False  # all hosts of the wave had begun

    def resume() -> None:
        seen.append(installed(hospital))
        from_elsewhere(hospital, Ask.RESUME)

    later(hospital, 600, resume)

    applied = apply(hospital)

    assert seen == [{**ALL_NEW, **dict.fromkeys(THIRD, builders.OLD)}]
    assert applied.exit_code is ExitCode.DONE
    assert installed(hospital) == ALL_NEW
    told = facts(hospital, Event.CHANGE_PAUSED, Event.CHANGE_RESUMED)
    assert told == [(Event.CHANGE_PAUSED, builders.HEAD), (Event.CHANGE_RESUMED, builders.HEAD)]
    assert hospital.brakes.asks == []


def test_a_pause_in_the_middle_of_a_wave_holds_the_hosts_that_have_not_begun_and_they_follow_afterwards() -> None:
    hospital = Hospital()
    before_host(hospital, "host-03", lambda: from_elsewhere(hospital, Ask.PAUSE))
    later(hospital, 30, lambda: from_elsewhere(hospital, Ask.RESUME))

    applied = apply(hospital)

    assert applied.exit_code is ExitCode.DONE
    assert hospital.fleet.asked_for("upgrade") == [FIRST, SECOND, ("host-03",), THIRD]
    assert {host.upgrades for host in hospital.fleet.hosts.values()} == {1}


def test_what_is_found_unstable_while_a_change_is_paused_goes_back() -> None:
    hospital = Hospital()
    during(hospital, SECOND, lambda: from_elsewhere(hospital, Ask.PAUSE))

    def fall_ill() -> None:
        hospital.prober.seen["host-01"] = Reading.UNHEALTHY

    later(hospital, 3600, fall_ill)

    applied = apply(hospital)

    assert (applied.exit_code, applied.because) == (ExitCode.ROLLED_BACK, "paused-unstable")
    assert installed(hospital) == ALL_OLD
    assert len(hospital.journal.history().of(Event.PAUSE_MEASURED)) > 1


def test_a_threshold_that_breaks_in_the_hosts_that_had_begun_takes_a_paused_change_back() -> None:
    hospital = Hospital()
    hospital.fleet.hosts["host-02"].installed = "9.9"  # not what was planned: it fails
    before_host(hospital, "host-03", lambda: from_elsewhere(hospital, Ask.PAUSE))

    applied = apply(hospital)

    assert applied.because == "too-many-failed-in-wave"
    assert hospital.fleet.hosts["host-01"].installed == builders.OLD


def test_a_paused_change_that_has_not_begun_contacts_no_host_and_goes_on_once_it_is_resumed() -> None:
    hospital = Hospital()

    asked = pause_change(hospital.site(), builders.CHANGE, "the ward asks")
    with pytest.raises(Refused, match="change-paused") as refusal:
        apply(hospital)

    assert asked.noted
    assert refusal.value.fields["reason"] == "the ward asks"
    assert hospital.fleet.runs == []
    resume_change(hospital.site(), builders.CHANGE, "done")
    assert apply(hospital).exit_code is ExitCode.DONE


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_while_a_pause_is_written_down_writes_it_down_once(moment: str) -> None:
    hospital = Hospital()
    site = hospital.site()

    def die(when: str) -> None:
        if when == moment:
            raise Killed

    hospital.journal.kills = die
    with pytest.raises(Killed):
        pause_change(site, builders.CHANGE, "the ward asks")
    hospital.journal.kills = lambda _: None

    with pytest.raises(Refused, match="change-paused"):
        apply(hospital)

    assert len(hospital.journal.history().of(Event.CHANGE_PAUSED)) == 1
    assert hospital.brakes.asks == []


def test_a_pause_that_follows_a_resume_which_nobody_saw_yet_stands() -> None:
    hospital = Hospital()
    site = hospital.site()
    pause_change(site, builders.CHANGE, "first")
    with hospital.locks.hold([f"change-{builders.CHANGE}"], purpose="apply", holder="x", now=builders.NOW):
        assert not resume_change(site, builders.CHANGE, "go on").noted
        assert not pause_change(site, builders.CHANGE, "no, wait").noted

    with pytest.raises(Refused, match="change-paused"):
        apply(hospital)


def test_nothing_is_paused_that_does_not_wait_and_nothing_resumed_that_is_not_paused() -> None:
    hospital = Hospital()
    with pytest.raises(Refused, match="change-not-paused"):
        resume_change(hospital.site(), builders.CHANGE, "go on")
    apply(hospital)

    with pytest.raises(Refused, match="change-not-in-state"):
        pause_change(hospital.site(), builders.CHANGE, "wait")


# --------------------------------------------------------------------------------------------------------------- abort


def test_an_abort_takes_back_what_was_touched_and_says_who_wanted_it() -> None:
    hospital = Hospital()
    before_host(hospital, "host-03", lambda: from_elsewhere(hospital, Ask.ABORT, "wrong ward"))

    applied = apply(hospital)

    assert (applied.exit_code, applied.because) == (ExitCode.ROLLED_BACK, "asked: wrong ward")
    assert installed(hospital) == ALL_OLD
    assert hospital.fleet.hosts["host-03"].upgrades == 0
    assert facts(hospital, Event.ROLLBACK_STARTED) == [(Event.ROLLBACK_STARTED, builders.HEAD)]
    assert hospital.brakes.asks == []


def test_an_abort_ends_a_pause_and_a_stop_does_not_hold_the_way_back() -> None:
    hospital = Hospital()
    during(hospital, SECOND, lambda: from_elsewhere(hospital, Ask.STOP, all_work=True))
    with pytest.raises(Refused, match="all-stopped"):
        apply(hospital)

    aborted = abort_change(hospital.site(), builders.CHANGE, "enough", hospital.progress)

    assert aborted.state is State.ROLLED_BACK
    assert installed(hospital) == ALL_OLD


def test_an_abort_during_the_soak_takes_the_change_back() -> None:
    hospital = Hospital()
    apply(hospital)
    later(hospital, 3600, lambda: from_elsewhere(hospital, Ask.ABORT))

    soaked = soak_change(hospital.site(), builders.CHANGE, hospital.progress, wait=True)

    assert soaked.exit_code is ExitCode.ROLLED_BACK
    assert installed(hospital) == ALL_OLD


def test_a_change_that_touched_nothing_is_cancelled_by_an_abort() -> None:
    hospital = Hospital()

    aborted = abort_change(hospital.site(), builders.CHANGE, "enough", hospital.progress)

    assert aborted.state is State.CANCELLED
    assert hospital.fleet.runs == []


# ------------------------------------------------------------------------------------------------------- stop of all


def test_the_stop_of_all_work_ends_a_running_change_before_its_next_host() -> None:
    hospital = Hospital()
    before_host(hospital, "host-03", lambda: from_elsewhere(hospital, Ask.STOP, all_work=True))

    with pytest.raises(Refused, match="all-stopped"):
        apply(hospital)

    assert installed(hospital) == {**ALL_OLD, "host-01": builders.NEW, "host-02": builders.NEW}
    assert hospital.journal.history().state is State.APPLYING
    assert len(hospital.journal.history().of(Event.WORK_STOPPED)) == 1


def test_nothing_begins_while_all_is_stopped_and_all_may_begin_when_it_is_lifted() -> None:
    hospital = Hospital()
    site = hospital.site()
    stopped = stop_all(site, "HIS is down")

    for verb in (apply_change, prestage_change):
        with pytest.raises(Refused, match="all-stopped") as refusal:
            verb(site, builders.CHANGE, hospital.progress)
        assert (refusal.value.fields["person"], refusal.value.fields["reason"]) == (builders.ENGINEER, "HIS is down")
    with pytest.raises(Refused, match="all-stopped"):
        check_brakes(site, builders.CHANGE)

    assert stopped.written_down == [builders.CHANGE]
    assert hospital.fleet.runs == []
    lift_stop(site, "it was the storage")
    assert apply(hospital).exit_code is ExitCode.DONE
    told = facts(hospital, Event.WORK_STOPPED, Event.STOP_LIFTED)
    assert [event for event, _ in told] == [Event.WORK_STOPPED, Event.STOP_LIFTED]


def test_a_stop_that_stands_is_not_replaced_and_nothing_is_lifted_that_does_not_stand() -> None:
    hospital = Hospital()
    site = hospital.site()
    with pytest.raises(Refused, match="nothing-stopped"):
        lift_stop(site, "why not")

    stop_all(site, "first")

    assert stop_all(site, "second").brake.reason == "first"


def test_an_ask_that_cannot_be_read_is_no_permission() -> None:
    hospital = Hospital()
    hospital.brakes.unreadable = True

    with pytest.raises(Refused, match="brake-unreadable"):
        apply(hospital)

    assert hospital.fleet.runs == []


def test_an_ask_that_cannot_be_read_holds_no_way_back() -> None:
    hospital = Hospital()
    apply(hospital)
    hospital.brakes.unreadable = True

    aborted = abort_change(hospital.site(), builders.CHANGE, "enough", hospital.progress)

    assert aborted.state is State.ROLLED_BACK
