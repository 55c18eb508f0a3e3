"""Accept: the hospital signs that the result is what it wanted, over the plan and the head of the journal."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from upgrader.domain.approval.authorization import Fault, Signed
from upgrader.domain.approval.record import AcceptanceRecord, Namespace, record_name, write_record
from upgrader.domain.approval.trust import Row, Trust, unfilled
from upgrader.domain.changes.change import view
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event, may
from upgrader.domain.changes.plan import Plan
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused
from upgrader.domain.names import PersonId, RoleId
from upgrader.flow import repository
from upgrader.flow.applying.roll_back import authorized_plan
from upgrader.flow.approval.authorize import change_records
from upgrader.flow.identity import Hand, acting_person, sign_as
from upgrader.flow.site import Site
from upgrader.ports import Journal


@dataclass(frozen=True, slots=True)
class Accepted:
    record: AcceptanceRecord
    missing: Sequence[Row]


def accept_change(site: Site, change: str, role: RoleId | None, reason: str) -> Accepted:
    """Sign the acceptance; when every row of the rule is filled, the change is accepted.

    1. is it stable, or taken back as far as it could be?   2. does somebody answer for every host that was left behind?
    3. may this person accept?   4. sign over the journal's head   5. who is still missing?
    """
    person = acting_person(site)
    site.clone.pull()
    with site.journal(change) as journal:
        history = journal.history()
        plan = check_may_be_accepted(site, change, history)
        trust = site.trust.load()
        rows = trust.rule(plan.kind).acceptance
        role = _role(trust, rows, person, role)
        _, before = change_records(site, trust, site.mirror.refresh(), change)
        record = _said_already(before, plan.digest, accepted_head(history), Hand(person, role))
        if record is None:
            record = _sign(site, trust, plan, history, Hand(person, role), reason)
        _, acceptances = change_records(site, trust, site.mirror.refresh(), change)
        counted, missing = weigh_acceptance(trust, rows, acceptances, record.plan, history)
        if not missing:
            _write_down(site, journal, trust, counted, person)
    return Accepted(record, missing)


def check_may_be_accepted(site: Site, change: str, history: History) -> Plan:
    """The plan under which it ran. Raises Refused `change-not-in-state`, `hosts-without-owner`."""
    if not may(history.state, Event.CHANGE_ACCEPTED):
        raise Refused("change-not-in-state", state=history.state, event=Event.CHANGE_ACCEPTED, legal="-")
    plan = authorized_plan(site, change, history)
    if unowned := view(history, plan).unowned:
        raise Refused("hosts-without-owner", change=change, hosts=" ".join(unowned))
    return plan


def _said_already(
    acceptances: Iterable[Signed[AcceptanceRecord]], plan: Digest, head: Digest, hand: Hand
) -> AcceptanceRecord | None:
    """What this person signed for this very result, when it is on the branch already: a word is not given twice."""
    for signed in acceptances:
        record = signed.record
        if record is None or signed.fault is not None:
            continue
        if (record.plan, record.journal, record.person, record.role) == (plan, head, hand.person, hand.role):
            return record
    return None


def _sign(site: Site, trust: Trust, plan: Plan, history: History, hand: Hand, reason: str) -> AcceptanceRecord:
    record = AcceptanceRecord(
        format=AcceptanceRecord.FORMAT,
        site=plan.site,
        repository=plan.repository,
        change=plan.change,
        plan=plan.digest,
        journal=accepted_head(history),
        result=plan_result(history),
        person=hand.person,
        role=hand.role or RoleId("-"),
        issued=site.clock(),
        nonce=secrets.token_hex(16),
        reason=reason,
    )
    content = write_record(record)
    path = f"{repository.change_folder(plan.change)}/{record_name(record)}"
    signature = sign_as(site, trust, hand, content, Namespace.ACCEPTANCE, path)
    message = f"{plan.change}: accepted by {record.person} as {record.role}"
    repository.publish(site, {path: content, f"{path}.sig": signature}, message)
    return record


def _write_down(
    site: Site, journal: Journal, trust: Trust, counted: Sequence[Signed[AcceptanceRecord]], person: PersonId
) -> None:
    """That the change is accepted, and by which records; once for the same records."""
    files = [signed.file for signed in counted]
    last = journal.history().last(Event.CHANGE_ACCEPTED)
    if last is not None and last.data["files"] == files:
        return
    data = {
        "people": sorted({signed.record.person for signed in counted if signed.record}),
        "files": files,
        "trust_version": trust.version,
    }
    journal.write(Event.CHANGE_ACCEPTED, data, at=site.clock(), actor=person)


def accepted_head(history: History) -> Digest:
    """The digest of the journal's line with which the result was known: stable, or all stuck hosts excepted.

    All that was done stands before it in the chain. An exception that is taken later makes another result.
    """
    entry = history.last(Event.FOUND_STABLE, Event.HOST_EXCEPTED, Event.STUCK_HOSTS_EXCEPTED)
    if entry is None:
        raise Refused("change-not-in-state", state=history.state, event=Event.CHANGE_ACCEPTED, legal="-")
    return Digest.of(entry.to_line())


def plan_result(history: History) -> str:
    """The result in one word, as the acceptance repeats it."""
    return str(history.state)


def weigh_acceptance(
    trust: Trust,
    rows: Iterable[Row],
    acceptances: Iterable[Signed[AcceptanceRecord]],
    plan: Digest,
    history: History,
) -> tuple[Sequence[Signed[AcceptanceRecord]], Sequence[Row]]:
    """Which acceptances count, and which rows stay empty. At least one of those who accept must not have applied.

    Raises Refused for a record whose signature does not hold.
    """
    applied = history.last(Event.APPLY_STARTED)
    head = accepted_head(history)
    counted = []
    for signed in acceptances:
        if signed.record is None or signed.fault is not None:
            fault = signed.fault or Fault("record-unreadable", {}, tampered=True)
            if fault.tampered:
                raise Refused(fault.code, **{**fault.fields, "file": signed.file})
        elif signed.record.plan == plan and signed.record.journal == head and _holds(trust, signed.record):
            counted.append(signed)
    holders: dict[PersonId, frozenset[RoleId]] = {}
    for signed in counted:
        if signed.record is not None and (applied is None or signed.record.person != applied.actor):
            roles = holders.get(signed.record.person, frozenset())
            holders[signed.record.person] = roles | {signed.record.role}
    return counted, unfilled(rows, holders)


def _holds(trust: Trust, record: AcceptanceRecord) -> bool:
    person = trust.person(record.person)
    return person is not None and person.active and record.role in person.roles


def _role(trust: Trust, rows: Iterable[Row], person_id: str, chosen: RoleId | None) -> RoleId:
    person = trust.person(person_id)
    wanted = [row.role for row in rows]
    held = [role for role in wanted if person is not None and person.active and role in person.roles]
    if not held or (chosen is not None and chosen not in held):
        raise Refused("role-not-held", person=person_id, role=chosen if held else ", ".join(wanted), file="-")
    return chosen or held[0]
