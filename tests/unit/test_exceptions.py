"""Hosts left behind: somebody answers for each, by name and until a day, or the change can't be accepted."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

import builders
from fakes import Break, Hospital
from upgrader.domain.changes.change import view
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.verdict import Reading
from upgrader.domain.errors import BadInput, ExitCode, Refused
from upgrader.domain.names import HostName, PersonId
from upgrader.domain.papers.evidence import Ending
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.applying.roll_back import authorized_plan, roll_back_change
from upgrader.flow.closing.accept import accepted_head
from upgrader.flow.closing.close import ending_of
from upgrader.flow.closing.except_hosts import Answering, Excepted, except_hosts, settle_exception

OWNER = PersonId(builders.HEAD)


def stuck_with(*hosts: str) -> Hospital:
    """A hospital whose change is stuck: its rollback reached every touched host but these."""
    hospital = Hospital()
    for host in hosts:
        hospital.fleet.hosts[host].breaks = Break.STAYS
    hospital.prober.seen["host-04"] = Reading.UNHEALTHY
    assert apply_change(hospital.site(), builders.CHANGE, hospital.progress).exit_code is ExitCode.ROLLBACK_INCOMPLETE
    return hospital


def answer_for(hospital: Hospital, *hosts: str, owner: PersonId = OWNER, days: int = 14) -> Excepted:
    due = hospital.clock() + timedelta(days=days)
    named: Sequence[HostName] = [HostName(host) for host in hosts]
    return except_hosts(hospital.site(), builders.CHANGE, named, Answering(owner, due, "burnt"))


def change_of(hospital: Hospital):  # type: ignore[no-untyped-def] # a Change
    history = hospital.journal.history()
    return view(history, authorized_plan(hospital.site(), builders.CHANGE, history))


def test_a_stuck_change_is_taken_back_in_part_once_every_stuck_host_has_an_owner() -> None:
    hospital = stuck_with("host-02", "host-03")

    first = answer_for(hospital, "host-02")
    second = answer_for(hospital, "host-03")

    assert (first.state, list(first.unowned)) == (State.STUCK, ["host-03"])
    assert (second.state, list(second.unowned)) == (State.ROLLED_BACK_IN_PART, [])
    assert ending_of(hospital.journal.history(), change_of(hospital)) is Ending.ROLLED_BACK_IN_PART
    assert apply_change(hospital.site(), builders.CHANGE, hospital.progress).exit_code is ExitCode.ROLLBACK_INCOMPLETE


def test_a_host_that_comes_back_after_all_is_still_taken_back() -> None:
    hospital = stuck_with("host-02")
    answer_for(hospital, "host-02")
    hospital.fleet.hosts["host-02"].breaks = None

    taken = roll_back_change(hospital.site(), builders.CHANGE, "it is back", hospital.progress)

    assert taken.exit_code is ExitCode.ROLLED_BACK
    assert ending_of(hospital.journal.history(), change_of(hospital)) is Ending.ROLLED_BACK


def test_only_a_host_that_was_left_behind_gets_an_exception() -> None:
    hospital = stuck_with("host-02")
    before = len(hospital.journal.history().entries)

    with pytest.raises(BadInput, match="host-not-left-behind"):
        answer_for(hospital, "host-02", "host-01")

    assert len(hospital.journal.history().entries) == before


@pytest.mark.parametrize(
    ("owner", "days", "code"),
    [(PersonId("sun.wu"), 14, "owner-unknown"), (builders.RETIRED, 14, "owner-unknown"), (OWNER, 0, "due-is-over")],
    ids=["a stranger", "somebody who left", "a day that is over"],
)
def test_an_exception_needs_somebody_who_is_there_and_a_day_to_come(owner: PersonId, days: int, code: str) -> None:
    hospital = stuck_with("host-02")

    with pytest.raises(BadInput, match=code):
        answer_for(hospital, "host-02", owner=owner, days=days)


def test_before_a_change_has_left_anything_behind_there_is_no_exception() -> None:
    hospital = Hospital()

    with pytest.raises(Refused, match="change-not-in-state"):
        answer_for(hospital, "host-02")


def test_an_exception_is_overdue_until_it_is_settled_once() -> None:
    hospital = stuck_with("host-02")
    answer_for(hospital, "host-02", days=1)
    hospital.clock.now += timedelta(days=1)
    assert change_of(hospital).exceptions["host-02"].is_overdue(hospital.clock())

    settle_exception(hospital.site(), builders.CHANGE, HostName("host-02"), "reinstalled")

    assert not change_of(hospital).exceptions["host-02"].is_overdue(hospital.clock())
    with pytest.raises(BadInput, match="exception-not-open"):
        settle_exception(hospital.site(), builders.CHANGE, HostName("host-02"), "reinstalled")


def test_a_later_exception_is_another_result_than_the_one_that_was_accepted() -> None:
    hospital = stuck_with("host-02")
    answer_for(hospital, "host-02")
    before = accepted_head(hospital.journal.history())

    answer_for(hospital, "host-02", days=30)

    assert accepted_head(hospital.journal.history()) != before


def test_what_is_settled_after_the_end_does_not_change_what_was_closed() -> None:
    hospital = stuck_with("host-02")
    answer_for(hospital, "host-02")
    hospital.journal.write(Event.CHANGE_ACCEPTED, {}, at=hospital.clock(), actor="chen.jie")
    hospital.journal.write(Event.CHANGE_CLOSED, {}, at=hospital.clock(), actor="chen.jie")
    closed = hospital.journal.history()

    settle_exception(hospital.site(), builders.CHANGE, HostName("host-02"), "reinstalled")

    assert hospital.journal.history().up_to(Event.CHANGE_CLOSED) == closed
