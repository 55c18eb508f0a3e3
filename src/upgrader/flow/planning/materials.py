"""Materials: gather from one commit everything that a plan is made of. Planning and the gate share it."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from upgrader.domain.approval.trust import Trust
from upgrader.domain.changes.joint import Half
from upgrader.domain.changes.plan import UNKNOWN, Materials, PlannedHost
from upgrader.domain.changes.request import Request
from upgrader.domain.digest import Digest
from upgrader.domain.errors import BadInput, Refused
from upgrader.domain.hospital.dependency import affected_by
from upgrader.domain.names import HostName, SystemId
from upgrader.domain.releases.correction import read_statements
from upgrader.domain.releases.release import Release
from upgrader.flow import repository
from upgrader.flow.applying.comes_after import plans_before
from upgrader.flow.releases.stage import CHECKSUMS, MANIFEST, SIGNATURE
from upgrader.flow.site import Site
from upgrader.flow.watching.described import graph_on
from upgrader.ports import InventoryHost, Snapshot, Tree


@dataclass(frozen=True, slots=True)
class ReleasePapers:
    """A release as a commit holds it: the manifest as read and as bytes, the vendor's list, the signature over it."""

    release: Release
    manifest: bytes
    checksums: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeFiles:
    """A change as one commit holds it, read strictly.

    `left` holds, for a declared way back, every other release of the system by version; `statements` the lines of a
    correction.
    """

    request: Request
    request_digest: Digest
    papers: ReleasePapers
    left: Mapping[str, ReleasePapers]
    statements: tuple[str, ...]
    tests: Mapping[str, bytes]  # signed test records beside the release, and their signatures, by path

    @property
    def release(self) -> Release:
        return self.papers.release


def read_change_files(site: Site, snapshot: Snapshot, change: str) -> ChangeFiles:
    """Read the request and its release from a commit. Raises Refused for a missing file, BadInput for a wrong one."""
    request_path = f"{repository.change_folder(change)}/request.yml"
    request_bytes = need(snapshot, request_path)
    request = site.documents.read_request(request_bytes, request_path)
    if request.change != change:
        raise Refused("request-elsewhere", file=request_path, expected=change, found=request.change)
    papers = _papers(site, snapshot, request.system, request.version)
    folder = repository.release_folder(request.system, request.version)
    known = {MANIFEST, CHECKSUMS, SIGNATURE, *(shown.file for shown in papers.release.shown)}
    for shown in papers.release.shown:
        if Digest.of(need(snapshot, f"{folder}/{shown.file}")) != shown.sha256:
            raise Refused("document-differs", file=f"{folder}/{shown.file}")
    others = {b.path: b.content for b in snapshot.files(folder) if b.path.removeprefix(f"{folder}/") not in known}
    return ChangeFiles(
        request=request,
        request_digest=Digest.of(request_bytes),
        papers=papers,
        left=_others_staged(site, snapshot, request) if request.downgrade is not None else {},
        statements=_statements(snapshot, folder, papers.release),
        tests=others,
    )


def _papers(site: Site, snapshot: Snapshot, system: str, version: str) -> ReleasePapers:
    folder = repository.release_folder(system, version)
    manifest = need(snapshot, f"{folder}/{MANIFEST}")
    release = site.documents.read_release(manifest, f"{folder}/{MANIFEST}")
    if (release.system, release.version) != (system, version):
        raise Refused("release-elsewhere", file=f"{folder}/{MANIFEST}", found=release.name)
    checksums, signature = need(snapshot, f"{folder}/{CHECKSUMS}"), need(snapshot, f"{folder}/{SIGNATURE}")
    return ReleasePapers(release, manifest, checksums, signature)


def _statements(snapshot: Snapshot, folder: str, release: Release) -> tuple[str, ...]:
    """The lines of a correction, which whoever signs is shown; that they are the vendor's was checked just before."""
    if release.correction is None:
        return ()
    (build,) = release.builds
    path = f"{folder}/{build.file}"
    return read_statements(need(snapshot, path), path)


def _others_staged(site: Site, snapshot: Snapshot, request: Request) -> Mapping[str, ReleasePapers]:
    """Every other release of the system that the commit holds, by version."""
    versions = repository.staged_versions(snapshot, request.system)
    return {v: _papers(site, snapshot, request.system, v) for v in sorted(versions - {request.version})}


def hosts_to_upgrade(site: Site, tree: Tree, request: Request) -> Sequence[InventoryHost]:
    """The hosts of a request, by the inventory in the tree: all of its pattern, or the half that it is for.

    Raises Refused `plan-no-hosts` when that half is empty.
    """
    found = site.inventory.resolve(tree.path, request.hosts)
    if request.only is None:
        return found
    chosen = [host for host in found if half_of(host) is request.only]
    if not chosen:
        raise Refused("plan-no-hosts", hosts=f"{request.hosts} ({request.only})")
    return chosen


def half_of(host: InventoryHost | PlannedHost) -> Half:
    return Half.SERVERS if host.workstation is None else Half.WORKSTATIONS


def make_materials(
    site: Site,
    trust: Trust,
    files: ChangeFiles,
    snapshot: Snapshot,
    tree: Tree,
    hosts: Sequence[InventoryHost],
    installed: Mapping[str, str],
    revision: int,
) -> Materials:
    """Put everything that a plan binds into one value. `installed` tells each host's version, by host name."""
    return Materials(
        site=trust.site,
        repository=trust.repository.id,
        revision=revision,
        request=files.request,
        request_digest=files.request_digest,
        release=files.release,
        manifest=Digest.of(files.papers.manifest),
        checksums=Digest.of(files.papers.checksums),
        signature=Digest.of(files.papers.signature),
        tests=tuple(Digest.of(content) for path, content in files.tests.items() if path.endswith(".json")),
        tree=tree.digest,
        hosts=[_planned(host, installed.get(host.name, UNKNOWN)) for host in hosts],
        versions=site.versions,
        statements=files.statements,
        left={version: papers.release for version, papers in files.left.items()},
        earlier=earlier_releases(site, snapshot, files.release, installed.values()),
        affects=_affected(site, snapshot, files.release.system),
        comes_after=earlier[-1].digest if (earlier := plans_before(snapshot, files.request)) else None,
    )


def _affected(site: Site, snapshot: Snapshot, system: SystemId) -> tuple[SystemId, ...] | None:
    graph = graph_on(site, snapshot)
    return affected_by(system, graph) if system in graph.systems else None


def earlier_releases(
    site: Site, snapshot: Snapshot, release: Release, installed: Iterable[str]
) -> Mapping[str, Release]:
    """Of the versions that are installed, the releases that this commit knows, by version.

    What cannot be read today, because it was written for an older upgrader, counts as not known.
    """
    found = {}
    for version in sorted(set(installed) - {"", UNKNOWN, release.version}):
        path = f"{repository.release_folder(release.system, version)}/{MANIFEST}"
        content = snapshot.read(path)
        if content is None:
            continue
        with suppress(BadInput):
            earlier = site.documents.read_release(content, path)
            if (earlier.system, earlier.version) == (release.system, version):
                found[version] = earlier
    return found


def need(snapshot: Snapshot, path: str) -> bytes:
    """A file that must be in the commit. Raises Refused `file-not-on-branch`."""
    content = snapshot.read(path)
    if content is None:
        raise Refused("file-not-on-branch", file=path, commit=snapshot.commit[:12])
    return content


def _planned(host: InventoryHost, installed: str) -> PlannedHost:
    return PlannedHost(
        name=HostName(host.name),
        address=host.address,
        port=host.port,
        user=host.user,
        host_key=host.host_key,
        installed=installed,
        parameters={"root": host.root, **host.parameters},
        workstation=host.workstation,
        platform=host.platform,
    )
