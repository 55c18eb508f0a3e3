"""Stage: bring a vendor's drop into our store, or raise and leave everything as it was."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from upgrader.domain.claim import Claim
from upgrader.domain.correction import read_statements
from upgrader.domain.errors import Integrity, Refused
from upgrader.domain.inspection import BuildFacts
from upgrader.domain.names import PersonId, SystemId, Version
from upgrader.domain.record import Namespace
from upgrader.domain.release import Release
from upgrader.domain.trust import Key, Trust, Vendor
from upgrader.domain.version_order import is_older, newest_last
from upgrader.flow import repository
from upgrader.flow.site import Site
from upgrader.ports import Drop, Progress

MANIFEST, CHECKSUMS, SIGNATURE = "release.yml", "SHA256SUMS", "SHA256SUMS.sig"


class Delivered(Protocol):
    """Whose release it is, as its manifest says it, or the plan that binds that manifest."""

    @property
    def system(self) -> SystemId: ...
    @property
    def name(self) -> str: ...
    @property
    def vendor(self) -> PersonId: ...
    @property
    def packager(self) -> PersonId | None: ...


class Papers(Protocol):
    """What a signature over a release is judged by."""

    @property
    def release(self) -> Delivered: ...
    @property
    def checksums(self) -> bytes: ...
    @property
    def signature(self) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    release: Release
    files: int
    size: int
    signed_by: str
    was_there: bool
    seen: Mapping[str, BuildFacts]
    newest: Version | None  # the newest release of the system that was staged before, when it is newer than this one


def check_papers(site: Site, papers: Papers) -> str:
    """Whether somebody whom the trust file knows vouches for a release; gives the fingerprint of the key.

    This is asked before anything large is fetched. Raises Refused.
    """
    trust = site.trust.load()
    site.trust.check_current(trust, site.clock())
    return site.signatures.verify(release_claim(trust, papers), site.clock())


def stage(site: Site, drop: Drop, inspect: Callable[[Path], BuildFacts], progress: Progress) -> Staged:
    """Bring one drop into the store and its manifest into the site repository.

    1. is it the vendor's?   2. is it safe to unpack?   3. is this version new, or the same bytes?   4. keep it
    """
    release = drop.release
    signed_by = check_papers(site, drop)
    builds, seen = {build.file for build in release.builds}, {}
    for build, path in drop.files:
        if build.file in builds:
            progress("progress.inspecting", {"file": build.file})
            seen[str(build.file)] = _look_into(release, path, inspect)
    site.clone.pull()
    was_there = _check_reuse(site, drop)
    for build, path in drop.files:
        progress("progress.storing", {"file": build.file})
        if site.builds.put(path) != build.sha256:
            raise Integrity("build-changed-while-staged", file=build.file)
    if not was_there:
        _publish(site, drop)
    return Staged(
        release=release,
        files=len(drop.files),
        size=sum(build.size for build, _ in drop.files),
        signed_by=signed_by,
        was_there=was_there,
        seen=seen,
        newest=_newer_release(site, release),
    )


def _newer_release(site: Site, release: Release) -> Version | None:
    """The newest release of the system in the person's clone, if it is newer than this one."""
    folder = site.clone.root / repository.release_folder(release.system, "")
    known = [Version(path.name) for path in folder.iterdir() if Version.pattern.fullmatch(path.name)]
    newer = sorted((version for version in known if is_older(release.version, version)), key=newest_last)
    return newer[-1] if newer else None


def _look_into(release: Release, path: Path, inspect: Callable[[Path], BuildFacts]) -> BuildFacts:
    """What is in the build. The statements of a correction have to be what a person can read, and later signs."""
    if release.correction is not None:
        read_statements(path.read_bytes(), path.name)
    return inspect(path)


def vendor_of(trust: Trust, release: Delivered) -> Vendor:
    """The vendor of a release. Raises Refused when nobody enrolled them, or not for this system."""
    vendor = trust.vendor(release.vendor)
    if vendor is None:
        raise Refused("vendor-unknown", vendor=release.vendor, release=release.name)
    if release.system not in vendor.systems:
        raise Refused(
            "vendor-not-for-system", vendor=vendor.id, system=release.system, allowed=", ".join(vendor.systems)
        )
    return vendor


def release_claim(trust: Trust, papers: Papers) -> Claim:
    """That the vendor signed the list of what it delivers, or the packager whom the release names in its place.

    Raises Refused when the vendor is not enrolled for the system, or the packager may not vouch for this vendor.
    """
    principal, keys = _voucher(trust, papers.release)
    return Claim(
        content=papers.checksums,
        signature=papers.signature,
        namespace=Namespace.RELEASE,
        principal=principal,
        keys=tuple(keys),
        file=SIGNATURE,
    )


def _voucher(trust: Trust, release: Delivered) -> tuple[PersonId, Sequence[Key]]:
    vendor = vendor_of(trust, release)
    if release.packager is None:
        return vendor.id, vendor.keys
    person = trust.person(release.packager)
    if release.packager not in (vendor.packagers or ()):
        raise Refused("packager-not-allowed", person=release.packager, vendor=vendor.id, release=release.name)
    if person is None or not person.active:
        raise Refused("person-not-active", person=release.packager, file=SIGNATURE)
    return person.id, person.keys


def _check_reuse(site: Site, drop: Drop) -> bool:
    """Whether this version is known already. Raises Refused when it is, with other bytes."""
    folder = repository.release_folder(drop.release.system, drop.release.version)
    known = site.clone.root / folder / CHECKSUMS
    if not known.exists():
        return False
    if known.read_bytes() != drop.checksums:
        raise Refused("version-reused", release=drop.release.name, file=f"{folder}/{CHECKSUMS}")
    return True


def _publish(site: Site, drop: Drop) -> None:
    folder = repository.release_folder(drop.release.system, drop.release.version)
    release = drop.release
    shown = release.documents if release.correction is None else (*release.documents, *release.builds)
    documents = {build.file for build in shown}
    files = {
        f"{folder}/{MANIFEST}": drop.manifest,
        f"{folder}/{CHECKSUMS}": drop.checksums,
        f"{folder}/{SIGNATURE}": drop.signature,
        **{f"{folder}/{build.file}": path.read_bytes() for build, path in drop.files if build.file in documents},
    }
    repository.publish(site, files, f"stage {drop.release.name}")
