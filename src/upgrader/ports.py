"""What the verbs need from the world, as small Protocols in our words. The adapters are their real forms."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

from upgrader.domain.approval.claim import Claim
from upgrader.domain.approval.record import Namespace, ScanType
from upgrader.domain.approval.trust import Trust
from upgrader.domain.changes.brake import Brake
from upgrader.domain.changes.heartbeat import Beat
from upgrader.domain.changes.journal import Entry, History
from upgrader.domain.changes.late import Workstation
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.lock import HeldLock
from upgrader.domain.changes.notification import Delivery, Notification, Topic
from upgrader.domain.changes.particulars import Particulars
from upgrader.domain.changes.plan import PlannedHost
from upgrader.domain.changes.playbook import HostReport, PlaybookResult, PlaybookRun
from upgrader.domain.changes.request import Request
from upgrader.domain.changes.verdict import Measurement
from upgrader.domain.digest import Digest
from upgrader.domain.errors import UpgraderError
from upgrader.domain.hospital.calendar import Calendar
from upgrader.domain.hospital.inspection import Item
from upgrader.domain.hospital.platform import Platform
from upgrader.domain.hospital.sighting import Sightings
from upgrader.domain.names import HostName, SystemId
from upgrader.domain.papers.evidence import Statement
from upgrader.domain.papers.sheet import Sheet
from upgrader.domain.releases.draft import Proposal, Surroundings
from upgrader.domain.releases.probe import Probe
from upgrader.domain.releases.release import Build, Release

T = TypeVar("T")
Clock = Callable[[], datetime]
Progress = Callable[[str, Mapping[str, object]], None]  # a text key and its fields


class Blob(Protocol):
    """One file of a commit, re-hashed when it was read."""

    @property
    def path(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def content(self) -> bytes: ...


class Snapshot(Protocol):
    """One commit of the protected branch."""

    @property
    def commit(self) -> str: ...
    def paths(self, *prefixes: str) -> Sequence[str]: ...
    def files(self, *prefixes: str) -> Sequence[Blob]: ...
    def read(self, path: str) -> bytes | None: ...


class Mirror(Protocol):
    """The gate's own copy of the protected branch."""

    def refresh(self) -> Snapshot: ...
    def at(self, commit: str) -> Snapshot: ...
    def tip(self) -> Snapshot: ...
    def removed_records(self, commit: str, folder: str) -> Sequence[str]: ...
    def export(self, snapshot: Any, prefixes: Iterable[str], target: Path) -> Digest: ...
    def tree_digest(self, snapshot: Any, prefixes: Iterable[str]) -> Digest: ...


class Clone(Protocol):
    """A person's own checkout, for their convenience; no decision is read from it."""

    @property
    def root(self) -> Path: ...
    def pull(self) -> str: ...
    def commit(self, paths: Iterable[Path], message: str) -> str: ...
    def push(self) -> None: ...


class Signatures(Protocol):
    def sign(self, content: bytes, namespace: Namespace, key: Path) -> bytes: ...
    def verify(self, claim: Claim, at: datetime) -> str: ...
    def public_key(self, key: Path) -> str: ...
    def fingerprint(self, public: str) -> str: ...


class TrustStore(Protocol):
    def load(self) -> Trust: ...
    def chain(self) -> Sequence[Trust]: ...
    def check_current(self, trust: Trust, now: datetime) -> None: ...
    def files(self) -> Sequence[Path]: ...
    def fingerprint(self) -> Digest: ...
    def check_proofs(self) -> None: ...
    def signers(self, version: int) -> Sequence[str]: ...
    def check_next(self, trust: Trust, signatures: Sequence[bytes]) -> None: ...
    def install(self, trust: Trust, signatures: Sequence[bytes]) -> None: ...


class Builds(Protocol):
    def put(self, path: Path) -> Digest: ...
    def open_verified(self, digest: Digest, size: int) -> Path: ...


@dataclass(frozen=True, slots=True)
class Patch:
    """A file that makes the archive inside `build` of that inside `base`; `archive` is the digest of what it gives."""

    build: Digest
    base: Digest
    archive: Digest
    path: Path


class Patches(Protocol):
    def patch(self, base: Build, build: Build) -> Patch | None: ...


class Bundle(Protocol):
    """An evidence bundle that was read: its statement, the seal over it, and its files by name."""

    @property
    def statement(self) -> Statement: ...
    @property
    def statement_bytes(self) -> bytes: ...
    @property
    def signature(self) -> bytes: ...
    @property
    def files(self) -> Mapping[str, bytes]: ...


class Bundles(Protocol):
    def write_bundle(
        self,
        path: Path,
        files: Mapping[str, bytes],
        statement: bytes,
        signature: bytes,
        *,
        secrets: Iterable[str],
    ) -> Digest: ...
    def check_bundle(self, path: Path, check_seal: Callable[[Any], object]) -> Bundle: ...


class Journal(Protocol):
    def history(self) -> History: ...
    def write(self, event: Event, data: Mapping[str, Any], *, at: datetime, actor: str) -> Entry: ...
    def is_vouched(self) -> bool: ...
    def vouch(self) -> None: ...


class Journals(Protocol):
    """All journals of this controller, looked through for one thing."""

    def unclosed_with(self, event: str) -> Sequence[str]: ...
    def newest_trust_version(self) -> int: ...
    def earlier(self, system: str, events: Iterable[Event], *, but: str, most: int) -> Sequence[Sequence[Entry]]: ...


class Locks(Protocol):
    def hold(
        self, names: Iterable[str], *, purpose: str, holder: str, now: datetime
    ) -> AbstractContextManager[None]: ...
    def list_held(self) -> Sequence[HeldLock]: ...


class Brakes(Protocol):
    """What people ask of work that may be running in another process. An ask that can't be read is Refused."""

    def ask(self, brake: Brake) -> Brake: ...
    def asked(self, change: str) -> Sequence[Brake]: ...
    def stopped(self) -> Brake | None: ...
    def done(self, brake: Brake) -> None: ...
    def lift(self, lifted: Brake) -> None: ...
    def holding(self, change: str) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Tree:
    """The files that Ansible may read, exported from one commit, read-only. `digest` covers modes, names and bytes."""

    path: Path
    digest: Digest

    @property
    def known_hosts(self) -> Path:
        return self.path / "inventory" / "known_hosts"


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryHost:
    """A host as the inventory describes it. `parameters` are the site's values for it, `groups` all it belongs to.

    `host_key` is empty for a host that is not reached by SSH: none but Windows hosts, and nothing runs on those yet.
    """

    name: str
    address: str
    port: int
    user: str
    host_key: str
    root: str
    parameters: Mapping[str, str]
    groups: frozenset[str] = frozenset()
    workstation: Workstation | None = None
    platform: Platform | None = None


@dataclass(frozen=True, slots=True)
class GroupedHost:
    """A host as a list shows it: its name, the groups to which it belongs, and its platform."""

    name: str
    groups: frozenset[str]
    platform: Platform | None


class Inventory(Protocol):
    def grouped(self, tree: Path) -> Sequence[GroupedHost]: ...
    def resolve(self, tree: Path, pattern: str) -> Sequence[InventoryHost]: ...
    def sudo_secrets(self, tree: Path, names: Sequence[str]) -> Sequence[str]: ...


class SeenHosts(Protocol):
    """What hosts said when they were last asked, outside any change. For lists; no decision rests on it."""

    def remember(self, seen: Sightings) -> None: ...
    def recall(self, system: SystemId) -> Sightings: ...


class Secrets(Protocol):
    """The site's secrets by name, and every text that may stand in no evidence."""

    def read(self, names: Iterable[str]) -> Mapping[str, str]: ...
    def known(self) -> Sequence[str]: ...


class Fleet(Protocol):
    def run(self, run: PlaybookRun, on_report: Callable[[HostReport], None]) -> PlaybookResult: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedHost:
    """A host to be asked, and the facts that fill in the texts of the probes."""

    name: str
    address: str
    port: int
    user: str
    facts: Mapping[str, str]


class Heartbeat(Protocol):
    """When the service last looked. It is for people: nothing is decided by it."""

    def beat(self, beat: Beat) -> None: ...
    def last(self) -> Beat | None: ...


class Notifiers(Protocol):
    """Whom the controller tells of what. A message that does not arrive is PreflightFailed."""

    def names(self) -> Sequence[str]: ...
    def who_wants(self, topic: Topic) -> Sequence[str]: ...
    def pause(self, name: str) -> float: ...
    def send(self, name: str, notification: Notification, words: Mapping[str, str]) -> None: ...


class Deliveries(Protocol):
    """Which messages arrived. For people; nothing is decided by it."""

    def tried(self, change: str) -> Sequence[Delivery]: ...
    def remember(self, change: str, delivery: Delivery) -> None: ...


class Workers(Protocol[T]):
    """Work that goes on beside the service, a piece a name; what breaks one piece leaves the others alone."""

    @property
    def busy(self) -> Set[str]: ...
    def start(self, name: str, work: Callable[[], T]) -> None: ...
    def ended(self) -> Sequence[tuple[str, T | None]]: ...


class HostClocks(Protocol):
    """By how much the clocks of hosts are ahead of ours, and how much may be. A host that can't say is left out."""

    @property
    def tolerance(self) -> timedelta: ...
    def ahead(self, hosts: Sequence[ProbedHost]) -> Mapping[str, timedelta]: ...


class Presence(Protocol):
    """Who is there, asked of all hosts at once; and the call that wakes those who sleep.

    `absent` gives each host that does not take a connection, and why, after one connect time-out in all.
    """

    def absent(self, hosts: Sequence[PlannedHost]) -> Mapping[HostName, str]: ...
    def wake(self, hosts: Sequence[PlannedHost]) -> None: ...


class Prober(Protocol):
    def measure_all(self, probes: Sequence[Probe], hosts: Sequence[ProbedHost]) -> Iterator[Measurement]: ...
    def close(self) -> None: ...


class Documents(Protocol):
    """What people write, read strictly."""

    def read_release(self, content: bytes, file: str) -> Release: ...
    def draft_release(self, proposal: Proposal, around: Surroundings, previous: str | None) -> str: ...
    def read_calendar(
        self, content: bytes, file: str, *, attachments: Mapping[str, bytes], now: datetime
    ) -> Calendar: ...
    def read_inspection(self, content: bytes, file: str) -> Sequence[Item]: ...
    def read_request(self, content: bytes, file: str) -> Request: ...
    def read_answers(self, answers: Mapping[str, str]) -> Particulars: ...
    def write_request(self, request: Request) -> str: ...
    def read_policy(self, content: bytes, file: str, *, version: int, issued: datetime) -> Trust: ...


class Paper(Protocol):
    """The application form on paper, and the codes of a scan."""

    def find_font(self, chosen: Path | None) -> Path: ...
    def write_pdf(self, sheet: Sheet, font: Path) -> bytes: ...
    def write_docx(self, sheet: Sheet, template: bytes | None, file: str) -> bytes: ...
    def default_template(self) -> bytes: ...
    def read_codes(self, content: bytes, kind: ScanType, file: str) -> Sequence[str]: ...


class Drop(Protocol):
    """A vendor's drop that was found whole: manifest, checksums, signature and exactly the files they name."""

    @property
    def release(self) -> Release: ...
    @property
    def manifest(self) -> bytes: ...
    @property
    def checksums(self) -> bytes: ...
    @property
    def signature(self) -> bytes: ...
    @property
    def files(self) -> Sequence[tuple[Build, Path]]: ...


class ReadTrust(Protocol):
    """Reads the trust chain that lies in a bundle's files: every version, and its first roots' fingerprint."""

    def __call__(self, files: Mapping[str, bytes]) -> tuple[Sequence[Trust], Digest]: ...


class Programs(Protocol):
    """The programs of the controller, and its state folder."""

    @property
    def names(self) -> Sequence[str]: ...
    def version(self, name: str) -> str: ...
    def check_state(self, folder: Path) -> Path: ...


class HostCheck(Protocol):
    """Asks hosts for their SSH host key, all at once: each host's name, and the error when it is not the pinned one."""

    def __call__(self, hosts: Sequence[InventoryHost], parallel: int) -> Iterator[tuple[str, UpgraderError | None]]: ...
