"""Records: what one person says of one exact thing, as canonical JSON beside one detached signature.

All values are strings. A record repeats what a reader needs (release, hosts, window, downtime); the gate computes these
again from the plan and refuses a difference, so nobody signs a sentence that the plan does not say.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import TypeVar

from upgrader.domain import canonical, plain
from upgrader.domain.changes.plan import Plan
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused
from upgrader.domain.names import ChangeId, FileName, PersonId, RoleId, SiteId, SystemId, Version

LARGEST_RECORD = 64 * 1024


class Namespace(StrEnum):
    """One signature namespace per meaning (ssh-keygen(1), -n): a signature made for one never counts for another."""

    RELEASE = "release@upgrader.v1"
    TEST_RECORD = "test-record@upgrader.v1"
    APPROVAL = "approval@upgrader.v1"
    PAPER = "paper@upgrader.v1"
    ACCEPTANCE = "acceptance@upgrader.v1"
    DEBT = "debt@upgrader.v1"
    INSPECTION = "inspection@upgrader.v1"
    KNOWN_BAD = "known-bad@upgrader.v1"
    ENROLMENT = "enrolment@upgrader.v1"
    TRUST_ROOT = "trust-root@upgrader.v1"
    EVIDENCE = "evidence@upgrader.v1"


class Decision(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"


class ScanType(StrEnum):
    """What a scan of a signed form may be; the value is the end of its file name."""

    PDF = "pdf"
    PNG = "png"
    JPEG = "jpg"


class Result(StrEnum):
    PASSED = "passed"
    FAILED = "failed"


class TestStage(StrEnum):
    """Who tested: the vendor's own test department, or the on-site engineer at the hospital."""

    __test__ = False  # not a test class, whatever its name looks like to pytest

    VENDOR = "vendor-test"
    SITE = "site-test"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRecord:
    """One person's decision on one plan."""

    format: str
    site: SiteId
    repository: str
    change: ChangeId
    revision: str
    plan: Digest
    decision: Decision
    person: PersonId
    role: RoleId
    issued: datetime
    expires: datetime
    nonce: str
    reason: str
    release: str
    hosts: str
    window: str
    downtime: str

    FORMAT = "upgrader.approval/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRecord(ApprovalRecord):
    """One person's decision on one plan, given on paper and attested by the custodian, who signs this record.

    `scan` is the SHA-256 of the scan of the signed form, which lies beside the record; a yes always has one.
    """

    custodian: PersonId
    custodian_role: RoleId
    scan: Digest | None = None
    scan_type: ScanType | None = None

    FORMAT = "upgrader.paper/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRecord:
    """The result of a test of one release, bound to the digest of its manifest."""

    __test__ = False

    format: str
    site: SiteId
    stage: TestStage
    system: SystemId
    version: Version
    release: Digest
    result: Result
    cases: str
    person: PersonId
    role: RoleId
    issued: datetime
    nonce: str
    reason: str

    FORMAT = "upgrader.test-record/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceRecord:
    """The hospital's word that the result is accepted. `journal` is the head of the journal that they were shown."""

    format: str
    site: SiteId
    repository: str
    change: ChangeId
    plan: Digest
    journal: Digest
    result: str
    person: PersonId
    role: RoleId
    issued: datetime
    nonce: str
    reason: str

    FORMAT = "upgrader.acceptance/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class DebtRecord:
    """One person answers, after an emergency, for its plan and its run. `journal` is the line that ended the run."""

    format: str
    site: SiteId
    repository: str
    change: ChangeId
    plan: Digest
    journal: Digest
    result: str
    person: PersonId
    role: RoleId
    issued: datetime
    nonce: str
    reason: str

    FORMAT = "upgrader.debt/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionRecord:
    """One person's leave to inspect exactly these targets, until `expires`. `hosts` are their names, for people.

    `file` is the SHA-256 of inspection.yml, `targets` that of every host with every probe and all that fills it in.
    """

    format: str
    site: SiteId
    repository: str
    file: Digest
    targets: Digest
    hosts: str
    person: PersonId
    role: RoleId
    issued: datetime
    expires: datetime
    nonce: str
    reason: str

    FORMAT = "upgrader.inspection/1"


Record = ApprovalRecord | TestRecord | AcceptanceRecord | DebtRecord | InspectionRecord
R = TypeVar("R", ApprovalRecord, PaperRecord, TestRecord, AcceptanceRecord, DebtRecord, InspectionRecord)

NAMESPACES = {
    ApprovalRecord: Namespace.APPROVAL,
    PaperRecord: Namespace.PAPER,
    TestRecord: Namespace.TEST_RECORD,
    AcceptanceRecord: Namespace.ACCEPTANCE,
    DebtRecord: Namespace.DEBT,
    InspectionRecord: Namespace.INSPECTION,
}


OTHER_KINDS: dict[str, type[Record]] = {"accept": AcceptanceRecord, "paper": PaperRecord, "debt": DebtRecord}


def write_record(record: Record) -> bytes:
    return canonical.serialise(plain.to_plain(record))


def read_record(kind: type[R], content: bytes, name: str) -> R:
    """Read a record of one kind. Raises Refused: not canonical, too large, or not of this kind."""
    try:
        record = canonical.read_back(
            content, partial(plain.from_plain, kind), write_record, name=name, largest=LARGEST_RECORD
        )
    except (ValueError, TypeError) as error:
        raise Refused("record-malformed", file=name, found=str(error)[:200]) from error
    if record.format != kind.FORMAT:
        raise Refused("record-malformed", file=name, found=record.format)
    return record


def kind_of_file(name: str) -> type[Record] | None:
    """Which kind of record a file of this name holds; None for a file that is no record."""
    first = name.rsplit("/", 1)[-1].split("_", 1)[0]
    if not name.endswith(".json"):
        return None
    if first in set(Decision):
        return ApprovalRecord
    if first in set(TestStage):
        return TestRecord
    return OTHER_KINDS.get(first)


def read_any_record(content: bytes, name: str) -> Record:
    """Read a record of the kind that its file name says. Raises Refused, also for a name that is no record's."""
    match kind_of_file(name):
        case type() as kind if kind is ApprovalRecord:
            return read_record(ApprovalRecord, content, name)
        case type() as kind if kind is PaperRecord:
            return read_record(PaperRecord, content, name)
        case type() as kind if kind is TestRecord:
            return read_record(TestRecord, content, name)
        case type() as kind if kind is AcceptanceRecord:
            return read_record(AcceptanceRecord, content, name)
        case type() as kind if kind is DebtRecord:
            return read_record(DebtRecord, content, name)
        case _:
            raise Refused("record-malformed", file=name, found="a name that no record has")


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """The readable facts that every approval repeats."""

    release: str
    hosts: str
    window: str
    downtime: str


def plan_facts(plan: Plan) -> PlanFacts:
    opens, closes = plain.to_plain(plan.window.opens), plain.to_plain(plan.window.closes)
    return PlanFacts(
        release=_release_fact(plan),
        hosts=str(len(plan.hosts)),
        window=f"{opens}/{closes}",
        downtime=f"{plan.release.downtime_seconds}s",
    )


def _release_fact(plan: Plan) -> str:
    """The release; of a correction also how many rows it touches, so that this number is what everybody signs."""
    correction = plan.release.correction
    if correction is None:
        return plan.release_name
    rows = ", ".join(f"{table.name} {table.rows}" for table in correction.tables)
    return f"{plan.release_name} (data-fix, rows: {rows})"


def record_name(record: Record) -> str:
    """The file name under which a record is kept: who, as what, and which of their records."""
    first: str
    match record:
        case PaperRecord():
            first = "paper"
        case ApprovalRecord():
            first = record.decision
        case TestRecord():
            first = record.stage
        case AcceptanceRecord():
            first = "accept"
        case DebtRecord():
            first = "debt"
        case InspectionRecord():
            first = "inspect"
    return f"{first}_{record.person}_{record.role}_{record.nonce[:8]}.json"


def scan_name(record: PaperRecord) -> FileName | None:
    """The file name of a record's scan: that of the record, with the end of its own kind. None when it has none."""
    if record.scan is None or record.scan_type is None:
        return None
    return FileName(f"{record_name(record).removesuffix('.json')}.{record.scan_type}")


def role_of_hand(record: Record, custodian: RoleId | None) -> RoleId | None:
    """The role in which the key under a record signed: for a word on paper that of its `custodian`."""
    return custodian if isinstance(record, PaperRecord) else record.role


def hand_of(record: Record) -> PersonId:
    """Whose key is under a record: the custodian's for a word given on paper, else the person's own."""
    return record.custodian if isinstance(record, PaperRecord) else record.person
