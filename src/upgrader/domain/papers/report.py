"""The report: what a reader is told of a closed change. Journal, plan and records, seen once more as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.plan import Versions
from upgrader.domain.changes.playbook import HostOutcome
from upgrader.domain.changes.request import ChangeWindow, Kind
from upgrader.domain.changes.verdict import Place, Verdict
from upgrader.domain.digest import Digest
from upgrader.domain.names import ChangeId
from upgrader.domain.papers.evidence import Ending
from upgrader.domain.releases.probe import ProbeKind
from upgrader.domain.releases.release import Build

Words = Mapping[str, str]
"""One text in both languages, by `zh` and `en`."""


class Deed(StrEnum):
    """What somebody put their signature under."""

    RELEASED = "released"
    VENDOR_TESTED = "vendor-tested"
    SITE_TESTED = "site-tested"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDREW = "withdrew"
    ACCEPTED = "accepted"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """One signature. `role` is a role's id; `fingerprint` the key's, as `SHA256:…`; `reason` what the signer wrote.

    `custodian` attested a word that was given on paper; the key is theirs then.
    """

    person: str
    name: Words
    role: str
    deed: Deed
    at: datetime
    fingerprint: str
    reason: str
    record: str
    custodian: Words | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedHost:
    """What became of one host. `detail` is one line; an empty version means that nothing was installed."""

    name: str
    address: str
    outcome: HostOutcome
    from_version: str
    current: str
    downtime_ms: int | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedWave:
    """One wave in the order of the plan; times are None when it never started or never ended."""

    number: int
    name: str
    started: datetime | None
    finished: datetime | None
    verdict: Verdict | None
    hosts: tuple[ReportedHost, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedProbe:
    """One probe over all hosts. `question` is what is asked, such as `PROPFIND http://{address}:{port}/ → 207`."""

    name: str
    kind: ProbeKind
    question: str
    login: bool
    verdict: Verdict
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedRollback:
    """What was taken back and why: `because` is a threshold's code, a probe's detail, or a person's words."""

    because: str
    decided_by: str
    started: datetime
    finished: datetime | None
    restored: tuple[str, ...]
    not_restored: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """A host that did not get the release, who owns it, and until when it must (a date, as YYYY-MM-DD)."""

    host: str
    outcome: HostOutcome
    owner: Words
    due: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedEntry:
    """One line of the journal. `facts` are shown as they are; known keys and values in the reader's language.

    Leave out what the host table tells better (`host reported` of hosts that went well).
    """

    seq: int
    at: datetime
    actor: str
    event: Event
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedSeal:
    """How to check the bundle that the report lies in: its file, whose key sealed it, and the root keys to trust."""

    bundle: str
    sealed_by: str
    fingerprint: str
    root_fingerprints: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """Everything that the report says, in plain values. The renderer adds labels, never facts.

    `ending` is None while the change is open; the report then says that it is not the last word. `started` and
    `finished` are when the first wave began and the last act on a host ended. `journal` is the head that `entries`
    lines lead to. `tests` and `approvals` alike stand in `signers`, in the order in which they were given.
    """

    hospital: Words
    change: ChangeId
    kind: Kind
    system: str
    system_name: Words
    from_versions: tuple[str, ...]
    to_version: str
    vendor: Words
    reason: str
    requester: Words
    window: ChangeWindow
    started: datetime | None
    finished: datetime | None
    closed: datetime | None
    closed_by: Words
    state: State
    ending: Ending | None
    signers: tuple[Signer, ...]
    waves: tuple[ReportedWave, ...]
    probes: tuple[ReportedProbe, ...]
    soak_seconds: int
    measurements: int
    rollback: ReportedRollback | None
    left_behind: tuple[LeftBehind, ...]
    timeline: tuple[ReportedEntry, ...]
    plan: Digest
    manifest: Digest
    builds: tuple[Build, ...]
    journal: Digest
    entries: int
    trust_version: int
    versions: Versions
    seal: ReportedSeal
    written: datetime
