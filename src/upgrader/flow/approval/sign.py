"""Sign: one person gives, refuses or takes back their word for exactly one plan, with their own key."""

import secrets
from dataclasses import dataclass

from upgrader.domain.approval.authorization import Signed, expiry, weigh
from upgrader.domain.approval.record import ApprovalRecord, Decision, Namespace, plan_facts, record_name, write_record
from upgrader.domain.approval.trust import Trust
from upgrader.domain.changes.plan import Plan, read_plan
from upgrader.domain.errors import BadInput, Refused
from upgrader.domain.names import RoleId
from upgrader.flow import repository
from upgrader.flow.approval.own_words import time_of_next_word
from upgrader.flow.identity import Hand, acting_person, sign_as
from upgrader.flow.site import Site


@dataclass(frozen=True, slots=True)
class Word:
    """What the person says."""

    decision: Decision
    role: RoleId | None
    reason: str


def plan_to_sign(site: Site, change: str) -> Plan:
    """The plan as it stands on the branch, for the person to read before they sign."""
    site.clone.pull()
    path = f"{repository.change_folder(change)}/plan.json"
    file = site.clone.root / path
    if not file.exists():
        raise BadInput("plan-not-made", change=change, file=path)
    return read_plan(file.read_bytes(), path)


def sign(site: Site, plan: Plan, word: Word) -> ApprovalRecord:
    """Sign a decision under the digest of `plan`, commit the record and push it.

    Refused at once, before anything is written, when the gate would leave it out: not this person's role or key,
    their own request, a window that is over or too far away, nothing to take back.
    """
    person = acting_person(site)
    trust = site.trust.load()
    facts, issued = plan_facts(plan), time_of_next_word(site, plan, person, word.decision)
    record = ApprovalRecord(
        format=ApprovalRecord.FORMAT,
        site=plan.site,
        repository=plan.repository,
        change=plan.change,
        revision=str(plan.revision),
        plan=plan.digest,
        decision=word.decision,
        person=person,
        role=role_for(trust, plan, person, word.role),
        issued=issued,
        expires=expiry(plan, issued, trust.rule(plan.kind)),
        nonce=secrets.token_hex(16),
        reason=word.reason,
        release=facts.release,
        hosts=facts.hosts,
        window=facts.window,
        downtime=facts.downtime,
    )
    content = write_record(record)
    path = f"{repository.change_folder(plan.change)}/{record_name(record)}"
    for file, fault in weigh(plan, trust, [Signed(path, record)], (), site.clock()).left_out:
        raise Refused(fault.code, **{**fault.fields, "file": file})
    signature = sign_as(site, trust, Hand(person, record.role), content, Namespace.APPROVAL, path)
    message = f"{plan.change}: {word.decision} by {person} as {record.role}"
    repository.publish(site, {path: content, f"{path}.sig": signature}, message)
    return record


def role_for(trust: Trust, plan: Plan, person_id: str, chosen: RoleId | None) -> RoleId:
    """The role in which this person's word counts for this plan. Raises when there is none, or a choice to make."""
    person = trust.person(person_id)
    wanted = [row.role for row in trust.rule(plan.kind).approvals]
    held = [role for role in wanted if person is not None and person.active and role in person.roles]
    if not held or (chosen is not None and chosen not in held):
        raise Refused("role-not-held", person=person_id, role=chosen if held else ", ".join(wanted), file="-")
    if chosen is not None:
        return chosen
    if len(held) > 1:
        raise BadInput("role-to-choose", person=person_id, roles=", ".join(held))
    return held[0]
