"""Sign paper: a custodian attests, with their own key, what somebody else decided on the printed form."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from upgrader.domain.approval.authorization import Signed, expiry, weigh
from upgrader.domain.approval.record import (
    Namespace,
    PaperRecord,
    ScanType,
    plan_facts,
    record_name,
    scan_name,
    write_record,
)
from upgrader.domain.approval.trust import PaperRule, Trust
from upgrader.domain.changes.plan import Plan
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused
from upgrader.domain.names import PersonId
from upgrader.domain.papers.paper import LARGEST_SCAN, check_codes, scan_type
from upgrader.flow import repository
from upgrader.flow.approval.authorize import change_records
from upgrader.flow.approval.own_words import time_of_next_word
from upgrader.flow.approval.sign import Word, role_for
from upgrader.flow.identity import Hand, acting_person, sign_as
from upgrader.flow.site import Site


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan whose QR codes name the plan for which it was read."""

    content: bytes
    kind: ScanType


def read_scan(site: Site, plan: Plan, path: Path) -> Scan:
    """Read a scan and the codes on it. Raises Refused unless they name exactly this plan."""
    with path.open("rb") as file:
        content = file.read(LARGEST_SCAN + 1)
    kind = scan_type(content, path.name)
    check_codes(site.paper.read_codes(content, kind, path.name), plan, path.name)
    return Scan(content, kind)


def sign_paper(site: Site, plan: Plan, person: PersonId, word: Word, scan: Scan | None) -> PaperRecord:
    """Attest the decision of `person`, commit record and scan, and push them.

    Refused at once, before anything is written, when the gate would leave it out: no paper for that role, not the
    custodian's role, their own word, a plan that they approved themselves or asked for.
    """
    custodian = acting_person(site)
    trust = site.trust.load()
    record = _record(site, trust, plan, person, custodian, word, scan)
    content = write_record(record)
    path = f"{repository.change_folder(plan.change)}/{record_name(record)}"
    decided, _ = change_records(site, trust, site.mirror.refresh(), plan.change)
    for file, fault in weigh(plan, trust, [*decided, Signed(path, record)], (), site.clock()).left_out:
        if file == path:
            raise Refused(fault.code, **{**fault.fields, "file": file})
    hand = Hand(custodian, record.custodian_role)
    signature = sign_as(site, trust, hand, content, Namespace.PAPER, path)
    files = {path: content, f"{path}.sig": signature}
    if scan is not None:
        files[f"{repository.change_folder(plan.change)}/{scan_name(record)}"] = scan.content
    message = f"{plan.change}: {word.decision} by {person} as {record.role}, on paper, attested by {custodian}"
    repository.publish(site, files, message)
    return record


def _record(
    site: Site, trust: Trust, plan: Plan, person: PersonId, custodian: PersonId, word: Word, scan: Scan | None
) -> PaperRecord:
    facts, issued = plan_facts(plan), time_of_next_word(site, plan, person, word.decision)
    role = role_for(trust, plan, person, word.role)
    return PaperRecord(
        format=PaperRecord.FORMAT,
        site=plan.site,
        repository=plan.repository,
        change=plan.change,
        revision=str(plan.revision),
        plan=plan.digest,
        decision=word.decision,
        person=person,
        role=role,
        issued=issued,
        expires=expiry(plan, issued, trust.rule(plan.kind)),
        nonce=secrets.token_hex(16),
        reason=word.reason,
        release=facts.release,
        hosts=facts.hosts,
        window=facts.window,
        downtime=facts.downtime,
        custodian=custodian,
        custodian_role=_paper_rule(trust, person, role).custodian,
        scan=Digest.of(scan.content) if scan else None,
        scan_type=scan.kind if scan else None,
    )


def _paper_rule(trust: Trust, person: PersonId, role: str) -> PaperRule:
    """Raises Refused `paper-not-allowed` where nobody signs on paper."""
    if trust.paper is None:
        raise Refused("paper-not-allowed", person=person, role=role, file="-")
    return trust.paper
