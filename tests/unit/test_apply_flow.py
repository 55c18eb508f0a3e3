"""Apply and roll back, with every step broken on purpose: a host ends as planned, as it was, or on a list.

Hosts, branch, probes and journal are fakes that remember; the gate, the waves and the way back are real.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import builders
from fakes import Break, Hospital, Killed, sealed
from upgrader.domain.approval.record import Decision
from upgrader.domain.approval.trust import Person, Trust
from upgrader.domain.changes.change import view
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.playbook import HostOutcome, PlaybookRun
from upgrader.domain.changes.verdict import Reading
from upgrader.domain.digest import Digest
from upgrader.domain.errors import ExitCode, Integrity, Locked, OutsideWindow, Refused, UpgraderError
from upgrader.flow.applying.apply import Applied, apply_change
from upgrader.flow.applying.roll_back import TakenBack, roll_back_change

WAVES = (("host-01",), ("host-02", "host-03"), ("host-04", "host-05"))
HOSTS = tuple(host for wave in WAVES for host in wave)
ALL_NEW = dict.fromkeys(HOSTS, builders.NEW)
ALL_OLD = dict.fromkeys(HOSTS, builders.OLD)

Prepare = Callable[[Hospital], None]


def apply(hospital: Hospital) -> Applied:
    return apply_change(hospital.site(), builders.CHANGE, hospital.progress)


def roll_back(hospital: Hospital) -> TakenBack:
    return roll_back_change(hospital.site(), builders.CHANGE, "the head of department asked", hospital.progress)


def installed(hospital: Hospital) -> dict[str, str]:
    return {host.name: host.installed for host in hospital.fleet.hosts.values()}


def state(hospital: Hospital) -> State:
    return hospital.journal.history().state


def events(hospital: Hospital) -> list[Event]:
    return [entry.event for entry in hospital.journal.history().entries]


def waves_up_to(host: str) -> tuple[str, ...]:
    """All hosts of the waves that have begun when `host` is upgraded."""
    last = next(number for number, wave in enumerate(WAVES) if host in wave)
    return tuple(host for wave in WAVES[: last + 1] for host in wave)


# ------------------------------------------------------------------------------------------------------- all is well


def test_every_host_is_upgraded_once_wave_after_wave_and_the_soak_begins() -> None:
    hospital = Hospital()

    applied = apply(hospital)

    assert applied.exit_code is ExitCode.DONE
    assert installed(hospital) == ALL_NEW
    assert hospital.fleet.asked_for("upgrade") == list(WAVES)
    assert hospital.fleet.asked_for("rollback") == []
    assert state(hospital) is State.SOAKING


def test_a_wave_is_in_the_journal_before_any_of_its_hosts_is_asked() -> None:
    hospital = Hospital()
    last: list[object] = []

    def look(run: PlaybookRun) -> None:
        entry = hospital.journal.history().entries[-1]
        last.append((entry.event, tuple(entry.data["hosts"]) == run.hosts))

    hospital.fleet.before_run = look

    apply(hospital)

    assert last == [(Event.WAVE_STARTED, True)] * len(WAVES)


def test_a_host_that_has_the_version_already_is_left_as_it_is() -> None:
    hosts = [builders.make_host(1), builders.make_host(2, builders.NEW)]
    hospital = Hospital(hosts=hosts)

    applied = apply(hospital)

    assert applied.change.counts == {HostOutcome.UPGRADED: 1, HostOutcome.UNCHANGED: 1}
    assert hospital.fleet.hosts["host-02"].upgrades == 0


def test_apply_on_a_change_whose_waves_are_over_contacts_no_host() -> None:
    hospital = Hospital()
    apply(hospital)
    before = len(hospital.fleet.runs)

    applied = apply(hospital)

    assert applied.exit_code is ExitCode.DONE
    assert len(hospital.fleet.runs) == before


# ----------------------------------------------------------------------------------------------- whichever host breaks


@pytest.mark.parametrize("how", [Break.UNHEALTHY, Break.HALF_DONE, Break.REFUSES, Break.SILENT], ids=str)
@pytest.mark.parametrize("broken", HOSTS)
def test_whichever_host_breaks_all_that_was_touched_is_as_before_and_the_rest_is_left_alone(
    broken: str, how: Break
) -> None:
    hospital = Hospital()
    hospital.fleet.hosts[broken].breaks = how

    applied = apply(hospital)

    assert (applied.exit_code, applied.because) == (ExitCode.ROLLED_BACK, "too-many-failed-in-wave")
    assert installed(hospital) == ALL_OLD
    assert state(hospital) is State.ROLLED_BACK
    assert hospital.fleet.asked_for("rollback") == [waves_up_to(broken)]
    touched = {host for run in hospital.fleet.runs for host in run.hosts}
    assert touched == set(waves_up_to(broken))


@pytest.mark.parametrize("broken", HOSTS)
@pytest.mark.parametrize(
    ("reading", "because"), [(Reading.UNHEALTHY, "wave-unstable"), (Reading.NO_ANSWER, "wave-inconclusive")]
)
def test_a_host_that_the_probes_do_not_find_well_takes_the_change_back(
    broken: str, reading: Reading, because: str
) -> None:
    hospital = Hospital()
    hospital.prober.seen[broken] = reading

    applied = apply(hospital)

    assert (applied.exit_code, applied.because) == (ExitCode.ROLLED_BACK, because)
    assert installed(hospital) == ALL_OLD
    assert hospital.fleet.asked_for("rollback") == [waves_up_to(broken)]


def test_a_host_of_which_no_event_spoke_stands_in_the_journal_as_not_run() -> None:
    hospital = Hospital()
    hospital.fleet.hosts["host-01"].breaks = Break.SILENT

    apply(hospital)

    said = [entry.data for entry in hospital.journal.history().of(Event.HOST_REPORTED)]
    assert (said[0]["host"], said[0]["outcome"]) == ("host-01", "not-run")


def test_probes_that_say_nothing_are_not_health() -> None:
    hospital = Hospital()
    hospital.prober.silent = True

    applied = apply(hospital)

    assert applied.because == "wave-inconclusive"
    assert installed(hospital) == ALL_OLD


def test_one_failure_within_the_thresholds_does_not_stop_the_rest() -> None:
    tolerant = replace(builders.make_release().thresholds, failed_in_wave=1, failed_in_all=1)
    hospital = Hospital(release=builders.make_release(thresholds=tolerant))
    hospital.fleet.hosts["host-02"].breaks = Break.UNHEALTHY

    applied = apply(hospital)

    assert applied.exit_code is ExitCode.DONE
    assert installed(hospital) == {**ALL_NEW, "host-02": builders.OLD}
    assert applied.change.hosts["host-02"].outcome is HostOutcome.ROLLED_BACK


def test_one_host_that_is_switched_off_is_carried_and_said() -> None:
    hospital = Hospital()
    hospital.fleet.hosts["host-03"].breaks = Break.GONE

    applied = apply(hospital)

    assert applied.exit_code is ExitCode.OFFLINE_LEFT
    assert installed(hospital) == {**ALL_NEW, "host-03": builders.OLD}


@pytest.mark.parametrize("wave", range(len(WAVES)))
def test_a_wave_that_vanishes_whole_after_the_switch_is_a_failure_and_goes_back(wave: int) -> None:
    hospital = Hospital()
    for host in WAVES[wave]:
        hospital.fleet.hosts[host].breaks = Break.CUT_OFF

    applied = apply(hospital)

    assert (applied.exit_code, applied.because) == (ExitCode.ROLLED_BACK, "too-many-unreachable")
    assert installed(hospital) == ALL_OLD
    assert len(hospital.fleet.asked_for("upgrade")) == wave + 1


# ------------------------------------------------------------------------------------------------------- the way back


@pytest.mark.parametrize("stays", [host for wave in WAVES[:2] for host in wave])
@pytest.mark.parametrize("how", [Break.STAYS, Break.MUTE], ids=str)
def test_a_rollback_that_fails_on_one_host_names_it_and_robs_no_other_of_theirs(stays: str, how: Break) -> None:
    hospital = Hospital()
    hospital.fleet.hosts[stays].breaks = how
    hospital.prober.seen["host-04"] = Reading.UNHEALTHY

    applied = apply(hospital)

    assert applied.exit_code is ExitCode.ROLLBACK_INCOMPLETE
    assert [host.name for host in applied.change.not_restored] == [stays]
    assert installed(hospital) == {**ALL_OLD, stays: builders.NEW}
    assert state(hospital) is State.STUCK


def test_a_stuck_rollback_is_finished_later_and_nothing_is_taken_back_twice() -> None:
    hospital = Hospital()
    hospital.fleet.hosts["host-02"].breaks = Break.STAYS
    hospital.prober.seen["host-04"] = Reading.UNHEALTHY
    apply(hospital)
    hospital.fleet.hosts["host-02"].breaks = None

    applied = apply(hospital)

    assert applied.exit_code is ExitCode.ROLLED_BACK
    assert state(hospital) is State.ROLLED_BACK
    assert {host.rollbacks for host in hospital.fleet.hosts.values()} == {1}


def test_a_host_that_nobody_can_reach_is_stuck_not_restored() -> None:
    hospital = Hospital()
    hospital.fleet.hosts["host-03"].breaks = Break.GONE
    hospital.prober.seen["host-04"] = Reading.UNHEALTHY

    applied = apply(hospital)

    assert applied.exit_code is ExitCode.ROLLBACK_INCOMPLETE
    assert [host.name for host in applied.change.not_restored] == ["host-03"]


def test_a_person_takes_a_soaking_change_back_after_the_window_and_the_approvals_are_over() -> None:
    hospital = Hospital()
    apply(hospital)
    hospital.clock.now = builders.CLOSES + timedelta(days=30)

    taken = roll_back(hospital)

    assert taken.exit_code is ExitCode.ROLLED_BACK
    assert installed(hospital) == ALL_OLD


def test_what_was_never_applied_is_not_taken_back() -> None:
    hospital = Hospital()

    with pytest.raises(Refused, match="change-not-in-state"):
        roll_back(hospital)

    assert hospital.fleet.runs == []


def test_the_way_back_runs_the_commit_that_was_authorized_whatever_the_branch_says_now() -> None:
    hospital = Hospital()
    apply(hospital)
    hospital.branch.add({f"approvals/{builders.CHANGE}/plan.json": b"another plan"})

    taken = roll_back(hospital)

    assert taken.exit_code is ExitCode.ROLLED_BACK
    assert installed(hospital) == ALL_OLD


# ------------------------------------------------------------------------------------------- refused before any contact


def edit_plan(hospital: Hospital) -> None:
    edited = replace(hospital.plan, reason="another reason")
    hospital.branch.add({f"approvals/{builders.CHANGE}/plan.json": edited.to_bytes()})


def reject(hospital: Hospital) -> None:
    hospital.publish(
        builders.make_approval(
            hospital.plan, builders.BOTH, builders.DEPARTMENT, decision=Decision.REJECT, nonce="b" * 32
        )
    )


def withdraw(hospital: Hospital) -> None:
    hospital.publish(
        builders.make_approval(
            hospital.plan, builders.HEAD, builders.DEPARTMENT, decision=Decision.WITHDRAW, nonce="c" * 32
        )
    )


def forge(hospital: Hospital) -> None:
    record = builders.make_approval(hospital.plan, builders.BOTH, builders.DEPARTMENT)
    files = sealed(record, f"approvals/{record.change}")
    hospital.branch.add({path: b"forged" if path.endswith(".sig") else text for path, text in files.items()})


def add_a_stranger(hospital: Hospital) -> None:
    hospital.branch.add({f"approvals/{builders.CHANGE}/notes.txt": b"hello"})


def remove_a_record(hospital: Hospital) -> None:
    hospital.branch.removed = ["reject_zhao.min_department-head_00000000.json"]


def touch_the_tree(hospital: Hospital) -> None:
    hospital.tree = Digest.of(b"other")


def damage_the_build(hospital: Hospital) -> None:
    hospital.builds.damaged = True


def come_too_late(hospital: Hospital) -> None:
    hospital.clock.now = builders.CLOSES


def come_too_early(hospital: Hospital) -> None:
    hospital.clock.now = builders.OPENS - timedelta(seconds=1)


def let_trust_run_out(hospital: Hospital) -> None:
    hospital.trust.trust = replace(hospital.trust.trust, expires=builders.NOW)


@pytest.mark.parametrize(
    ("wrong", "error", "code"),
    [
        (edit_plan, Refused, "plan-not-of-its-parts"),
        (reject, Refused, "plan-rejected"),
        (withdraw, Refused, "approvals-missing"),
        (forge, Refused, "signature-invalid"),
        (add_a_stranger, Refused, "file-not-known"),
        (remove_a_record, Refused, "record-removed"),
        (touch_the_tree, Integrity, "tree-changed"),
        (damage_the_build, Integrity, "build-changed"),
        (come_too_early, OutsideWindow, "window-not-open"),
        (let_trust_run_out, Refused, "trust-expired"),
    ],
)
def test_what_the_gate_refuses_reaches_no_host(wrong: Prepare, error: type[UpgraderError], code: str) -> None:
    hospital = Hospital()
    wrong(hospital)

    with pytest.raises(error) as refusal:
        apply(hospital)

    assert refusal.value.code == code
    assert hospital.fleet.runs == []
    assert installed(hospital) == ALL_OLD


def test_whoever_comes_after_the_window_is_told_of_the_window() -> None:
    hospital = Hospital()
    come_too_late(hospital)

    with pytest.raises(OutsideWindow):
        apply(hospital)


@pytest.mark.parametrize("wrong", [reject, damage_the_build, come_too_late])
def test_a_refusal_is_in_the_journal(wrong: Prepare) -> None:
    hospital = Hospital()
    wrong(hospital)

    with pytest.raises(UpgraderError) as refusal:
        apply(hospital)

    (written,) = hospital.journal.history().of(Event.GATE_REFUSED)
    assert written.data["code"] == refusal.value.code


def test_two_people_never_apply_the_same_change_or_touch_the_same_host() -> None:
    hospital = Hospital()

    for name in (f"change-{builders.CHANGE}", "host-host-05"):
        with (
            hospital.locks.hold([name], purpose="apply", holder="wang.fang", now=builders.NOW),
            pytest.raises(Locked) as refusal,
        ):
            apply(hospital)
        assert refusal.value.fields["holder"] == "wang.fang"

    assert hospital.fleet.runs == []
    assert hospital.locks.held == {}


# ------------------------------------------------------------------------------------- what changes between two waves


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (reject, Refused),
        (withdraw, Refused),
        (forge, Refused),
        (touch_the_tree, Integrity),
        (come_too_late, OutsideWindow),
    ],
)
@pytest.mark.parametrize("wave", [0, 1])
def test_no_new_wave_begins_once_the_gate_would_refuse(wave: int, wrong: Prepare, error: type[UpgraderError]) -> None:
    hospital = Hospital()

    def meanwhile(run: PlaybookRun) -> None:
        if run.hosts == WAVES[wave]:
            wrong(hospital)

    hospital.fleet.before_run = meanwhile

    with pytest.raises(error):
        apply(hospital)

    assert hospital.fleet.asked_for("upgrade") == list(WAVES[: wave + 1])
    assert state(hospital) is State.APPLYING


SOON = builders.NOW + timedelta(minutes=1)


def an_approvers_key_ends(trust: Trust) -> Trust:
    keys = {person.id: tuple(replace(key, valid_until=SOON) for key in person.keys) for person in trust.people}
    people = [replace(p, keys=keys[p.id]) if p.id == builders.HEAD else p for p in trust.people]
    return replace(trust, people=tuple(people))


def the_vendors_key_ends(trust: Trust) -> Trust:
    ending = [replace(v, keys=tuple(replace(key, valid_until=SOON) for key in v.keys)) for v in trust.vendors]
    return replace(trust, vendors=tuple(ending))


def the_trust_file_expires(trust: Trust) -> Trust:
    return replace(trust, expires=SOON)


def test_a_word_whose_key_has_ended_is_left_out_and_said_and_its_author_signs_again() -> None:
    hospital = Hospital()
    hospital.trust.trust = an_approvers_key_ends(hospital.trust.trust)
    hospital.clock.sleep(120)

    with pytest.raises(Refused) as refusal:
        apply(hospital)
    assert refusal.value.code == "approvals-missing"
    assert "key-not-valid" in refusal.value.fields["fell"]

    hospital.trust.trust = builders.make_trust()  # the same people, with keys that count
    assert apply(hospital).exit_code is ExitCode.DONE


def test_a_no_stands_though_its_key_has_ended() -> None:
    hospital = Hospital()
    reject(hospital)
    keys = an_approvers_key_ends(hospital.trust.trust)
    hospital.trust.trust = replace(keys, people=tuple(_all_keys_end(person) for person in keys.people))
    hospital.clock.sleep(120)

    with pytest.raises(Refused, match="plan-rejected"):
        apply(hospital)


def _all_keys_end(person: Person) -> Person:
    return replace(person, keys=tuple(replace(key, valid_until=SOON) for key in person.keys))


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (an_approvers_key_ends, "approvals-missing"),
        (the_vendors_key_ends, "key-not-valid"),
        (the_trust_file_expires, "trust-expired"),
    ],
)
@pytest.mark.parametrize("wave", [0, 1])
def test_time_alone_may_end_the_permission_before_the_next_wave(
    wave: int, what: Callable[[Trust], Trust], code: str
) -> None:
    hospital = Hospital()
    hospital.trust.trust = what(hospital.trust.trust)

    def it_takes_two_minutes(run: PlaybookRun) -> None:
        if run.hosts == WAVES[wave]:
            hospital.clock.sleep(120)

    hospital.fleet.before_run = it_takes_two_minutes

    with pytest.raises(Refused, match=code):
        apply(hospital)

    assert hospital.fleet.asked_for("upgrade") == list(WAVES[: wave + 1])
    assert state(hospital) is State.APPLYING
    (refused,) = hospital.journal.history().of(Event.GATE_REFUSED)
    assert refused.data["code"] == code


def test_a_stop_between_two_waves_can_be_taken_back() -> None:
    hospital = Hospital()
    hospital.fleet.before_run = lambda run: withdraw(hospital) if run.hosts == WAVES[0] else None
    with pytest.raises(Refused, match="approvals-missing"):
        apply(hospital)

    taken = roll_back(hospital)

    assert taken.exit_code is ExitCode.ROLLED_BACK
    assert installed(hospital) == ALL_OLD


def test_a_record_that_changes_nothing_may_come_between_two_waves() -> None:
    hospital = Hospital()
    late = builders.make_approval(hospital.plan, builders.BOTH, builders.DEPARTMENT)
    hospital.fleet.before_run = lambda run: hospital.publish(late) if run.hosts == WAVES[0] else None

    applied = apply(hospital)

    assert applied.exit_code is ExitCode.DONE
    assert len(hospital.journal.history().of(Event.PLAN_AUTHORIZED)) == 2


# --------------------------------------------------------------------------------------------- kill -9 at any line


def nothing_breaks(hospital: Hospital) -> None:
    pass


def a_host_takes_itself_back(hospital: Hospital) -> None:
    hospital.fleet.hosts["host-03"].breaks = Break.UNHEALTHY


def a_host_is_half_done(hospital: Hospital) -> None:
    hospital.fleet.hosts["host-03"].breaks = Break.HALF_DONE


def the_probes_find_it_ill(hospital: Hospital) -> None:
    hospital.prober.seen["host-02"] = Reading.UNHEALTHY


def a_host_is_switched_off(hospital: Hospital) -> None:
    hospital.fleet.hosts["host-05"].breaks = Break.GONE


def a_rollback_fails(hospital: Hospital) -> None:
    hospital.fleet.hosts["host-01"].breaks = Break.STAYS
    hospital.prober.seen["host-02"] = Reading.UNHEALTHY


STORIES: tuple[Prepare, ...] = (
    nothing_breaks,
    a_host_takes_itself_back,
    a_host_is_half_done,
    the_probes_find_it_ill,
    a_host_is_switched_off,
    a_rollback_fails,
)


class Killer:
    """Kills whoever writes the journal, right before or right after the line with the number `at`."""

    def __init__(self, at: int, moment: str) -> None:
        self.left = at
        self.moment = moment

    def __call__(self, moment: str) -> None:
        if moment == self.moment:
            self.left -= 1
            if self.left == 0:
                raise Killed


@cache
def told(story: Prepare) -> Hospital:
    """A hospital in which a story was told to its end, and nobody was killed. For reading only."""
    hospital = Hospital()
    story(hospital)
    apply(hospital)
    return hospital


def lines_of(story: Prepare) -> int:
    """How many lines `apply` writes in this story."""
    return len(told(story).journal.lines) - len(Hospital().journal.lines)


def ending(hospital: Hospital) -> tuple[object, ...]:
    """All by which two changes can differ in the end: the state, the hosts, and what the journal says of them."""
    change = view(hospital.journal.history(), hospital.plan)
    outcomes = {host.name: (host.outcome, host.current) for host in change.hosts.values()}
    return change.state, installed(hospital), outcomes, change.stopped_because, change.touched


KILLS = [
    pytest.param(story, at, moment, id=f"{story.__name__}-{moment}-{at}")
    for story in STORIES
    for at in range(1, lines_of(story) + 1)
    for moment in ("before", "after")
]


@pytest.mark.parametrize(("story", "at", "moment"), KILLS)
def test_killed_at_any_line_apply_goes_on_and_ends_as_if_nobody_was_killed(
    story: Prepare, at: int, moment: str
) -> None:
    hospital = Hospital()
    story(hospital)
    hospital.journal.kills = Killer(at, moment)
    with pytest.raises(Killed):
        apply(hospital)
    hospital.journal.kills = nobody

    apply(hospital)

    assert ending(hospital) == ending(told(story))
    assert all(host.upgrades <= 1 and host.rollbacks <= 1 for host in hospital.fleet.hosts.values())
    assert hospital.locks.held == {}


@pytest.mark.parametrize("at", range(1, lines_of(nothing_breaks) + 1))
def test_killed_at_any_line_a_person_takes_back_every_host_that_was_touched(at: int) -> None:
    hospital = Hospital()
    hospital.journal.kills = Killer(at, "before")  # the host has acted, and nobody wrote down what it said
    with pytest.raises(Killed):
        apply(hospital)
    hospital.journal.kills = nobody
    touched = {host for run in hospital.fleet.runs for host in run.hosts}

    if not hospital.journal.history().of(Event.APPLY_STARTED):
        assert touched == set()
        return
    taken = roll_back(hospital)

    assert taken.exit_code is ExitCode.ROLLED_BACK
    assert installed(hospital) == ALL_OLD
    assert {host for hosts in hospital.fleet.asked_for("rollback") for host in hosts} >= touched


def test_a_wave_that_was_found_stable_is_not_run_again() -> None:
    hospital = Hospital()
    stable = events(told(nothing_breaks)).index(Event.WAVE_JUDGED) - events(Hospital()).index(Event.PLAN_MADE)
    hospital.journal.kills = Killer(stable, "after")
    with pytest.raises(Killed):
        apply(hospital)
    hospital.journal.kills = nobody

    apply(hospital)

    assert hospital.fleet.asked_for("upgrade") == list(WAVES)


def nobody(_: str) -> None:
    """Nobody is killed."""


@settings(max_examples=25)
@given(
    story=st.sampled_from(STORIES), kills=st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["before", "after"])))
)
def test_killed_again_and_again_it_still_ends_the_same(story: Prepare, kills: list[tuple[int, str]]) -> None:
    hospital = Hospital()
    story(hospital)

    for at, moment in kills:
        hospital.journal.kills = Killer(at, moment)
        try:
            apply(hospital)
        except Killed:
            continue
    hospital.journal.kills = nobody
    apply(hospital)

    assert ending(hospital) == ending(told(story))
    assert all(host.upgrades <= 1 and host.rollbacks <= 1 for host in hospital.fleet.hosts.values())


@pytest.mark.parametrize("story", [a_host_takes_itself_back, a_host_is_switched_off])
def test_killed_after_the_last_line_the_exit_code_still_tells_how_it_ended(story: Prepare) -> None:
    hospital = Hospital()
    story(hospital)
    expected = apply(hospital).exit_code

    again = apply(hospital).exit_code

    assert again is expected


def test_a_signer_who_leaves_between_two_waves_stops_the_change_though_no_commit_came() -> None:
    hospital = Hospital()
    before = hospital.trust.trust
    people = tuple(replace(person, active=person.id != builders.HEAD) for person in before.people)
    after = replace(before, version=before.version + 1, people=people)
    hospital.fleet.before_run = lambda run: hospital.trust.install(after, ()) if run.hosts == WAVES[0] else None

    with pytest.raises(Refused, match="approvals-missing"):
        apply(hospital)

    assert hospital.fleet.asked_for("upgrade") == [WAVES[0]]
    assert state(hospital) is State.APPLYING


def test_a_secret_that_is_not_here_stops_the_change_before_any_host_is_asked() -> None:
    hosts = [replace(builders.make_host(1), parameters={"root": "/opt", "password": "secret:exam-db"})]
    hospital = Hospital(hosts=hosts)

    with pytest.raises(Refused, match="secret-missing"):
        apply(hospital)

    assert hospital.fleet.runs == []
    assert events(hospital)[-1] is Event.GATE_REFUSED


def test_a_secret_is_handed_on_by_its_name_and_stands_in_no_journal() -> None:
    hosts = [replace(builders.make_host(1), parameters={"root": "/opt", "password": "secret:exam-db"})]
    hospital = Hospital(hosts=hosts)
    hospital.secrets.values["exam-db"] = "s3cret-of-exam-db"

    assert apply(hospital).exit_code is ExitCode.DONE
    assert [run.secrets for run in hospital.fleet.runs] == [("exam-db",)]
    assert not any(b"s3cret" in line for line in hospital.journal.lines)
