"""Debt: the signatures of the normal rule that are owed once an emergency has begun to run.

A view of the journal and of the signed records, computed and never stored: the journal says when it began and when
it is due, the records say who has answered for plan and run since.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from upgrader.domain import plain
from upgrader.domain.approval.authorization import Fault, Signed
from upgrader.domain.approval.record import DebtRecord
from upgrader.domain.approval.trust import Row, Trust, unfilled
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import Plan
from upgrader.domain.changes.request import Kind
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused
from upgrader.domain.names import ChangeId, PersonId, RoleId

# With these lines a run, or the way back, is over: what people answer for stands before them in the chain.
ENDS_OF_RUN = (Event.SOAK_STARTED, Event.ROLLBACK_FINISHED, Event.ROLLBACK_INCOMPLETE)


@dataclass(frozen=True, slots=True)
class Debt:
    """What one emergency owes. `runs` are the journal's lines that end a run, oldest first; empty while it runs."""

    change: ChangeId
    applier: str
    opened: datetime
    due: datetime
    runs: tuple[Digest, ...]
    paid: bool

    def is_overdue(self, now: datetime) -> bool:
        return not self.paid and now >= self.due


@dataclass(frozen=True, slots=True)
class DebtStanding:
    """Who has answered for an emergency, and who is missing."""

    debt: Debt
    counted: tuple[Signed[DebtRecord], ...]
    missing: tuple[Row, ...]
    people_missing: int

    @property
    def people(self) -> tuple[PersonId, ...]:
        return tuple(sorted({signed.record.person for signed in self.counted if signed.record}))

    @property
    def is_paid(self) -> bool:
        return self.debt.paid or not (self.missing or self.people_missing)


def opening(trust: Trust, plan: Plan, now: datetime) -> Mapping[str, Any]:
    """What the journal says when an emergency begins. Raises Refused for an emergency without a rule."""
    hours = trust.rule(plan.kind).debt_hours or 0
    return {
        "plan": plan.digest.hex,
        "due": plain.to_plain(now + timedelta(hours=hours)),
        "trust_version": trust.version,
    }


def debt_of(change: ChangeId, history: History) -> Debt | None:
    """The debt of a change; None when it is no emergency, or never began to run."""
    opened, started = history.last(Event.DEBT_OPENED), history.last(Event.APPLY_STARTED)
    if opened is None or started is None:
        return None
    return Debt(
        change=change,
        applier=started.actor,
        opened=opened.at,
        due=plain.instant(opened.data["due"]),
        runs=tuple(Digest.of(entry.to_line()) for entry in history.of(*ENDS_OF_RUN)),
        paid=history.last(Event.DEBT_SETTLED) is not None,
    )


def weigh_debt(debt: Debt, plan: Plan, trust: Trust, records: Iterable[Signed[DebtRecord]]) -> DebtStanding:
    """Weigh what people signed afterwards by the rows of the normal rule, each person once, the requester never.

    A record counts for this plan and for a run of this journal. Raises Refused for one that was tampered with.
    """
    rule = trust.rule(Kind.NORMAL)
    counted = []
    for signed in records:
        if signed.record is None or signed.fault is not None:
            fault = signed.fault or Fault("record-unreadable", {}, tampered=True)
            if fault.tampered:
                raise Refused(fault.code, **{**fault.fields, "file": signed.file})
        elif _counts(signed.record, debt, plan, trust):
            counted.append(signed)
    holders: dict[PersonId, frozenset[RoleId]] = {}
    for signed in counted:
        if signed.record is not None:
            holders[signed.record.person] = holders.get(signed.record.person, frozenset()) | {signed.record.role}
    short = max(0, rule.people - len(holders))
    alone = set(holders) == {debt.applier}  # whoever applied it does not answer for it alone
    return DebtStanding(debt, tuple(counted), unfilled(rule.approvals, holders), max(short, int(alone)))


def _counts(record: DebtRecord, debt: Debt, plan: Plan, trust: Trust) -> bool:
    person = trust.person(record.person)
    told = (record.site, record.repository, record.change, record.plan)
    return (
        told == (plan.site, plan.repository, plan.change, plan.digest)
        and record.journal in debt.runs
        and record.person != plan.requester
        and person is not None
        and person.active
        and record.role in person.roles
    )


def missing_rows(standing: DebtStanding) -> Sequence[Row]:
    """What a debt still lacks; people alone as a row of their own."""
    return standing.missing or ((Row(RoleId("people"), standing.people_missing),) if standing.people_missing else ())
