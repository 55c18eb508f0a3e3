"""Debts: which emergencies still owe the signatures of the normal rule, and how people give them afterwards."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from upgrader.domain.approval.debt import Debt, DebtStanding, debt_of, missing_rows, weigh_debt
from upgrader.domain.approval.record import DebtRecord, Namespace, record_name, write_record
from upgrader.domain.approval.trust import Trust
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import Plan
from upgrader.domain.changes.request import Kind
from upgrader.domain.errors import BadInput, Refused
from upgrader.domain.names import ChangeId, RoleId
from upgrader.flow import repository
from upgrader.flow.applying.roll_back import authorized_plan
from upgrader.flow.approval.authorize import debt_records
from upgrader.flow.identity import Hand, acting_person, sign_as
from upgrader.flow.site import Site
from upgrader.ports import Journal


@dataclass(frozen=True, slots=True)
class Answered:
    """One person's signature after an emergency, and what the debt still lacks."""

    record: DebtRecord
    standing: DebtStanding


def debts(site: Site) -> Sequence[Debt]:
    """The debts of every change that is not closed, as the journals alone have them."""
    return list(_debts(site))


def overdue(site: Site) -> Sequence[Debt]:
    """The debts that are due by now and not paid."""
    return [debt for debt in _debts(site) if debt.is_overdue(site.clock())]


def check_none_overdue(site: Site, plan: Plan) -> None:
    """Raises Refused `debt-overdue` while any emergency owes its signatures; an emergency itself may go on."""
    if plan.kind is not Kind.EMERGENCY and (late := overdue(site)):
        due = min(debt.due for debt in late)
        raise Refused("debt-overdue", change=plan.change, debts=", ".join(debt.change for debt in late), due=due)


def standing_of(site: Site, debt: Debt) -> DebtStanding:
    """Who has answered for an emergency so far, by the records on the branch."""
    with site.journal(debt.change) as journal:
        plan = authorized_plan(site, debt.change, journal.history())
    return _standing(site, site.trust.load(), debt, plan)


def unpaid_debt(site: Site, change: ChangeId) -> Debt | None:
    """The debt of a change that is not paid; None when there is none here."""
    with site.journal(change) as journal:
        debt = debt_of(change, journal.history())
    return None if debt is None or debt.paid else debt


def answer_for(site: Site, change: ChangeId, role: RoleId | None, reason: str) -> Answered:
    """Sign for plan and run of an emergency that is over; when nobody is missing, the debt is paid.

    1. is there a debt, and a run to answer for?   2. may this person?   3. sign   4. who is still missing?
    """
    person = acting_person(site)
    site.clone.pull()
    with site.journal(change) as journal:
        history = journal.history()
        debt = debt_of(change, history)
        if debt is None or debt.paid or not debt.runs:
            raise Refused("change-not-in-state", state=history.state, event=Event.DEBT_SETTLED, legal="-")
        plan, trust = authorized_plan(site, change, history), site.trust.load()
        if person == plan.requester:
            raise Refused("requester-signed", person=person, file="-")
        record = DebtRecord(
            format=DebtRecord.FORMAT,
            site=plan.site,
            repository=plan.repository,
            change=plan.change,
            plan=plan.digest,
            journal=debt.runs[-1],
            result=str(history.state),
            person=person,
            role=_role(trust, person, role),
            issued=site.clock(),
            nonce=secrets.token_hex(16),
            reason=reason,
        )
        content = write_record(record)
        path = f"{repository.change_folder(change)}/{record_name(record)}"
        signature = sign_as(site, trust, Hand(person, record.role), content, Namespace.DEBT, path)
        message = f"{change}: answered for by {person} as {record.role}"
        repository.publish(site, {path: content, f"{path}.sig": signature}, message)
        return Answered(record, settle(site, journal, debt, plan))


def settle(site: Site, journal: Journal, debt: Debt, plan: Plan) -> DebtStanding:
    """Weigh a debt, and write down that it is paid once nobody is missing."""
    trust = site.trust.load()
    standing = _standing(site, trust, debt, plan)
    if standing.is_paid and not debt.paid:
        data = {
            "people": list(standing.people),
            "files": [signed.file for signed in standing.counted],
            "trust_version": trust.version,
        }
        journal.write(Event.DEBT_SETTLED, data, at=site.clock(), actor=acting_person(site))
    return standing


def check_paid(site: Site, journal: Journal, plan: Plan) -> None:
    """Raises Refused `debt-unpaid`: an emergency is not closed before the signatures that it owes are there."""
    debt = debt_of(plan.change, journal.history())
    if debt is None or debt.paid:
        return
    standing = settle(site, journal, debt, plan)
    if not standing.is_paid:
        missing = ", ".join(f"{row.role} {row.count}" for row in missing_rows(standing))
        raise Refused("debt-unpaid", change=plan.change, missing=missing, due=debt.due)


def _debts(site: Site) -> Iterator[Debt]:
    for name in site.journals.unclosed_with(Event.DEBT_OPENED):
        change = ChangeId(name)
        with site.journal(change) as journal:
            history: History = journal.history()
        if debt := debt_of(change, history):
            yield debt


def _standing(site: Site, trust: Trust, debt: Debt, plan: Plan) -> DebtStanding:
    return weigh_debt(debt, plan, trust, debt_records(site, trust, site.mirror.refresh(), debt.change))


def _role(trust: Trust, person_id: str, chosen: RoleId | None) -> RoleId:
    """The role of the normal rule in which this person answers. Raises when there is none, or a choice to make."""
    person = trust.person(person_id)
    wanted = [row.role for row in trust.rule(Kind.NORMAL).approvals]
    held = [role for role in wanted if person is not None and person.active and role in person.roles]
    if not held or (chosen is not None and chosen not in held):
        raise Refused("role-not-held", person=person_id, role=chosen if held else ", ".join(wanted), file="-")
    if chosen is None and len(held) > 1:
        raise BadInput("role-to-choose", person=person_id, roles=", ".join(held))
    return chosen or held[0]
