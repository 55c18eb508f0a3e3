"""What an emergency owes: it runs with few signatures, and those of the normal rule are given afterwards, in time."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import builders
from builders import BOTH, DEPARTMENT, ENGINEER, HEAD, INFORMATICIAN, INFORMATION, NOW, REQUESTER, make_emergency
from fakes import Hospital, Killed, sealed
from upgrader.adapters.state.journal_file import JournalFile
from upgrader.adapters.state.journal_search import JournalSearch
from upgrader.domain import plain
from upgrader.domain.approval.authorization import Fault, Signed
from upgrader.domain.approval.debt import Debt, DebtStanding, debt_of, weigh_debt
from upgrader.domain.approval.record import DebtRecord
from upgrader.domain.approval.trust import Row
from upgrader.domain.changes.journal import Entry, History
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.request import Kind
from upgrader.domain.digest import Digest
from upgrader.domain.errors import ExitCode, Refused
from upgrader.domain.names import ChangeId, PersonId, RoleId
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.approval.debts import check_none_overdue, check_paid, debts, overdue, standing_of
from upgrader.flow.closing.close import close_change

LATE = timedelta(hours=72)
TRUST = builders.make_trust(
    rules={"normal": builders.make_rule(), "emergency": make_emergency()},
)
PLAN = builders.plan_of(request=builders.make_request(kind=Kind.EMERGENCY))
RUN = Digest.of(b"the line that ended the run")
DEBT = Debt(builders.CHANGE, ENGINEER, NOW, NOW + LATE, (RUN,), paid=False)


def answer(person: str, role: RoleId, **changes: Any) -> Signed[DebtRecord]:
    record = DebtRecord(
        format=DebtRecord.FORMAT,
        site=PLAN.site,
        repository=PLAN.repository,
        change=PLAN.change,
        plan=PLAN.digest,
        journal=RUN,
        result="soaking",
        person=PersonId(person),
        role=role,
        issued=NOW,
        nonce=Digest.of(f"{person} {role}".encode()).hex[:32],
        reason="seen",
    )
    return Signed(f"debt_{person}.json", replace(record, **changes))


def weighed(*answers: Signed[DebtRecord], debt: Debt = DEBT) -> DebtStanding:
    return weigh_debt(debt, PLAN, TRUST, answers)


def test_a_debt_is_paid_by_the_rows_of_the_normal_rule() -> None:
    one = weighed(answer(HEAD, DEPARTMENT))
    assert (one.is_paid, one.missing, one.people_missing) == (False, (Row(INFORMATION, 1),), 1)

    both = weighed(answer(HEAD, DEPARTMENT), answer(INFORMATICIAN, INFORMATION))
    assert (both.is_paid, both.people) == (True, (INFORMATICIAN, HEAD))


OTHER = Digest.of(b"something else")
NO_ANSWER = {
    "of the requester": answer(REQUESTER, INFORMATION),
    "for another plan": answer(INFORMATICIAN, INFORMATION, plan=OTHER),
    "for another change": answer(INFORMATICIAN, INFORMATION, change=ChangeId("CHG-2026-0143")),
    "for another run": answer(INFORMATICIAN, INFORMATION, journal=OTHER),
    "in a role not held": answer(HEAD, INFORMATION),
    "of one who left": answer(builders.RETIRED, INFORMATION),
    "of a stranger": answer("sun.wu", INFORMATION),
    "of the same person once more": answer(HEAD, DEPARTMENT, nonce="0" * 32),
    "with a key that has ended": replace(answer(INFORMATICIAN, INFORMATION), fault=Fault("key-not-valid", {})),
}


@pytest.mark.parametrize("other", NO_ANSWER.values(), ids=NO_ANSWER)
def test_an_answer_that_does_not_count(other: Signed[DebtRecord]) -> None:
    assert not weighed(answer(HEAD, DEPARTMENT), other).is_paid


def test_one_person_in_two_roles_is_one_person() -> None:
    assert not weighed(answer(BOTH, DEPARTMENT), answer(BOTH, INFORMATION, nonce="1" * 32)).is_paid


def test_an_answer_that_was_tampered_with_refuses() -> None:
    forged: Signed[DebtRecord] = Signed("debt_x.json", None, Fault("signature-invalid", {}, tampered=True))

    with pytest.raises(Refused, match="signature-invalid"):
        weighed(answer(HEAD, DEPARTMENT), answer(INFORMATICIAN, INFORMATION), forged)


def test_an_answer_that_nobody_can_read_refuses() -> None:
    with pytest.raises(Refused, match="record-unreadable"):
        weighed(Signed("debt_x.json", None))


def test_whoever_applied_it_does_not_answer_for_it_alone() -> None:
    rule = builders.make_rule(approvals=(Row(DEPARTMENT, 1),), people=1)
    trust = replace(TRUST, rules={**TRUST.rules, "normal": rule})
    by_head = replace(DEBT, applier=HEAD)

    assert not weigh_debt(by_head, PLAN, trust, [answer(HEAD, DEPARTMENT)]).is_paid
    assert weigh_debt(by_head, PLAN, trust, [answer(BOTH, DEPARTMENT)]).is_paid


def test_a_debt_is_overdue_from_its_last_moment_until_it_is_paid() -> None:
    assert [DEBT.is_overdue(NOW + LATE - timedelta(seconds=1)), DEBT.is_overdue(NOW + LATE)] == [False, True]
    assert not replace(DEBT, paid=True).is_overdue(NOW + LATE)


# --------------------------------------------------------------------------------------------- through apply and close


def emergency() -> Hospital:
    """One signature, given within the last 24 hours; its window is open."""
    hospital = Hospital(request=builders.make_request(kind=Kind.EMERGENCY))
    hospital.trust.trust = TRUST
    hospital.publish(builders.make_approval(hospital.plan, HEAD, DEPARTMENT, issued=NOW - timedelta(hours=1)))
    return hospital


def ran() -> Hospital:
    hospital = emergency()
    assert apply_change(hospital.site(), builders.CHANGE, hospital.progress).exit_code is ExitCode.DONE
    return hospital


def pay(hospital: Hospital) -> None:
    (debt,) = debts(hospital.site())
    for signed in (answer(HEAD, DEPARTMENT), answer(INFORMATICIAN, INFORMATION)):
        assert signed.record is not None
        told = replace(signed.record, plan=hospital.plan.digest, journal=debt.runs[-1])
        hospital.branch.add(sealed(told, f"approvals/{builders.CHANGE}"))


def test_an_emergency_that_is_killed_as_it_begins_owes_its_signatures_once() -> None:
    hospital = emergency()

    def kill(moment: str) -> None:
        if moment == "after" and hospital.journal.history().entries[-1].event is Event.DEBT_OPENED:
            raise Killed

    hospital.journal.kills = kill
    with pytest.raises(Killed):
        apply_change(hospital.site(), builders.CHANGE, hospital.progress)
    hospital.journal.kills = lambda _: None

    apply_change(hospital.site(), builders.CHANGE, hospital.progress)

    assert len(hospital.journal.history().of(Event.DEBT_OPENED)) == 1


def test_an_emergency_opens_its_debt_right_before_it_begins() -> None:
    history = ran().journal.history()

    events = [entry.event for entry in history.entries]
    assert events.index(Event.DEBT_OPENED) + 1 == events.index(Event.APPLY_STARTED)
    debt = debt_of(builders.CHANGE, history)
    assert debt is not None
    assert (debt.due - debt.opened, debt.applier, len(debt.runs)) == (LATE, ENGINEER, 1)


def test_a_normal_change_owes_nothing() -> None:
    hospital = Hospital()
    hospital.trust.trust = TRUST
    apply_change(hospital.site(), builders.CHANGE, hospital.progress)

    assert debts(hospital.site()) == []


def test_an_emergency_that_never_began_owes_nothing() -> None:
    hospital = emergency()
    with hospital.journal.open(builders.CHANGE) as journal:
        journal.write(Event.PLAN_AUTHORIZED, {}, at=NOW, actor=ENGINEER)
        journal.write(Event.DEBT_OPENED, {"due": "2026-11-24T15:00:00Z"}, at=NOW, actor=ENGINEER)

    assert debts(hospital.site()) == []


def test_a_window_longer_than_the_rule_is_refused_by_the_gate() -> None:
    hospital = emergency()
    hospital.trust.trust = replace(TRUST, rules={**TRUST.rules, "emergency": make_emergency(window_hours=3)})

    with pytest.raises(Refused, match="window-too-long-for-kind"):
        apply_change(hospital.site(), builders.CHANGE, hospital.progress)
    assert hospital.fleet.runs == []


def test_normal_changes_are_refused_while_a_debt_is_overdue_and_no_longer() -> None:
    hospital = ran()
    normal = builders.plan_of()
    check_none_overdue(hospital.site(), normal)  # it is open, not overdue

    hospital.clock.sleep(LATE.total_seconds())

    with pytest.raises(Refused, match="debt-overdue"):
        check_none_overdue(hospital.site(), normal)
    check_none_overdue(hospital.site(), PLAN)  # the next emergency can't wait
    pay(hospital)
    assert standing_of(hospital.site(), overdue(hospital.site())[0]).is_paid
    with hospital.journal.open(builders.CHANGE) as journal:
        check_paid(hospital.site(), journal, hospital.plan)
    check_none_overdue(hospital.site(), normal)


def test_apply_asks_for_debts_before_it_begins_and_never_under_way() -> None:
    hospital = Hospital()
    hospital.trust.trust = TRUST
    owing = ChangeId("CHG-2026-0900")
    history = _due_at_once(ran().journal.history())

    def journal(change: str) -> Any:
        return hospital.journal.open(change) if change == builders.CHANGE else _Kept(history)

    while_overdue = replace(hospital.site(), journal=journal, journals=_Owing(owing))

    with pytest.raises(Refused, match="debt-overdue"):
        apply_change(while_overdue, builders.CHANGE, hospital.progress)
    assert hospital.fleet.runs == []
    assert hospital.journal.history().last(Event.GATE_REFUSED) is not None

    hospital.fleet.before_run = _die
    with pytest.raises(_Died):
        apply_change(hospital.site(), builders.CHANGE, hospital.progress)
    hospital.fleet.before_run = lambda run: None
    assert apply_change(while_overdue, builders.CHANGE, hospital.progress).exit_code is ExitCode.DONE


def _due_at_once(history: History) -> History:
    moved = History()
    for entry in history.entries:
        data = {**entry.data, "due": plain.to_plain(NOW)} if entry.event is Event.DEBT_OPENED else entry.data
        moved = moved.with_entry(moved.following(entry.event, data, at=entry.at, actor=entry.actor))
    return moved


class _Owing:
    """Journals in which one change owes."""

    def __init__(self, change: str) -> None:
        self._change = change

    def unclosed_with(self, event: str) -> list[str]:
        return [self._change]

    def newest_trust_version(self) -> int:
        return 0

    def earlier(self, system: str, events: Iterable[Event], *, but: str, most: int) -> list[list[Entry]]:
        return []


class _Died(BaseException):
    pass


def _die(run: object) -> None:
    raise _Died


class _Kept:
    """A journal of another change, as it stands."""

    def __init__(self, history: Any) -> None:
        self._history = history

    def __enter__(self) -> "_Kept":
        return self

    def __exit__(self, *why: object) -> None:
        pass

    def history(self) -> Any:
        return self._history


def test_an_emergency_is_not_closed_before_its_debt_is_paid(tmp_path: Path) -> None:
    hospital = ran()
    with hospital.journal.open(builders.CHANGE) as journal:
        for event in (Event.FOUND_STABLE, Event.CHANGE_ACCEPTED):
            journal.write(event, {"reasons": [], "people": [], "files": []}, at=NOW, actor=HEAD)
    (tmp_path / "key").touch()
    site = replace(hospital.site(), key=tmp_path / "key")

    with pytest.raises(Refused) as refusal:
        close_change(site, builders.CHANGE, tmp_path)

    assert refusal.value.code == "debt-unpaid"
    assert refusal.value.fields["missing"] == f"{INFORMATION} 1, {DEPARTMENT} 1"


def test_a_paid_debt_is_written_down_once_and_stays_paid_when_people_leave() -> None:
    hospital = ran()
    pay(hospital)
    with hospital.journal.open(builders.CHANGE) as journal:
        check_paid(hospital.site(), journal, hospital.plan)
        settled = journal.history().last(Event.DEBT_SETTLED)
        assert settled is not None
        assert settled.data["people"] == [INFORMATICIAN, HEAD]
        hospital.trust.trust = replace(TRUST, people=TRUST.people[:1])
        check_paid(hospital.site(), journal, hospital.plan)
        assert len(journal.history().of(Event.DEBT_SETTLED)) == 1


# ------------------------------------------------------------------------------------------- looking through journals


def write(folder: Path, change: str, *events: tuple[Event, dict[str, Any]]) -> None:
    with JournalFile(folder / change / "journal.jsonl") as journal:
        for event, data in events:
            journal.write(event, data, at=NOW, actor="li.na")


REQUESTED = (Event.CHANGE_REQUESTED, {"reason": '"event":"debt opened"'})
CANCELLED: tuple[Event, dict[str, Any]] = (Event.CHANGE_CANCELLED, {})


def test_journals_are_looked_through_for_an_event(tmp_path: Path) -> None:
    opened: tuple[Event, dict[str, Any]] = (Event.DEBT_OPENED, {"due": "2026-11-24T15:00:00Z"})
    write(tmp_path, "CHG-2026-0001", REQUESTED)  # only says so in its reason
    write(tmp_path, "CHG-2026-0002", REQUESTED, opened)
    write(tmp_path, "CHG-2026-0003", REQUESTED, opened, CANCELLED)
    (tmp_path / "CHG-2026-0004").mkdir()

    assert JournalSearch(tmp_path).unclosed_with(Event.DEBT_OPENED) == ["CHG-2026-0002"]
    assert JournalSearch(tmp_path / "none").unclosed_with(Event.DEBT_OPENED) == []


def test_the_newest_trust_version_that_any_journal_names_is_found(tmp_path: Path) -> None:
    assert JournalSearch(tmp_path).newest_trust_version() == 0
    authorized: tuple[Event, dict[str, Any]] = (Event.GATE_REFUSED, {"trust_version": 12})
    write(tmp_path, "CHG-2026-0001", REQUESTED, (Event.GATE_REFUSED, {"trust_version": 9}))
    write(tmp_path, "CHG-2026-0002", REQUESTED, authorized, CANCELLED)

    assert JournalSearch(tmp_path).newest_trust_version() == 12
