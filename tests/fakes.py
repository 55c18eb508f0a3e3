"""A small hospital in memory: fakes of every port that the flow needs, which remember what was asked of them.

`Hospital.site()` is a whole Site. Hosts keep what is installed on them between two runs, as real ones do, and break
where they are told to; the journal keeps its lines, and kills whoever writes to it when it is told to.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Self

import builders
from upgrader.adapters.documents import read_systems
from upgrader.domain.approval.claim import Claim
from upgrader.domain.approval.record import (
    NAMESPACES,
    ApprovalRecord,
    Namespace,
    Record,
    ScanType,
    record_name,
    write_record,
)
from upgrader.domain.approval.trust import Trust
from upgrader.domain.changes.brake import Ask, Brake
from upgrader.domain.changes.heartbeat import Beat
from upgrader.domain.changes.journal import Entry, History, read_history
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.lock import HeldLock
from upgrader.domain.changes.notification import Delivery, Notification, Topic
from upgrader.domain.changes.particulars import Particulars
from upgrader.domain.changes.plan import Materials, Plan, PlannedHost, make_plan
from upgrader.domain.changes.playbook import HELD, HostOutcome, HostReport, PlaybookResult, PlaybookRun
from upgrader.domain.changes.request import Request
from upgrader.domain.changes.verdict import Measurement, Reading
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, Locked, PreflightFailed, Refused
from upgrader.domain.hospital.calendar import Calendar
from upgrader.domain.hospital.inspection import Item
from upgrader.domain.hospital.sighting import Sightings
from upgrader.domain.names import HostName, PersonId, SystemId
from upgrader.domain.papers.report import ReportView
from upgrader.domain.papers.sheet import Sheet
from upgrader.domain.releases.draft import Proposal, Surroundings
from upgrader.domain.releases.probe import Probe
from upgrader.domain.releases.release import Build, Release
from upgrader.flow.site import People, Site
from upgrader.ports import GroupedHost, InventoryHost, ProbedHost, Tree


class Killed(BaseException):
    """What kill -9 is to a test: nothing may catch it and go on."""


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now
        self.after_sleep: Callable[[], None] = lambda: None  # what happens elsewhere while somebody waits

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.after_sleep()


class MemoryJournal:
    """Lines on a disk that outlives its writers: every opening reads them again.

    `kills` is called right before and right after a line is on disk, and may raise Killed.
    """

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.kills: Callable[[str], None] = lambda _: None
        self.before: Sequence[Sequence[Entry]] = ()  # of earlier changes
        self.is_older = False  # than what was written: a backup was put back
        self._history = History()

    def history(self) -> History:
        return self._history

    def write(self, event: Event, data: Mapping[str, Any], *, at: datetime, actor: str) -> Entry:
        entry = self._history.following(event, data, at=at, actor=actor)
        self.kills("before")
        self.lines.append(entry.to_line())
        self._history = self._history.with_entry(entry)
        self.kills("after")
        return entry

    def is_vouched(self) -> bool:
        return not self.is_older

    def vouch(self) -> None:
        self.is_older = False

    @contextmanager
    def open(self, change: str) -> Iterator["MemoryJournal"]:
        self._history = read_history(self.lines, f"{change}/journal.jsonl")
        yield self

    def unclosed_with(self, event: str) -> Sequence[str]:
        return [builders.CHANGE] if any(entry.event == event for entry in self._history.entries) else []

    def newest_trust_version(self) -> int:
        return 0

    def earlier(self, system: str, events: Iterable[Event], *, but: str, most: int) -> Sequence[Sequence[Entry]]:
        return self.before


class Brakes:
    """Asks in memory. `unreadable` is what a damaged file does."""

    def __init__(self) -> None:
        self.asks: list[Brake] = []
        self.past: list[Brake] = []
        self.unreadable = False

    def ask(self, brake: Brake) -> Brake:
        same = [one for one in self.asks if (one.ask, one.change) == (brake.ask, brake.change)]
        self.asks += [] if same else [brake]
        return [*same, brake][0]

    def asked(self, change: str) -> Sequence[Brake]:
        if self.unreadable:
            raise Refused("brake-unreadable", file="brakes/all.stop", found="damaged")
        return [brake for brake in self.asks if brake.change == change]

    def stopped(self) -> Brake | None:
        if self.unreadable:
            raise Refused("brake-unreadable", file="brakes/all.stop", found="damaged")
        return next((brake for brake in self.asks if brake.ask is Ask.STOP), None)

    def done(self, brake: Brake) -> None:
        self.asks = [one for one in self.asks if one != brake]

    def lift(self, lifted: Brake) -> None:
        self.past += [*(brake for brake in self.asks if brake.ask is Ask.STOP), lifted]
        self.asks = [brake for brake in self.asks if brake.ask is not Ask.STOP]

    def holding(self, change: str) -> tuple[str, ...]:
        return ("all.stop", f"{change}.pause", f"{change}.abort")

    def hold(self) -> bool:
        return any(brake.ask in (Ask.STOP, Ask.PAUSE, Ask.ABORT) for brake in self.asks)


class Locks:
    """Names that are taken; holding one twice is Locked, as it is for two people."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}

    @contextmanager
    def hold(self, names: Iterable[str], *, purpose: str, holder: str, now: datetime) -> Iterator[None]:
        wanted = sorted(names)
        for name in wanted:
            if name in self.held:
                raise Locked("locked", name=name, holder=self.held[name], purpose=purpose, since=now, machine="-")
        self.held |= dict.fromkeys(wanted, holder)
        try:
            yield
        finally:
            for name in wanted:
                del self.held[name]

    def list_held(self) -> Sequence[HeldLock]:
        return []


@dataclass(frozen=True, slots=True)
class File:
    path: str
    content: bytes
    mode: str = "100644"


@dataclass(frozen=True, slots=True)
class Commit:
    commit: str
    tree: Mapping[str, bytes]

    def files(self, *prefixes: str) -> Sequence[File]:
        below = tuple(f"{prefix}/" for prefix in prefixes)
        return [File(path, content) for path, content in sorted(self.tree.items()) if path.startswith(below)]

    def paths(self, *prefixes: str) -> Sequence[str]:
        return [file.path for file in self.files(*prefixes)]

    def read(self, path: str) -> bytes | None:
        return self.tree.get(path)


class Branch:
    """The protected branch: it only grows, and old commits can still be read."""

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self.removed: Sequence[str] = ()

    def add(self, files: Mapping[str, bytes]) -> None:
        before = self.commits[-1].tree if self.commits else {}
        self.commits.append(Commit(f"{len(self.commits) + 1:040x}", {**before, **files}))

    def refresh(self) -> Commit:
        return self.commits[-1]

    def tip(self) -> Commit:
        return self.commits[-1]

    def at(self, commit: str) -> Commit:
        for known in self.commits:
            if known.commit == commit:
                return known
        raise Refused("commit-not-on-branch", commit=commit, branch="main")

    def removed_records(self, commit: str, folder: str) -> Sequence[str]:
        return [path for path in self.removed if "/" not in path or path.startswith(f"{folder}/")]

    def export(self, snapshot: Any, prefixes: Iterable[str], target: Path) -> Digest:
        raise NotImplementedError("Hospital.export gives the tree")

    def tree_digest(self, snapshot: Any, prefixes: Iterable[str]) -> Digest:
        return Digest.of(b"tree")


class Seals:
    """Signatures without keys: a seal names its signer, its namespace and the bytes."""

    def sign(self, content: bytes, namespace: Namespace, key: Path) -> bytes:
        return f"{key.name} {namespace} {Digest.of(content)}".encode()

    def verify(self, claim: Claim, at: datetime) -> str:
        if claim.signature != self.sign(claim.content, claim.namespace, Path(claim.principal)):
            raise Refused("signature-invalid", file=claim.file, person=claim.principal)
        if not any(isinstance(key, str) or key.is_valid(at) for key in claim.keys):
            raise Refused("key-not-valid", file=claim.file, person=claim.principal)
        return claim.principal

    def public_key(self, key: Path) -> str:
        return f"ssh-ed25519 {key.name}"

    def fingerprint(self, public: str) -> str:
        return f"SHA256:{public[-8:]}"


@dataclass
class TrustedPeople:
    trust: Trust

    def load(self) -> Trust:
        return self.trust

    def chain(self) -> Sequence[Trust]:
        return (self.trust,)

    def check_current(self, trust: Trust, now: datetime) -> None:
        if now >= trust.expires:
            raise Refused("trust-expired", expires=trust.expires)

    def files(self) -> Sequence[Path]:
        return ()

    def fingerprint(self) -> Digest:
        return Digest.of(b"roots")

    def check_proofs(self) -> None:
        pass

    def signers(self, version: int) -> Sequence[str]:
        return ()

    def check_next(self, trust: Trust, signatures: Sequence[bytes]) -> None:
        pass

    def install(self, trust: Trust, signatures: Sequence[bytes]) -> None:
        self.trust = trust


class BuildStore:
    """`damaged` is what a flipped byte on the disk does."""

    damaged = False

    def put(self, path: Path) -> Digest:
        return Digest.of(path.read_bytes())

    def open_verified(self, digest: Digest, size: int) -> Path:
        if self.damaged:
            raise Integrity("build-changed", file=digest.hex, expected=digest.short)
        return Path("/state/builds") / digest.hex


@dataclass
class Documents:
    """Reads what a person wrote: here already as the value that it would become."""

    request: Request
    release: Release
    calendar: Calendar | None = None

    def read_release(self, content: bytes, file: str) -> Release:
        return self.release

    def read_request(self, content: bytes, file: str) -> Request:
        return self.request

    def read_inspection(self, content: bytes, file: str) -> Sequence[Item]:
        raise NotImplementedError

    def draft_release(self, proposal: Proposal, around: Surroundings, previous: str | None) -> str:
        raise NotImplementedError

    def read_answers(self, answers: Mapping[str, str]) -> Particulars:
        raise NotImplementedError

    def write_request(self, request: Request) -> str:
        return repr(request)

    def read_calendar(self, content: bytes, file: str, *, attachments: Mapping[str, bytes], now: datetime) -> Calendar:
        assert self.calendar is not None
        return self.calendar

    def read_policy(self, content: bytes, file: str, *, version: int, issued: datetime) -> Trust:
        raise NotImplementedError


@dataclass
class SeenHosts:
    kept: dict[SystemId, Sightings] = field(default_factory=dict)

    def remember(self, seen: Sightings) -> None:
        self.kept[seen.system] = seen

    def recall(self, system: SystemId) -> Sightings:
        return self.kept.get(system, Sightings(system, {}))


@dataclass
class Scans:
    """A scan here is its codes in plain text, one a line; nothing is drawn."""

    def read_codes(self, content: bytes, kind: ScanType, file: str) -> Sequence[str]:
        return content.decode().splitlines()[1:]

    def find_font(self, chosen: Path | None) -> Path:
        raise NotImplementedError

    def write_pdf(self, sheet: Sheet, font: Path) -> bytes:
        raise NotImplementedError

    def write_docx(self, sheet: Sheet, template: bytes | None, file: str) -> bytes:
        raise NotImplementedError

    def default_template(self) -> bytes:
        raise NotImplementedError


@dataclass
class Inventory:
    plan: Plan
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def grouped(self, tree: Path) -> Sequence[GroupedHost]:
        return [GroupedHost(host.name, host.groups, host.platform) for host in self.resolve(tree, "all")]

    def sudo_secrets(self, tree: Path, names: Sequence[str]) -> Sequence[str]:
        return ()

    def resolve(self, tree: Path, pattern: str) -> Sequence[InventoryHost]:
        return [
            InventoryHost(
                name=host.name,
                address=host.address,
                port=host.port,
                user=host.user,
                host_key=host.host_key,
                root=host.parameters["root"],
                parameters={name: text for name, text in host.parameters.items() if name != "root"},
                groups=self.groups.get(host.name, frozenset()),
                workstation=host.workstation,
                platform=host.platform,
            )
            for host in self.plan.hosts
        ]


class Break(StrEnum):
    """How a host breaks. Whatever it does, it does again when it is asked again."""

    UNHEALTHY = "takes itself back"  # the health check failed after the switch
    HALF_DONE = "is left half done"  # switched, and could not go back by itself
    REFUSES = "is not what was planned"  # failed before anything was changed
    SILENT = "is not spoken of"  # no event of Ansible names it
    GONE = "is switched off"
    CUT_OFF = "is cut off after the switch"
    STAYS = "will not go back"  # upgrades well; its rollback fails
    MUTE = "says nothing of its way back"  # upgrades well; no event of Ansible names it when it is taken back


@dataclass
class Host:
    """A host as the host transaction leaves it: a version, and who put it there from which version."""

    name: str
    installed: str
    breaks: Break | None = None
    key: str = ""
    came_from: str = ""
    taken_back: str = ""
    upgrades: int = 0  # upgrades that ended well, all runs together
    rollbacks: int = 0

    def upgrade(self, key: str, version: str, base: str) -> HostReport | None:
        match self.breaks:
            case Break.SILENT:
                return None
            case Break.GONE:
                return self._report(HostOutcome.UNREACHABLE)
            case Break.REFUSES:
                return self._report(HostOutcome.FAILED, detail="disk full")
            case Break.UNHEALTHY:
                return self._report(HostOutcome.ROLLED_BACK, detail="health: exit 1")
        if self.installed == version and self.breaks is not Break.HALF_DONE:
            return self._report(HostOutcome.UNCHANGED, came_from=self.came_from if self.key == key else "")
        if self.installed not in (base, version):
            return self._report(HostOutcome.FAILED, detail="another version than planned")
        return self._switch(key, version)

    def prestage(self) -> HostReport | None:
        match self.breaks:
            case Break.SILENT:
                return None
            case Break.GONE:
                return self._report(HostOutcome.UNREACHABLE)
            case Break.REFUSES:
                return self._report(HostOutcome.FAILED, detail="disk full")
        return self._report(HostOutcome.UNCHANGED)

    def remember(self, key: str) -> HostReport | None:
        """What a look at the host gives: nothing is changed, and it says how far this key came."""
        if self.breaks is Break.GONE:
            return self._report(HostOutcome.UNREACHABLE)
        states = {self.key: "confirmed", self.taken_back: "taken-back"}
        return replace(self._report(HostOutcome.UNCHANGED), facts={"key_state": states.get(key, "")})

    def roll_back(self, key: str) -> HostReport | None:
        if self.breaks is Break.GONE:
            return self._report(HostOutcome.UNREACHABLE)
        if self.breaks is Break.MUTE:
            return None
        if self.key != key:
            return self._report(HostOutcome.UNCHANGED)
        if self.breaks is Break.STAYS:
            return self._report(HostOutcome.FAILED, detail="the old version does not start")
        self.installed, self.key, self.came_from, self.taken_back = self.came_from, "", "", key
        self.rollbacks += 1
        return self._report(HostOutcome.ROLLED_BACK)

    def _switch(self, key: str, version: str) -> HostReport:
        if self.key != key:
            self.key, self.came_from = key, self.installed
        self.installed = version
        if self.breaks is Break.HALF_DONE:
            return self._report(HostOutcome.FAILED, detail="the service does not start")
        self.upgrades += 1
        if self.breaks is Break.CUT_OFF:
            return replace(self._report(HostOutcome.UNREACHABLE), current="")
        return self._report(HostOutcome.UPGRADED, came_from=self.came_from)

    def _report(self, outcome: HostOutcome, *, came_from: str = "", detail: str = "") -> HostReport:
        return HostReport(
            host=self.name, outcome=outcome, from_version=came_from, current=self.installed, detail=detail
        )


@dataclass
class Fleet:
    """All hosts, and every playbook that was run on some of them."""

    hosts: dict[str, Host]
    runs: list[PlaybookRun] = field(default_factory=list)
    before_run: Callable[[PlaybookRun], None] = lambda _: None
    before_host: Callable[[str], None] = lambda _: None
    holds: Callable[[], bool] = lambda: False

    def run(self, run: PlaybookRun, on_report: Callable[[HostReport], None]) -> PlaybookResult:
        self.before_run(run)
        self.runs.append(run)
        reports = []
        for name in run.hosts:
            self.before_host(name)
            held = run.holding and self.holds()
            report = _held(name) if held else self._work(run, self.hosts[name])
            if report is not None:
                on_report(report)
            reports.append(report or HostReport(host=name, outcome=HostOutcome.NOT_RUN))
        return PlaybookResult(reports=tuple(reports), return_code=0, status="successful", output="")

    def asked_for(self, playbook: str) -> list[tuple[str, ...]]:
        return [run.hosts for run in self.runs if run.playbook == f"playbooks/{playbook}.yml"]

    def _work(self, run: PlaybookRun, host: Host) -> HostReport | None:
        key = f"{run.upgrade['change']}.{run.upgrade['plan'][:12]}"
        if run.playbook == "playbooks/rollback.yml":
            return host.roll_back(key)
        if run.playbook == "playbooks/prestage.yml":
            return host.prestage()
        if run.playbook == "playbooks/preflight.yml":
            return host.remember(key)
        return host.upgrade(key, run.upgrade["version"], run.upgrade["base"][host.name])


def _held(name: str) -> HostReport:
    return HostReport(host=name, outcome=HostOutcome.NOT_RUN, step=HELD)


@dataclass
class Presence:
    """Who is switched off; `wakes` are those whom a call wakes. It remembers who was asked, and who was called."""

    off: set[str] = field(default_factory=set)
    wakes: set[str] = field(default_factory=set)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    called: list[str] = field(default_factory=list)

    def absent(self, hosts: Sequence[PlannedHost]) -> Mapping[HostName, str]:
        self.asked.append(tuple(host.name for host in hosts))
        return {host.name: "no answer in 3 s" for host in hosts if host.name in self.off}

    def wake(self, hosts: Sequence[PlannedHost]) -> None:
        names = {host.name for host in hosts}
        self.called += sorted(names)
        self.off -= names & self.wakes


@dataclass
class Prober:
    """Sees every host as healthy but those that it is told to see otherwise."""

    clock: Clock
    seen: dict[str, Reading] = field(default_factory=dict)
    silent: bool = False

    def measure_all(self, probes: Sequence[Probe], hosts: Sequence[ProbedHost]) -> Iterator[Measurement]:
        for host in hosts if not self.silent else ():
            for probe in probes:
                for _ in range(probe.count):
                    reading = self.seen.get(host.name, Reading.HEALTHY)
                    yield Measurement(host.name, probe.name, self.clock(), reading, reading.value)

    def close(self) -> None:
        pass


class Heartbeat:
    def __init__(self) -> None:
        self.beats: list[Beat] = []

    def beat(self, beat: Beat) -> None:
        self.beats.append(beat)

    def last(self) -> Beat | None:
        return self.beats[-1] if self.beats else None


class Gateway:
    """A notifier that wants to hear of everything; what it was given, and those it is down for."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Topic]] = []
        self.down: set[Topic] = set()
        self.called = 0

    def names(self) -> Sequence[str]:
        return ("duty-phone",)

    def who_wants(self, topic: Topic) -> Sequence[str]:
        return self.names()

    def pause(self, name: str) -> float:
        return 3.0

    def send(self, name: str, notification: Notification, words: Mapping[str, str]) -> None:
        if notification.topic in self.down:
            raise PreflightFailed("notification-not-delivered", notifier=name, reason="busy")
        self.got.append((notification.change, notification.topic))

    def call(self) -> None:
        self.called += 1


class Deliveries:
    def __init__(self) -> None:
        self.kept: dict[str, dict[tuple[int, str], Delivery]] = {}

    def tried(self, change: str) -> Sequence[Delivery]:
        return tuple(self.kept.get(change, {}).values())

    def remember(self, change: str, delivery: Delivery) -> None:
        self.kept.setdefault(change, {})[delivery.seq, delivery.notifier] = delivery


class AtOnce:
    """Workers that do their work when it is given; `broken` work ends without a word."""

    def __init__(self) -> None:
        self.over: list[tuple[str, Any | None]] = []
        self.broken = False

    @property
    def busy(self) -> Set[str]:
        return frozenset()

    def start(self, name: str, work: Callable[[], Any]) -> None:
        self.over.append((name, None if self.broken else work()))

    def ended(self) -> Sequence[tuple[str, Any | None]]:
        over, self.over = self.over, []
        return over


class HostClocks:
    """`wrong` are the hosts whose clocks differ from ours, by how much; `asked` is who was asked."""

    tolerance = timedelta(seconds=120)

    def __init__(self) -> None:
        self.wrong: dict[str, timedelta] = {}
        self.asked: list[str] = []

    def ahead(self, hosts: Sequence[ProbedHost]) -> Mapping[str, timedelta]:
        self.asked += [host.name for host in hosts]
        return {host.name: self.wrong.get(host.name, timedelta()) for host in hosts}


class NoClone:
    """No decision is read from a person's checkout; what is only looked up there finds nothing."""

    @property
    def root(self) -> Path:
        return Path("/nowhere")

    def pull(self) -> str:
        raise NotImplementedError

    def commit(self, paths: Iterable[Path], message: str) -> str:
        raise NotImplementedError

    def push(self) -> None:
        raise NotImplementedError


class NoPatches:
    def patch(self, base: Build, build: Build) -> None:
        return None


class Secrets:
    """`values` are what lies in the state folder."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def read(self, names: Iterable[str]) -> Mapping[str, str]:
        for name in names:
            if name not in self.values:
                raise Refused("secret-missing", name=name, file=name, reason="-")
        return {name: self.values[name] for name in names}

    def known(self) -> Sequence[str]:
        return list(self.values.values())


class NoBundles:
    def write_bundle(
        self,
        path: Path,
        files: Mapping[str, bytes],
        statement: bytes,
        signature: bytes,
        *,
        secrets: Iterable[str],
    ) -> Digest:
        raise NotImplementedError

    def check_bundle(self, path: Path, check_seal: Callable[[Any], object]) -> Any:
        raise NotImplementedError


class Hospital:
    """One site with one change that was planned, tested and signed by enough people; its window is open."""

    def __init__(self, **materials: Any) -> None:
        self.clock = Clock(builders.NOW)
        self.trust = TrustedPeople(builders.make_trust())
        self.tree = Digest.of(b"tree")
        self.builds = BuildStore()
        self.locks = Locks()
        self.seen_hosts = SeenHosts()
        self.brakes = Brakes()
        self.secrets = Secrets()
        published = Published.of(builders.make_materials(**materials)) if materials else _usual_change()
        self.plan, self.documents = published.plan, published.documents
        self.branch = Branch()
        self.branch.commits += published.commits
        self.journal = MemoryJournal()
        self.told: list[str] = []
        self.groups: Mapping[str, frozenset[str]] = {}
        self.person: PersonId | None = builders.ENGINEER
        self.fleet = Fleet({host.name: Host(host.name, host.installed) for host in self.plan.hosts})
        self.fleet.holds = self.brakes.hold
        self.prober = Prober(self.clock)
        self.host_clocks = HostClocks()
        self.heartbeat = Heartbeat()
        self.notifiers = Gateway()
        self.deliveries = Deliveries()
        self.is_ending = False
        self.presence = Presence()
        self.paper = Scans()
        self._write_down({"system": self.plan.release.system}, Event.CHANGE_REQUESTED)
        self._write_down({"plan": self.plan.digest.hex, "revision": 1}, Event.PLAN_MADE)

    def publish(self, record: ApprovalRecord) -> None:
        self.branch.add(sealed(record, f"approvals/{record.change}"))

    @contextmanager
    def export(self, snapshot: object) -> Iterator[Tree]:
        yield Tree(Path("/state/trees/1"), Digest.of(b"tree"))

    def progress(self, key: str, fields: Mapping[str, object]) -> None:
        self.told.append(key)

    def site(self) -> Site:
        return Site(
            id=self.trust.trust.site,
            clone=NoClone(),
            mirror=self.branch,
            trust=self.trust,
            signatures=Seals(),
            builds=self.builds,
            patches=NoPatches(),
            documents=self.documents,
            systems=read_systems,
            inventory=Inventory(self.plan, self.groups),
            seen_hosts=self.seen_hosts,
            locks=self.locks,
            brakes=self.brakes,
            clock=self.clock,
            state=Path("/state"),
            versions=self.plan.versions,
            forks=5,
            time_zone="Asia/Shanghai",
            change_prefix="CHG",
            hospital={"zh": "人民医院", "en": "People's Hospital"},
            person=self.person,
            key=None,
            journal=self.journal.open,
            journals=self.journal,
            export=self.export,
            with_own_playbooks=nullcontext,
            tree_digest=lambda _: self.tree,
            fleet=lambda _tree, _runs: self.fleet,
            presence=self.presence,
            prober=lambda _: self.prober,
            host_clocks=lambda _: self.host_clocks,
            heartbeat=self.heartbeat,
            people=People(self.notifiers, self.deliveries, are_told=True, call=self.notifiers.call),
            is_ending=lambda: self.is_ending,
            sleep=self.clock.sleep,
            render_report=_no_report,
            bundles=NoBundles(),
            secrets=self.secrets,
            paper=self.paper,
        )

    def _write_down(self, data: Mapping[str, Any], event: Event) -> None:
        self.journal.write(event, data, at=builders.SIGNED, actor=builders.REQUESTER)


@dataclass(frozen=True)
class Published:
    """What people committed for one change: request, release with its tests, plan and approvals."""

    plan: Plan
    documents: Documents
    commits: Sequence[Commit]

    @classmethod
    def of(cls, draft: Materials) -> Self:
        manifest = b"manifest"
        checksums = f"{Digest.of(manifest)}  release.yml\n".encode()
        vendor_seal = Seals().sign(checksums, Namespace.RELEASE, Path(draft.release.vendor))
        parts = replace(
            draft,
            request_digest=Digest.of(b"request"),
            checksums=Digest.of(checksums),
            signature=Digest.of(vendor_seal),
            manifest=Digest.of(manifest),
        )
        release = f"releases/{draft.release.system}/{draft.release.version}"
        tests = dict[str, bytes]()
        for signed in builders.signed_tests(make_plan(parts)):
            if signed.record is not None:
                tests |= sealed(signed.record, release)
        digests = tuple(Digest.of(content) for path, content in tests.items() if path.endswith(".json"))
        plan = make_plan(replace(parts, tests=digests))
        branch = Branch()
        branch.add({f"{release}/release.yml": manifest, f"{release}/SHA256SUMS": checksums, **tests})
        branch.add({f"{release}/SHA256SUMS.sig": vendor_seal, f"approvals/{plan.change}/request.yml": b"request"})
        branch.add({f"approvals/{plan.change}/plan.json": plan.to_bytes()})
        for approval in builders.enough_approvals(plan):
            if approval.record is not None:
                branch.add(sealed(approval.record, f"approvals/{plan.change}"))
        return cls(plan, Documents(draft.request, draft.release), branch.commits)


def sealed(record: Record, folder: str) -> dict[str, bytes]:
    """A record and its seal, as two files in a folder."""
    content = write_record(record)
    path = f"{folder}/{record_name(record)}"
    return {path: content, f"{path}.sig": Seals().sign(content, NAMESPACES[type(record)], Path(record.person))}


@cache
def _usual_change() -> Published:
    return Published.of(builders.make_materials())


def _no_report(view: ReportView) -> str:
    raise NotImplementedError
