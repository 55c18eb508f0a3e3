"""Stage: bring a vendor's drop into our store, or raise and leave everything as it was."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from upgrader.domain.claim import Claim
from upgrader.domain.errors import Integrity, Refused
from upgrader.domain.record import Namespace
from upgrader.domain.release import Release
from upgrader.domain.trust import Trust, Vendor
from upgrader.flow import repository
from upgrader.flow.site import Site
from upgrader.ports import Drop, Progress

MANIFEST, CHECKSUMS, SIGNATURE = "release.yml", "SHA256SUMS", "SHA256SUMS.sig"


@dataclass(frozen=True, slots=True)
class Staged:
    release: Release
    files: int
    size: int
    signed_by: str
    was_there: bool


def stage(site: Site, drop: Drop, inspect: Callable[[Path], object], progress: Progress) -> Staged:
    """Bring one drop into the store and its manifest into the site repository.

    1. is it the vendor's?   2. is it safe to unpack?   3. is this version new, or the same bytes?   4. keep it
    """
    release = drop.release
    trust = site.trust.load()
    site.trust.check_current(trust, site.clock())
    signed_by = _check_vendor(site, trust, drop)
    builds = {build.file for build in release.builds}
    for build, path in drop.files:
        if build.file in builds:
            progress("progress.inspecting", {"file": build.file})
            inspect(path)
    site.clone.pull()
    was_there = _check_reuse(site, drop)
    for build, path in drop.files:
        progress("progress.storing", {"file": build.file})
        if site.builds.put(path) != build.sha256:
            raise Integrity("build-changed-while-staged", file=build.file)
    if not was_there:
        _publish(site, drop)
    return Staged(release, len(drop.files), sum(build.size for build, _ in drop.files), signed_by, was_there)


def vendor_of(trust: Trust, release: Release) -> Vendor:
    """The vendor of a release. Raises Refused when nobody enrolled them, or not for this system."""
    vendor = trust.vendor(release.vendor)
    if vendor is None:
        raise Refused("vendor-unknown", vendor=release.vendor, release=release.name)
    if release.system not in vendor.systems:
        raise Refused(
            "vendor-not-for-system", vendor=vendor.id, system=release.system, allowed=", ".join(vendor.systems)
        )
    return vendor


def _check_vendor(site: Site, trust: Trust, drop: Drop) -> str:
    vendor = vendor_of(trust, drop.release)
    return site.signatures.verify(vendor_claim(vendor, drop.checksums, drop.signature), site.clock())


def vendor_claim(vendor: Vendor, checksums: bytes, signature: bytes) -> Claim:
    """That the vendor signed the list of what it delivers."""
    return Claim(
        content=checksums,
        signature=signature,
        namespace=Namespace.RELEASE,
        principal=vendor.id,
        keys=vendor.keys,
        file=SIGNATURE,
    )


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
    documents = {build.file for build in drop.release.documents}
    files = {
        f"{folder}/{MANIFEST}": drop.manifest,
        f"{folder}/{CHECKSUMS}": drop.checksums,
        f"{folder}/{SIGNATURE}": drop.signature,
        **{f"{folder}/{build.file}": path.read_bytes() for build, path in drop.files if build.file in documents},
    }
    repository.publish(site, files, f"stage {drop.release.name}")
