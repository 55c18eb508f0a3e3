"""The plan: everything that will run, with no choice left. `plan.json` is the file that people sign.

`make_plan` decides from values alone, so the same inputs give the same bytes on any machine, and the gate can make the
plan again from the approved commit and compare.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial

from upgrader.domain import canonical, plain
from upgrader.domain.changes.joint import JointPart, joint_note, kept
from upgrader.domain.changes.late import Late, Workstation
from upgrader.domain.changes.request import Kind, Request, WaveSizes, WhenUnstable
from upgrader.domain.digest import Digest
from upgrader.domain.errors import PreflightFailed, Refused
from upgrader.domain.hospital.platform import Platform, check_served
from upgrader.domain.names import ChangeId, HostName, PersonId, SiteId, SystemId, Version
from upgrader.domain.releases.correction import PlannedCorrection, planned
from upgrader.domain.releases.database import DatabaseTerms
from upgrader.domain.releases.defaults import default_notes
from upgrader.domain.releases.probe import Probe
from upgrader.domain.releases.release import (
    Build,
    Busy,
    ConfigFile,
    FilesTerms,
    Health,
    PackageTerms,
    Release,
    Service,
    Strategy,
    Takes,
    Thresholds,
)
from upgrader.domain.releases.version_order import is_older
from upgrader.domain.releases.work import Work

FORMAT = "upgrader.plan/1"
LARGEST_PLAN = 64 * 1024 * 1024
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedHost:
    """A host as it stood when the plan was made.

    `installed` is empty where nothing is, and `unknown` where the host did not answer.
    """

    name: HostName
    address: str
    port: int
    user: str
    host_key: str
    installed: str
    parameters: Mapping[str, str]
    workstation: Workstation | None = None  # None: a server, which is never merely switched off
    platform: Platform | None = None  # None: the inventory does not say


@dataclass(frozen=True, slots=True)
class Wave:
    """Hosts that are upgraded together."""

    number: int
    name: str
    hosts: tuple[HostName, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the signers should see; its text is found by `code`."""

    code: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Versions:
    """The programs that will do the work."""

    upgrader: str
    ansible_core: str
    python: str


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    opens: datetime
    closes: datetime
    zone: str


@dataclass(frozen=True, slots=True)
class PlannedSoak:
    seconds: int
    interval_seconds: int
    when_unstable: WhenUnstable


@dataclass(frozen=True, slots=True)
class PlannedRelease:
    """The release as the plan binds it: the manifest's digest, every build, and what the vendor signed."""

    system: SystemId
    version: Version
    vendor: PersonId
    strategy: Strategy
    manifest: Digest
    checksums: Digest
    signature: Digest
    follows: tuple[str, ...]
    builds: tuple[Build, ...]
    service: Service
    health: Health
    config: tuple[ConfigFile, ...]
    parameters: Mapping[str, str]
    keep: int
    downtime_seconds: int
    correction: PlannedCorrection | None = None
    packager: PersonId | None = None
    package: PackageTerms | None = None
    files: FilesTerms | None = None
    takes: Takes | None = None
    busy: Busy | None = None
    database: DatabaseTerms | None = None
    work: Work | None = None

    @property
    def name(self) -> str:
        return f"{self.system} {self.version}"


@dataclass(frozen=True, slots=True)
class EarlierRelease:
    """A release that some hosts run now, by whose packages they go back; a host that lacks them is sent them first."""

    version: Version
    builds: tuple[Build, ...]


@dataclass(frozen=True, slots=True)
class Playbooks:
    """What runs on a wave, and what takes it back. `tree` covers every file that Ansible will read."""

    upgrade: str
    rollback: str
    verify: str
    tree: Digest


@dataclass(frozen=True, kw_only=True)  # without slots, so that what is derived from it is computed once
class Plan:
    format: str
    site: SiteId
    repository: str
    change: ChangeId
    revision: int
    kind: Kind
    requester: PersonId
    reason: str
    request: Digest
    release: PlannedRelease
    tests: tuple[Digest, ...]
    playbooks: Playbooks
    hosts: tuple[PlannedHost, ...]
    waves: tuple[Wave, ...]
    thresholds: Thresholds
    probes: tuple[Probe, ...]
    wave_timeout_seconds: int
    confirm_seconds: int
    soak: PlannedSoak
    window: PlannedWindow
    versions: Versions
    notes: tuple[Note, ...]
    runs: int
    earlier: tuple[EarlierRelease, ...]
    late: Late | None = None
    affects: tuple[SystemId, ...] | None = None  # the systems that stand on this one, nearest first; None: not known
    joint: tuple[JointPart, ...] | None = None  # all changes asked for together, in order; None: this one alone
    comes_after: Digest | None = None  # the plan of the joint change before this one

    def to_bytes(self) -> bytes:
        return self._bytes

    @cached_property
    def digest(self) -> Digest:
        return Digest.of(self._bytes)

    @cached_property
    def _bytes(self) -> bytes:
        return canonical.serialise(plain.to_plain(self))

    @property
    def release_name(self) -> str:
        return f"{self.release.system} {self.release.version}"

    @property
    def builds(self) -> tuple[Build, ...]:
        """Every build that a host may ask for: those of the release, and those by which it could go back."""
        return (*self.release.builds, *(build for earlier in self.earlier for build in earlier.builds))

    def host(self, name: str) -> PlannedHost:
        """The host of that name. Raises KeyError when it is not in the plan."""
        return self._hosts_by_name[name]

    def open_until(self, now: datetime) -> datetime:
        """When the window that is open at `now` closes: the plan's own, or the hours for late hosts; not after `now`
        when neither is open.
        """
        if self.window.opens <= now < self.window.closes:
            return self.window.closes
        return self.late.closes(now) if self.late else min(now, self.window.closes)

    @property
    def workstations(self) -> tuple[PlannedHost, ...]:
        return tuple(host for host in self.hosts if host.workstation is not None)

    @cached_property
    def _hosts_by_name(self) -> Mapping[str, PlannedHost]:
        return {host.name: host for host in self.hosts}


def read_plan(content: bytes, name: str = "plan.json", known: Digest | None = None) -> Plan:
    """Read plan.json; `known` is the digest of a plan that the gate let pass: bytes that have it are its spelling.

    Raises Refused when the bytes are not the canonical form of a plan.
    """
    try:
        plan = canonical.read_back(
            content, partial(plain.from_plain, Plan), Plan.to_bytes, name=name, largest=LARGEST_PLAN, known=known
        )
    except (ValueError, TypeError) as error:
        raise Refused("plan-malformed", file=name, found=str(error)[:200]) from error
    if plan.format != FORMAT:
        raise Refused("plan-malformed", file=name, found=plan.format)
    return plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """All that a plan is made of: the approved tree's files as values, and what was seen on the hosts."""

    site: SiteId
    repository: str
    revision: int
    request: Request
    request_digest: Digest
    release: Release
    manifest: Digest
    checksums: Digest
    signature: Digest
    tests: tuple[Digest, ...]
    tree: Digest
    hosts: Sequence[PlannedHost]
    versions: Versions
    statements: tuple[str, ...] = ()  # of a correction: the lines of its build
    left: Mapping[str, Release] = field(default_factory=dict)  # on a declared way back: the releases that are left
    earlier: Mapping[str, Release] = field(default_factory=dict)  # of the installed versions, those that are known
    affects: tuple[SystemId, ...] | None = None  # None where the inventory does not describe the system
    comes_after: Digest | None = None


def make_plan(materials: Materials) -> Plan:
    """Decide everything.

    Raises PreflightFailed when a host may not get this release, Refused when there is no host, when nothing carries out
    the release's strategy yet, or when a host runs a newer release and nobody declared the way back.
    """
    request, release = materials.request, materials.release
    hosts = tuple(sorted(materials.hosts, key=lambda host: host.name))
    if not hosts:
        raise Refused("plan-no-hosts", hosts=request.hosts)
    if not release.builds or not release.probes:
        raise Refused("release-empty", release=release.name)
    if (release.strategy is Strategy.DATA_FIX) is not (request.kind is Kind.DATA_FIX):
        raise Refused("kind-not-of-release", release=release.name, kind=request.kind, strategy=release.strategy)
    check_served(release, {host.name: host.platform for host in hosts})
    if release.database is not None:
        release.database.check_tried(release.name)
    newer = _check_newer(hosts, materials)
    _check_predecessors([host for host in hosts if host not in newer], release)
    return Plan(
        format=FORMAT,
        site=materials.site,
        repository=materials.repository,
        change=request.change,
        revision=materials.revision,
        kind=request.kind,
        requester=request.requester,
        reason=request.reason,
        request=materials.request_digest,
        release=_planned_release(materials, newer),
        tests=tuple(sorted(materials.tests)),
        playbooks=Playbooks("playbooks/upgrade.yml", "playbooks/rollback.yml", "playbooks/verify.yml", materials.tree),
        hosts=hosts,
        waves=_waves(hosts, request.waves, clients_first=release.clients_first),
        thresholds=release.thresholds,
        probes=release.probes,
        wave_timeout_seconds=release.longest_seconds,
        confirm_seconds=120,
        soak=PlannedSoak(
            int(request.soak.duration.total_seconds()),
            int(request.soak.interval.total_seconds()),
            request.soak.when_unstable,
        ),
        window=PlannedWindow(request.window.opens, request.window.closes, request.window.zone),
        versions=materials.versions,
        notes=(
            *_notes(hosts, release, newer, request),
            *(Note(*found) for found in _default_notes(hosts, materials)),
        ),
        runs=1,
        earlier=ways_back(release, materials.earlier),
        late=request.late,
        affects=materials.affects,
        joint=request.joint or None,
        comes_after=materials.comes_after,
    )


def _waves(hosts: Sequence[PlannedHost], sizes: WaveSizes, *, clients_first: bool) -> tuple[Wave, ...]:
    """Servers before workstations, unless the vendor says otherwise: an old client still talks to a new server."""
    servers = [host.name for host in hosts if host.workstation is None]
    stations = [host.name for host in hosts if host.workstation is not None]
    first, later = (stations, servers) if clients_first or not servers else (servers, stations)
    if not first:
        first, later = later, first
    return split_into_waves(first, canaries=sizes.canaries, size=sizes.size, later=later)


def split_into_waves(
    hosts: Sequence[HostName], *, canaries: int, size: int, later: Sequence[HostName] = ()
) -> tuple[Wave, ...]:
    """Put `canaries` hosts alone into wave 0, then the rest in waves of `size`, then `later` in waves of their own."""
    groups = [hosts[:canaries]]
    for rest in (hosts[canaries:], later):
        groups += [rest[start : start + size] for start in range(0, len(rest), size)]
    filled = [tuple(group) for group in groups if group]
    return tuple(
        Wave(number, "canary" if number == 0 and canaries else f"wave-{number}", group)
        for number, group in enumerate(filled)
    )


def _check_predecessors(hosts: Iterable[PlannedHost], release: Release) -> None:
    wrong = [
        host
        for host in hosts
        if host.installed not in (release.version, UNKNOWN) and not release.may_follow(host.installed)
    ]
    if wrong:
        raise PreflightFailed(
            "release-may-not-follow",
            release=release.name,
            follows=", ".join(pattern or "(nothing)" for pattern in release.follows),
            found=", ".join(f"{host.name} {host.installed or '(nothing)'}" for host in wrong[:5]),
            count=len(wrong),
        )


def _check_newer(hosts: Sequence[PlannedHost], materials: Materials) -> Sequence[PlannedHost]:
    """The hosts that run something newer than the release: none, or those that a declared way back leads from.

    The way back from a version is open when the release of that version may follow ours and keeps the data readable
    for it. A release that nobody staged can't say so.
    """
    request, release = materials.request, materials.release
    newer = [h for h in hosts if h.installed not in ("", UNKNOWN) and is_older(release.version, h.installed)]
    versions = sorted({host.installed for host in newer})
    fields = {"release": release.name, "found": ", ".join(versions)}
    if newer and request.downgrade is None:
        raise Refused("older-than-installed", **fields, count=len(newer))
    if request.downgrade is not None and not newer:
        raise Refused("downgrade-of-nothing", release=release.name)
    left = materials.left
    if closed := [v for v in versions if v not in left or not left[v].opens_way_back_to(release.version)]:
        raise Refused("downgrade-not-possible", release=release.name, found=", ".join(closed))
    return newer


def _planned_release(materials: Materials, newer: Sequence[PlannedHost]) -> PlannedRelease:
    """As the vendor says; on a declared way back it may also follow the versions that are left."""
    release = materials.release
    return PlannedRelease(
        system=release.system,
        version=release.version,
        vendor=release.vendor,
        strategy=release.strategy,
        manifest=materials.manifest,
        checksums=materials.checksums,
        signature=materials.signature,
        follows=(*release.follows, *sorted({host.installed for host in newer} - set(release.follows))),
        builds=release.builds,
        service=release.service,
        health=release.health,
        config=release.config,
        parameters=release.parameters,
        package=release.package,
        files=release.files,
        takes=release.takes,
        busy=release.busy,
        keep=kept(release.keep, materials.request.change, materials.request.joint),
        downtime_seconds=release.downtime_seconds,
        correction=planned(release.correction, materials.statements) if release.correction else None,
        packager=release.packager,
        database=release.database,
        work=release.work,
    )


def _notes(
    hosts: Sequence[PlannedHost], release: Release, newer: Sequence[PlannedHost], request: Request
) -> Iterable[Note]:
    if request.joint:
        yield Note("joint", joint_note(request.change, request.joint))
    if newer:
        fields = {"count": str(len(newer)), "found": ", ".join(sorted({host.installed for host in newer}))}
        yield Note("downgrade", {**fields, "version": release.version, "reason": request.downgrade or ""})
    if release.packager is not None:
        yield Note("repackaged", {"person": release.packager, "vendor": release.vendor})
    if not any(probe.login for probe in release.probes):
        yield Note("no-login-probe", {"release": release.name})
    if silent := [host.name for host in hosts if host.installed == UNKNOWN]:
        yield Note("hosts-silent", {"count": str(len(silent)), "hosts": ", ".join(silent[:10])})
    if release.database is not None:
        yield from (Note(*found) for found in release.database.notes(release.name, release.probes))
    if done := [host.name for host in hosts if host.installed == release.version]:
        yield Note("hosts-done", {"count": str(len(done)), "version": release.version})


def _default_notes(hosts: Sequence[PlannedHost], materials: Materials) -> Iterator[tuple[str, Mapping[str, str]]]:
    before = {version: release.parameters for version, release in materials.earlier.items()}
    said = [(host.installed, host.parameters) for host in hosts]
    own = {materials.release.version, UNKNOWN, ""}
    return default_notes(materials.release.parameters, before, said, without=own)


def ways_back(release: Release, earlier: Mapping[str, Release]) -> tuple[EarlierRelease, ...]:
    """The packages by which hosts go back. No other strategy needs them: an archive's older versions lie beside it."""
    if release.strategy is not Strategy.PACKAGE:
        return ()
    found = [other for other in earlier.values() if other.strategy is Strategy.PACKAGE]
    return tuple(
        EarlierRelease(other.version, other.builds) for other in sorted(found, key=lambda other: other.version)
    )
