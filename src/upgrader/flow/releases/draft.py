"""Draft and seal: a vendor sent builds and no papers; a person completes a proposal, and vouches for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from upgrader.domain.approval.record import Namespace
from upgrader.domain.approval.trust import Trust
from upgrader.domain.errors import BadInput, Refused
from upgrader.domain.names import Version
from upgrader.domain.releases.draft import FoundFile, Proposal, Surroundings, newest_before, propose
from upgrader.domain.releases.release import Release
from upgrader.flow import repository
from upgrader.flow.identity import signing_key
from upgrader.flow.releases.stage import MANIFEST, release_claim
from upgrader.flow.site import Site


class DraftFolder(Protocol):
    """The folder in which a drop comes to be."""

    @property
    def folder(self) -> Path: ...
    def found(self) -> Sequence[FoundFile]: ...
    def write_manifest(self, text: str) -> Path: ...
    def manifest(self) -> bytes: ...
    def listing(self) -> bytes: ...
    def seal(self, listing: bytes, signature: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Drafted:
    """`previous` is the release whose manifest was the pattern; `todos` is how many places a person must fill in."""

    file: Path
    proposal: Proposal
    previous: Version | None
    todos: int


@dataclass(frozen=True, slots=True)
class Sealed:
    release: Release
    folder: Path
    signed_by: str


@dataclass(frozen=True, slots=True)
class _Papers:
    release: Release
    checksums: bytes
    signature: bytes


def draft(site: Site, folder: DraftFolder) -> Drafted:
    """Propose a release.yml beside the builds.

    1. look into the builds   2. what did the release before say?   3. write what is known, and TODO for the rest
    """
    proposal = propose(folder.found())
    if not proposal.builds:
        raise BadInput("draft-no-build", folder=folder.folder)
    trust = site.trust.load()
    previous, pattern = _previous(site, proposal)
    text = site.documents.draft_release(proposal, _surroundings(site, trust, proposal, previous), pattern)
    todos = sum("TODO" in line.partition("#")[0] for line in text.splitlines())
    return Drafted(folder.write_manifest(text), proposal, previous, todos)


def seal(site: Site, folder: DraftFolder) -> Sealed:
    """List what is there, sign the list with the acting person's key, and look at it as the gate will.

    Raises BadInput for an unfinished release.yml, Refused when this signature could never count: nothing is written.
    """
    release = site.documents.read_release(folder.manifest(), MANIFEST)
    listing = folder.listing()
    signature = site.signatures.sign(listing, Namespace.RELEASE, signing_key(site))
    claim = release_claim(site.trust.load(), _Papers(release, listing, signature))
    try:
        signed_by = site.signatures.verify(claim, site.clock())
    except Refused as error:
        if error.code == "key-not-known" and release.packager is None:
            raise Refused("seal-not-the-vendors", vendor=release.vendor, person=site.person or "PERSON") from error
        raise
    folder.seal(listing, signature)
    return Sealed(release, folder.folder, signed_by)


def _previous(site: Site, proposal: Proposal) -> tuple[Version | None, str | None]:
    """The newest older release of the system in the person's clone, and the text of its manifest."""
    if proposal.system is None:
        return None, None
    place = site.clone.root / repository.release_folder(proposal.system, "")
    staged = [path.parent.name for path in place.glob(f"*/{MANIFEST}")]
    found = newest_before((Version(name) for name in staged if Version.pattern.fullmatch(name)), proposal.version)
    if found is None:
        return None, None
    text = (place / found / MANIFEST).read_text(encoding="utf-8")
    same_strategy = site.documents.read_release(text.encode(), MANIFEST).strategy is proposal.strategy
    return found, text if same_strategy else None


def _surroundings(site: Site, trust: Trust, proposal: Proposal, previous: Version | None) -> Surroundings:
    vendors = [vendor for vendor in trust.vendors if proposal.system in vendor.systems]
    vendor = vendors[0] if len(vendors) == 1 else None
    may_vouch = vendor is not None and site.person in (vendor.packagers or ())
    return Surroundings(
        vendor=vendor.id if vendor else None,
        packager=site.person if may_vouch else None,
        previous=previous,
        today=f"{site.clock():%Y-%m-%d}",
    )
