"""Stage: bring a vendor's drop into our store, or raise and leave everything as it was."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from upgrader.domain.approval.claim import Claim
from upgrader.domain.approval.record import Namespace
from upgrader.domain.approval.trust import Key, Trust, Vendor
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, Refused
from upgrader.domain.names import PersonId, SystemId, Version
from upgrader.domain.releases.build_facts import BuildFacts
from upgrader.domain.releases.correction import read_statements
from upgrader.domain.releases.release import Build, Release
from upgrader.domain.releases.version_order import compare, is_older, newest_last
from upgrader.flow import repository
from upgrader.flow.releases.known_bad import check_not_known_bad, suspect_of
from upgrader.flow.site import Site
from upgrader.ports import Drop, Progress

MANIFEST, CHECKSUMS, SIGNATURE = "release.yml", "SHA256SUMS", "SHA256SUMS.sig"


Held = Callable[[Path, Collection[Digest]], Collection[Digest]]


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


def stage(site: Site, drop: Drop, inspect: Callable[[Path], BuildFacts], held: Held, progress: Progress) -> Staged:
    """Bring one drop into the store and its manifest into the site repository.

    1. is it the vendor's?   2. is it safe to unpack, and what its probes look for?   3. is this version new, or the
    same bytes?   4. keep it. `held` tells which of some files, known by SHA-256, a build is or holds.
    """
    release = drop.release
    signed_by = check_papers(site, drop)
    builds, seen = {build.file for build in release.builds}, {}
    for build, path in drop.files:
        if build.file in builds:
            progress("progress.inspecting", {"file": build.file})
            seen[str(build.file)] = _look_into(release, path, inspect)
    _check_offered(drop, held)
    site.clone.pull()
    check_not_known_bad(site, site.trust.load(), site.mirror.refresh(), suspect_of(release, drop.manifest))
    was_there = _check_reuse(site, drop)
    for build, path in drop.files:
        progress("progress.storing", {"file": build.file})
        if site.builds.put(path) != build.sha256:
            raise Integrity("build-changed-while-staged", file=build.file)
    if not was_there:
        repository.publish(site, _files(drop), f"stage {release.name}")
    return Staged(
        release=release,
        files=len(drop.files),
        size=sum(build.size for build, _ in drop.files),
        signed_by=signed_by,
        was_there=was_there,
        seen=seen,
        newest=_newer_release(site, release),
    )


def _look_into(release: Release, path: Path, inspect: Callable[[Path], BuildFacts]) -> BuildFacts:
    """What is in the build. The statements of a correction have to be what a person can read, and later signs."""
    if release.correction is not None:
        read_statements(path.read_bytes(), path.name)
    return inspect(path)


def _check_offered(drop: Drop, held: Held) -> None:
    """A file that probes fetch and know by its SHA-256 has to come with the release, or every host would be taken back.

    Raises Refused `probe-file-not-delivered` for the first one that is in no build.
    """
    release = drop.release
    wanted = {probe.expect_sha256: probe for probe in release.probes if probe.expect_sha256 is not None}
    builds = {build.file for build in release.builds}
    for build, path in drop.files:
        if wanted and build.file in builds:
            for digest in held(path, tuple(wanted)):
                del wanted[digest]
    for digest, probe in wanted.items():
        raise Refused("probe-file-not-delivered", release=release.name, probe=probe.name, found=digest.hex)


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
    """Whether this version is known already, in all its files.

    Raises Refused when it is known with other bytes, here or on the protected branch, when the branch once held it
    otherwise, and when another spelling of the same version is known. Papers that somebody spoilt are put right.
    """
    folder = repository.release_folder(drop.release.system, drop.release.version)
    checksums = f"{folder}/{CHECKSUMS}"
    snapshot = site.mirror.refresh()
    for known in (_read(site, checksums), snapshot.read(checksums)):
        if known is not None and known != drop.checksums:
            raise Refused("version-reused", release=drop.release.name, file=checksums)
    if checksums in site.mirror.removed_records(snapshot.commit, folder):
        raise Refused("version-was-other", release=drop.release.name, file=checksums)
    if alike := [v for v in _known_versions(site, drop.release) if compare(v, drop.release.version) == 0]:
        raise Refused("version-alike", release=drop.release.name, found=", ".join(alike))
    files = _files(drop)
    signed = _read(site, f"{folder}/{SIGNATURE}")
    if signed is not None and _still_counts(site, drop, signed):
        del files[f"{folder}/{SIGNATURE}"]  # another signature over the same bytes is no news
    return all(_read(site, path) == content for path, content in files.items())


def _still_counts(site: Site, drop: Drop, signature: bytes) -> bool:
    """Whether the signature that stands on the branch is good today; a vendor whose key was lost signs once more."""
    claim = replace(release_claim(site.trust.load(), drop), signature=signature)
    try:
        site.signatures.verify(claim, site.clock())
    except Refused:
        return False
    return True


def _known_versions(site: Site, release: Release) -> Sequence[Version]:
    """The other versions of the system in the person's clone, which was brought to the branch's tip just now."""
    folder = site.clone.root / repository.release_folder(release.system, "")
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return [Version(name) for name in names if Version.pattern.fullmatch(name) and name != release.version]


def _newer_release(site: Site, release: Release) -> Version | None:
    """The newest known release of the system, if it is newer than this one."""
    newer = [version for version in _known_versions(site, release) if is_older(release.version, version)]
    return sorted(newer, key=newest_last)[-1] if newer else None


def _read(site: Site, path: str) -> bytes | None:
    file = site.clone.root / path
    return file.read_bytes() if file.is_file() else None


def _files(drop: Drop) -> dict[str, bytes]:
    """What of a drop goes into the site repository, by path: papers and documents, never a build.

    Raises Integrity for a document that changed since it was judged.
    """
    folder = repository.release_folder(drop.release.system, drop.release.version)
    documents = {shown.file for shown in drop.release.shown}
    return {
        f"{folder}/{MANIFEST}": drop.manifest,
        f"{folder}/{CHECKSUMS}": drop.checksums,
        f"{folder}/{SIGNATURE}": drop.signature,
        **{f"{folder}/{build.file}": _document(build, path) for build, path in drop.files if build.file in documents},
    }


def _document(document: Build, path: Path) -> bytes:
    content = path.read_bytes()
    if Digest.of(content) != document.sha256:
        raise Integrity("build-changed-while-staged", file=document.file)
    return content
