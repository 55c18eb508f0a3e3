"""Quarantine: what comes from outside lies here, where nothing looks, until all of it has come and is whole."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from upgrader.adapters.archives import Limits, unpack
from upgrader.adapters.builds.vendor_drop import (
    CHECKSUMS,
    LARGEST_CHECKSUMS,
    LARGEST_SIGNATURE,
    MANIFEST,
    MOST_FILES_IN_DROP,
    SIGNATURE,
    DropPapers,
    VendorDrop,
    read_checksums,
)
from upgrader.adapters.documents.source_text import LARGEST_FILE
from upgrader.adapters.sources.transfer import Transfer, writing
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, Refused
from upgrader.domain.releases.build_kind import ARCHIVES, HEAD_BYTES, checked_kind
from upgrader.domain.releases.source import Address

DROP_LIMITS = Limits(total_bytes=16 * 1024**3, members=MOST_FILES_IN_DROP)
LARGEST_ARCHIVE = 16 * 1024**3


Vouched = Callable[[DropPapers], object]  # raises Refused when nobody we know vouches for the papers


class Quarantine:
    """A folder of the state with one folder per source; what a broken transfer left is kept there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, source: str) -> Path:
        """The folder of one source."""
        return self._folder / hashlib.sha256(source.encode()).hexdigest()[:16]

    def lock(self, source: str) -> str:
        """The name of the lock that whoever fetches from a source holds."""
        return f"source-{self.of(source).name}"

    @contextmanager
    def fetched(self, address: Address, transfer: Transfer, vouched: Vouched) -> Iterator[Path]:
        """The drop of an address, whole, for as long as the context lasts; then it is removed.

        1. the papers   2. does somebody we know vouch for them?   3. every listed file, none larger than release.yml
        says   4. all digests are right: only then the folder gets the name under which it is read. What broke off
        stays for the next time.
        """
        place = self.of(str(address))
        incoming = place / "incoming"
        with writing(incoming):
            incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        if address.is_archive:
            transfer.fetch(address.name, incoming / address.name, LARGEST_ARCHIVE)
        else:
            _fetch_drop(incoming, transfer, vouched)
        whole = place / "whole"
        _remove(whole)
        incoming.replace(whole)
        try:
            if address.is_archive:
                with self.unpacked(whole / address.name) as drop:
                    yield drop
            else:
                yield whole
        finally:
            _remove(place)

    @contextmanager
    def unpacked(self, archive: Path) -> Iterator[Path]:
        """The drop that an archive holds: at its top, or in the one folder at its top."""
        place = self.of(f"{archive.absolute()} unpacked")
        _remove(place)
        try:
            with _readable(archive) as head:
                kind = checked_kind(archive.name, head)
            if kind not in ARCHIVES:
                raise Refused("source-not-a-drop", file=archive.name)
            unpack(archive, kind, place, DROP_LIMITS)
            inside = list(place.iterdir())
            yield inside[0] if len(inside) == 1 and inside[0].is_dir() else place
        finally:
            _remove(place)


def _fetch_drop(incoming: Path, transfer: Transfer, vouched: Vouched) -> None:
    """Fetch the list, then what it names; a file that came whole before, and is the listed one, stays."""
    limits = {CHECKSUMS: LARGEST_CHECKSUMS, SIGNATURE: LARGEST_SIGNATURE, MANIFEST: LARGEST_FILE}
    for paper, limit in limits.items():
        (incoming / paper).unlink(missing_ok=True)
        transfer.fetch(paper, incoming / paper, limit)
    papers = VendorDrop(incoming).papers()
    vouched(papers)
    listed = read_checksums(papers.checksums)
    for stale in incoming.iterdir():
        if stale.name.removesuffix(".json").removesuffix(".part") not in (*listed, CHECKSUMS, SIGNATURE):
            stale.unlink()
    for build in (*papers.release.builds, *papers.release.documents):
        if build.file in listed:
            _fetch_listed(build.file, listed[build.file], build.size, incoming, transfer)


def _fetch_listed(name: str, digest: Digest, size: int, incoming: Path, transfer: Transfer) -> None:
    """Fetch one file until it is the listed one. Parts that do not fit together are thrown away, once."""
    place = incoming / name
    if place.exists() and _digest(place) == digest:
        return
    place.unlink(missing_ok=True)
    for _ in range(2):
        resumed = transfer.fetch(name, place, size)
        found = _digest(place)
        if found == digest:
            return
        place.unlink()
        if not resumed:
            break
    raise Integrity("drop-digest-differs", file=name, expected=digest, found=found)


def _digest(path: Path) -> Digest:
    with path.open("rb") as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest())


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


@contextmanager
def _readable(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield file.read(HEAD_BYTES)
    except OSError as error:
        raise Refused("drop-unreadable", file=path.name, found=error.strerror) from error
