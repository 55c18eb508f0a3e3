"""A journal that was put back from an older backup: its hosts know more, and nothing runs before that is told."""

from collections.abc import Callable

import pytest

import builders
from fakes import Break, Hospital
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.errors import ExitCode, Integrity
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.applying.roll_back import roll_back_change
from upgrader.flow.closing.soak import soak_change

HOSTS = tuple(f"host-{number:02d}" for number in range(1, 6))


def apply(hospital: Hospital) -> ExitCode:
    return apply_change(hospital.site(), builders.CHANGE, hospital.progress).exit_code


def roll_back(hospital: Hospital) -> ExitCode:
    return roll_back_change(hospital.site(), builders.CHANGE, "asked", hospital.progress).exit_code


def soak(hospital: Hospital) -> ExitCode:
    return soak_change(hospital.site(), builders.CHANGE, hospital.progress, wait=False).exit_code


VERBS: dict[str, Callable[[Hospital], ExitCode]] = {"apply": apply, "rollback": roll_back, "soak": soak}


def put_back(hospital: Hospital, lines: int) -> None:
    """The journal as it stood after so many lines, from a backup."""
    hospital.journal.lines = hospital.journal.lines[:lines]
    hospital.journal.is_older = True


def lines_up_to(hospital: Hospital, event: Event) -> int:
    return next(entry.seq for entry in hospital.journal.history().entries if entry.event is event) + 1


def refused(hospital: Hospital, verb: str) -> str:
    """The hosts that the refusal names; nothing was changed on any."""
    before = [(host.installed, host.upgrades, host.rollbacks) for host in hospital.fleet.hosts.values()]
    runs = len(hospital.fleet.runs)
    with pytest.raises(Integrity, match="journal-older-than-hosts") as refusal:
        VERBS[verb](hospital)
    assert [(host.installed, host.upgrades, host.rollbacks) for host in hospital.fleet.hosts.values()] == before
    assert [run.playbook for run in hospital.fleet.runs[runs:]] == ["playbooks/preflight.yml"]
    return str(refusal.value.fields["hosts"])


def applied() -> Hospital:
    hospital = Hospital()
    assert apply(hospital) is ExitCode.DONE
    return hospital


def test_a_journal_from_before_the_first_wave_is_not_applied_again() -> None:
    hospital = applied()
    put_back(hospital, lines_up_to(hospital, Event.PLAN_MADE))

    told = refused(hospital, "apply")

    assert all(f"{host} (confirmed)" in told for host in HOSTS)
    refused(hospital, "apply")  # to ask twice does not make it ours


@pytest.mark.parametrize("verb", ["apply", "rollback"])
def test_a_journal_from_the_middle_is_neither_gone_on_with_nor_taken_back_in_part(verb: str) -> None:
    hospital = applied()
    put_back(hospital, lines_up_to(hospital, Event.WAVE_JUDGED))

    told = refused(hospital, verb)

    assert "host-01" not in told
    assert "host-02 (confirmed)" in told


@pytest.mark.parametrize("verb", ["apply", "rollback", "soak"])
def test_a_journal_from_before_the_way_back_is_refused(verb: str) -> None:
    hospital = applied()
    before = len(hospital.journal.lines)
    roll_back(hospital)
    put_back(hospital, before if verb != "apply" else lines_up_to(hospital, Event.WAVE_JUDGED))

    assert "host-01 (taken-back)" in refused(hospital, verb)


def test_a_journal_that_may_be_older_and_is_not_goes_on_once_the_hosts_were_asked() -> None:
    hospital = Hospital()
    hospital.journal.is_older = True

    apply(hospital)
    roll_back(hospital)

    asked = [run.hosts for run in hospital.fleet.runs if run.playbook == "playbooks/preflight.yml"]
    assert asked == [HOSTS]


def test_hosts_that_are_away_are_no_reason_to_refuse() -> None:
    hospital = Hospital()
    hospital.journal.is_older = True
    hospital.fleet.hosts["host-05"].breaks = Break.GONE

    assert apply(hospital) is ExitCode.OFFLINE_LEFT
