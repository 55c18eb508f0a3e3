"""Authorization: the proof that enough different people gave their word for exactly this plan.

Only `authorize` makes one. Whoever applies a plan must hold it in their hand.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Self, TypeVar

from upgrader.domain.approval.record import (
    ApprovalRecord,
    Decision,
    PaperRecord,
    PlanFacts,
    Record,
    Result,
    TestRecord,
    hand_of,
    plan_facts,
)
from upgrader.domain.approval.trust import TESTERS, Row, Rule, Trust, unfilled
from upgrader.domain.changes.plan import Plan
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused
from upgrader.domain.names import ChangeId, PersonId, RoleId

R_co = TypeVar("R_co", bound=Record, covariant=True)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a record does not count. `tampered` refuses everything; otherwise the record is only left out."""

    code: str
    fields: Mapping[str, str]
    tampered: bool = False

    @classmethod
    def of(cls, error: Refused) -> Self:
        return cls(error.code, error.fields, tampered=True)


@dataclass(frozen=True, slots=True)
class Signed(Generic[R_co]):
    """A record from the approved commit. `fault` says why its signature or form does not hold; None when it does."""

    file: str
    record: R_co | None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a plan stands with its signers: who counts, what does not and why, who is missing."""

    plan: Digest
    change: ChangeId
    counted: tuple[Signed[ApprovalRecord], ...]
    left_out: tuple[tuple[str, Fault], ...]
    rejected_by: tuple[PersonId, ...]
    missing: tuple[Row, ...]
    people_missing: int
    tests_missing: tuple[str, ...]

    @property
    def paper_alone(self) -> bool:
        """Whether nobody has given their word with a key of their own: paper then rests on the custodian alone."""
        return all(isinstance(signed.record, PaperRecord) for signed in self.counted)

    @property
    def is_complete(self) -> bool:
        return not (
            self.missing
            or self.paper_alone
            or self.people_missing
            or self.tests_missing
            or self.rejected_by
            or any(fault.tampered for _, fault in self.left_out)
        )


@dataclass(frozen=True, slots=True)
class Authorization:
    """Proof that a plan may run."""

    plan: Digest
    change: ChangeId
    commit: str
    trust_version: int
    approvals: tuple[str, ...]
    people: tuple[PersonId, ...]


def weigh(
    plan: Plan,
    trust: Trust,
    approvals: Iterable[Signed[ApprovalRecord]],
    tests: Iterable[Signed[TestRecord]],
    now: datetime,
) -> Standing:
    """Weigh all records of a change under the trust file at `now`. Decides nothing.

    Raises Refused only for a kind of change that has no rule.
    """
    rule = trust.rule(plan.kind)
    digest, facts = plan.digest, plan_facts(plan)
    held, left_out = [], []
    for signed in approvals:
        if signed.record is None or signed.fault is not None:
            left_out.append((signed.file, signed.fault or Fault("record-unreadable", {}, tampered=True)))
        elif fault := _approval_fault(signed.record, plan, digest, facts, trust, rule, now):
            left_out.append((signed.file, fault))
        else:
            held.append(signed)
    counted, rejected_by, superseded = _settle(held)
    counted, by_one_hand = _two_hands(counted)
    tests_missing, test_faults = _missing_tests(plan, rule, trust, tests)
    holders = _holders(counted)
    return Standing(
        plan=digest,
        change=plan.change,
        counted=tuple(counted),
        left_out=(*left_out, *superseded, *by_one_hand, *test_faults),
        rejected_by=tuple(rejected_by),
        missing=unfilled(rule.approvals, holders),
        people_missing=max(0, rule.people - len(holders)),
        tests_missing=tests_missing,
    )


def authorize(standing: Standing, *, applier: str, commit: str, trust_version: int) -> Authorization:
    """Give the proof, or raise Refused with the first reason in the order in which people should act on them."""
    fields = {"change": standing.change, "plan": standing.plan.short}
    for file, fault in standing.left_out:
        if fault.tampered:
            raise Refused(fault.code, **{**fields, **fault.fields, "file": file})
    if standing.rejected_by:
        raise Refused("plan-rejected", **fields, people=", ".join(standing.rejected_by))
    if standing.tests_missing:
        raise Refused("tests-missing", **fields, tests=", ".join(standing.tests_missing))
    if standing.missing or standing.people_missing:
        missing = ", ".join(f"{row.role} {row.count}" for row in standing.missing)
        fell = "; ".join(f"{file} ({fault.code})" for file, fault in standing.left_out)
        raise Refused(
            "approvals-missing",
            **fields,
            missing=missing or f"people {standing.people_missing}",
            fell=fell or "-",
        )
    if standing.paper_alone:
        raise Refused("paper-alone", **fields)
    people = tuple(sorted(_holders(standing.counted)))
    if {hand_of(signed.record) for signed in standing.counted if signed.record is not None} == {applier}:
        raise Refused("applier-only-approver", **fields, person=applier)
    return Authorization(
        standing.plan,
        standing.change,
        commit,
        trust_version,
        tuple(sorted(signed.file for signed in standing.counted)),
        people,
    )


def _approval_fault(
    record: ApprovalRecord,
    plan: Plan,
    digest: Digest,
    facts: PlanFacts,
    trust: Trust,
    rule: Rule,
    now: datetime,
) -> Fault | None:
    """The first reason why a well signed record does not count for this plan."""
    if (record.site, record.repository, record.change) != (plan.site, plan.repository, plan.change):
        found = f"{record.site} {record.repository} {record.change}"
        return Fault("record-elsewhere", {"found": found}, tampered=True)
    if record.plan != digest:
        return Fault("plan-digest", {"expected": digest.short, "found": record.plan.short})
    told = (record.revision, record.release, record.hosts, record.window, record.downtime)
    if told != (str(plan.revision), facts.release, facts.hosts, facts.window, facts.downtime):
        return Fault("facts-differ", {"person": record.person}, tampered=True)
    person = trust.person(record.person)
    if person is None or (not person.active and record.decision is not Decision.REJECT):  # a no outlives its author
        return Fault("person-not-active", {"person": record.person})
    if record.role not in person.roles:
        return Fault("role-not-held", {"person": record.person, "role": record.role})
    if isinstance(record, PaperRecord) and (fault := _paper_fault(record, plan, trust)):
        return fault
    if record.person == plan.requester and record.decision is Decision.APPROVE:
        return Fault("requester-signed", {"person": record.person})
    if record.person == plan.release.packager and record.decision is Decision.APPROVE:
        return Fault("packager-signed", {"person": record.person})
    return _time_fault(record, plan, rule, now)


def _paper_fault(record: PaperRecord, plan: Plan, trust: Trust) -> Fault | None:
    """Why a word on paper does not count, though the custodian's signature holds."""
    if trust.paper is None or record.role not in trust.paper.roles:
        return Fault("paper-not-allowed", {"person": record.person, "role": record.role})
    custodian = trust.person(record.custodian)
    active = custodian is not None and (custodian.active or record.decision is Decision.REJECT)  # a no outlives them
    held = active and custodian is not None and trust.paper.custodian in custodian.roles
    if not held or record.custodian_role != trust.paper.custodian:
        return Fault("paper-not-custodian", {"person": record.custodian, "role": trust.paper.custodian})
    if record.custodian == record.person:
        return Fault("paper-own-word", {"person": record.person})
    if record.custodian == plan.requester:
        return Fault("paper-by-requester", {"person": record.custodian})
    if record.decision is Decision.APPROVE and record.scan is None:
        return Fault("paper-without-scan", {"person": record.person})
    return None


def expiry(plan: Plan, issued: datetime, rule: Rule) -> datetime:
    """Until when a word counts that is given now: the end of the window, or of the hours for late hosts.

    No longer than the rule lets a word count; who is late after that needs another one.
    """
    if plan.late is None:
        return plan.window.closes
    return max(plan.window.closes, min(plan.late.until, issued + timedelta(hours=rule.approval_hours)))


def _time_fault(record: ApprovalRecord, plan: Plan, rule: Rule, now: datetime) -> Fault | None:
    """Only a yes needs its time: a no, or a word taken back, stands whatever a clock says."""
    if record.decision is not Decision.APPROVE:
        return None
    if record.issued > now + timedelta(minutes=5):
        return Fault("approval-from-the-future", {"person": record.person, "issued": str(record.issued)})
    if record.expires - record.issued > timedelta(hours=rule.approval_hours):
        return Fault("approval-too-long", {"person": record.person, "hours": str(rule.approval_hours)})
    if now >= record.expires:
        return Fault("approval-expired", {"person": record.person, "expires": str(record.expires)})
    if record.expires < plan.window.closes:
        return Fault("approval-ends-before-window", {"person": record.person, "expires": str(record.expires)})
    return None


def _settle(
    held: Iterable[Signed[ApprovalRecord]],
) -> tuple[list[Signed[ApprovalRecord]], list[PersonId], list[tuple[str, Fault]]]:
    """Let each person's withdrawals void their own earlier records; give what counts, who rejects, what was voided."""
    records = [(signed, signed.record) for signed in held if signed.record is not None]
    withdrawals = [record for _, record in records if record.decision is Decision.WITHDRAW]
    counted, rejected_by, voided = [], [], []
    for signed, record in records:
        if record.decision is Decision.WITHDRAW:
            continue
        if any(_voids(withdrawal, record) for withdrawal in withdrawals):
            voided.append((signed.file, Fault("approval-withdrawn", {"person": record.person})))
        elif record.decision is Decision.REJECT:
            rejected_by.append(record.person)
        else:
            counted.append(signed)
    return counted, rejected_by, voided


def _voids(withdrawal: ApprovalRecord, record: ApprovalRecord) -> bool:
    """Whether a withdrawal takes this word back: the same person's, and not said later.

    The custodian's word that somebody took back their no lifts only a no on paper, and needs paper itself: otherwise
    one pair of hands could silence whoever rejected.
    """
    if withdrawal.person != record.person or record.issued > withdrawal.issued:
        return False
    if record.issued == withdrawal.issued and record.decision is Decision.REJECT:
        return False  # times are whole seconds: in the same one a yes falls, and a no stands
    if record.decision is Decision.REJECT and isinstance(withdrawal, PaperRecord):
        return isinstance(record, PaperRecord) and withdrawal.scan is not None
    return True


def _two_hands(
    counted: Iterable[Signed[ApprovalRecord]],
) -> tuple[list[Signed[ApprovalRecord]], list[tuple[str, Fault]]]:
    """Leave out paper whose custodian also approved: one pair of hands would have made both."""
    counted = list(counted)
    own_word = {s.record.person for s in counted if s.record is not None and not isinstance(s.record, PaperRecord)}
    kept, fell = [], []
    for signed in counted:
        if isinstance(signed.record, PaperRecord) and signed.record.custodian in own_word:
            fell.append((signed.file, Fault("paper-custodian-approved", {"person": signed.record.custodian})))
        else:
            kept.append(signed)
    return kept, fell


def _holders(counted: Iterable[Signed[ApprovalRecord]]) -> dict[PersonId, frozenset[RoleId]]:
    """Who gave their word in which roles; a person stands here once, whatever number of records they signed."""
    holders: dict[PersonId, frozenset[RoleId]] = {}
    for signed in counted:
        if signed.record is not None:
            roles = holders.get(signed.record.person, frozenset())
            holders[signed.record.person] = roles | {signed.record.role}
    return holders


def _missing_tests(
    plan: Plan, rule: Rule, trust: Trust, tests: Iterable[Signed[TestRecord]]
) -> tuple[tuple[str, ...], list[tuple[str, Fault]]]:
    """Which tests the rule asks for and no signed record of this very release shows as passed."""
    passed, faults = set(), []
    for signed in tests:
        record = signed.record
        if record is None or signed.fault is not None:
            faults.append((signed.file, signed.fault or Fault("record-unreadable", {}, tampered=True)))
            continue
        person = trust.person(record.person)
        if person is None or not person.active or record.role not in person.roles:
            faults.append((signed.file, Fault("role-not-held", {"person": record.person, "role": record.role})))
        elif trust.organisation_of(record.role) is not TESTERS[record.stage]:
            role = f"{TESTERS[record.stage]} ({record.stage})"
            faults.append((signed.file, Fault("role-not-held", {"person": record.person, "role": role})))
        elif record.release != plan.release.manifest or record.site != plan.site:
            faults.append((signed.file, Fault("test-other-release", {"found": record.release.short})))
        elif record.result is Result.FAILED:
            faults.append((signed.file, Fault("test-failed", {"person": record.person}, tampered=True)))
        else:
            passed.add(record.stage)
    return tuple(str(stage) for stage in rule.tests if stage not in passed), faults
