"""Materials: gather from one commit everything that a plan is made of. Planning and the gate share it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused
from upgrader.domain.names import HostName
from upgrader.domain.plan import UNKNOWN, Materials, PlannedHost
from upgrader.domain.release import Release
from upgrader.domain.request import Request
from upgrader.domain.trust import Trust
from upgrader.flow import repository
from upgrader.flow.site import Site
from upgrader.flow.stage import CHECKSUMS, MANIFEST, SIGNATURE
from upgrader.ports import InventoryHost, Snapshot, Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeFiles:
    """A change as one commit holds it, read strictly."""

    request: Request
    request_digest: Digest
    release: Release
    manifest: bytes
    checksums: bytes
    signature: bytes
    tests: Mapping[str, bytes]  # signed test records beside the release, and their signatures, by path


def read_change_files(site: Site, snapshot: Snapshot, change: str) -> ChangeFiles:
    """Read the request and its release from a commit. Raises Refused for a missing file, BadInput for a wrong one."""
    request_path = f"{repository.change_folder(change)}/request.yml"
    request_bytes = need(snapshot, request_path)
    request = site.documents.read_request(request_bytes, request_path)
    if request.change != change:
        raise Refused("request-elsewhere", file=request_path, expected=change, found=request.change)
    folder = repository.release_folder(request.system, request.version)
    manifest = need(snapshot, f"{folder}/{MANIFEST}")
    release = site.documents.read_release(manifest, f"{folder}/{MANIFEST}")
    if (release.system, release.version) != (request.system, request.version):
        raise Refused("release-elsewhere", file=f"{folder}/{MANIFEST}", found=release.name)
    known = {MANIFEST, CHECKSUMS, SIGNATURE, *(build.file for build in release.documents)}
    others = {b.path: b.content for b in snapshot.files(folder) if b.path.removeprefix(f"{folder}/") not in known}
    return ChangeFiles(
        request=request,
        request_digest=Digest.of(request_bytes),
        release=release,
        manifest=manifest,
        checksums=need(snapshot, f"{folder}/{CHECKSUMS}"),
        signature=need(snapshot, f"{folder}/{SIGNATURE}"),
        tests=others,
    )


def make_materials(
    site: Site,
    trust: Trust,
    files: ChangeFiles,
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
        manifest=Digest.of(files.manifest),
        checksums=Digest.of(files.checksums),
        signature=Digest.of(files.signature),
        tests=tuple(Digest.of(content) for path, content in files.tests.items() if path.endswith(".json")),
        tree=tree.digest,
        hosts=[_planned(host, installed.get(host.name, UNKNOWN)) for host in hosts],
        versions=site.versions,
    )


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
    )
