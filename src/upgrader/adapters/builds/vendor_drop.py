"""A vendor drop: the folder that a vendor brings, checked as a closed world before anything in it is used.

Every file is listed and every listed file is there; sizes and digests are equal. Whether the list is the vendor's is
not judged here: the caller verifies `signature` over `checksums`, and only then looks into the archives.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from upgrader.adapters.archives.names import shown
from upgrader.adapters.documents import read_release
from upgrader.adapters.documents.source_text import LARGEST_FILE
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, Refused
from upgrader.domain.names import FileName
from upgrader.domain.releases.release import Build, Release

MANIFEST, CHECKSUMS, SIGNATURE = "release.yml", "SHA256SUMS", "SHA256SUMS.sig"
LARGEST_CHECKSUMS = 1024 * 1024
LARGEST_SIGNATURE = 64 * 1024
MOST_FILES_IN_DROP = 1000
LINE = re.compile(r"([0-9a-f]{64})  (\S+)")
CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DropPapers:
    """The three papers of a drop, as bytes and as far as they are read: whose they are is for the signature to say."""

    release: Release
    manifest: bytes
    checksums: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class StagedDrop(DropPapers):
    """A drop whose files are exactly those that it lists. The bytes of the three papers are kept as they were read."""

    files: tuple[tuple[Build, Path], ...]


class VendorDrop:
    """Reads a drop. Changes nothing, follows no link, and holds one chunk of a build in memory at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self) -> StagedDrop:
        """Check the drop and give what it holds.

        1. only plain files   2. the papers, strictly   3. listed and there are the same   4. digests
        5. release.yml says the same of its builds and documents

        Raises Refused, Integrity for bytes that are not what they were said to be, BadInput for release.yml.
        """
        sizes = self._sizes()
        papers = self.papers()
        listed = read_checksums(papers.checksums)
        self._check_listing(sizes, listed)
        described = {build.file: build.size for build in (*papers.release.builds, *papers.release.documents)}
        for name, digest in sorted(listed.items()):
            self._check_digest(name, digest, sizes[name], described.get(FileName(name), 0))
        _check_release(papers.release, listed, sizes)
        files = (*papers.release.builds, *papers.release.documents)
        return StagedDrop(
            papers.release,
            papers.manifest,
            papers.checksums,
            papers.signature,
            tuple((build, self._directory / build.file) for build in files),
        )

    def papers(self) -> DropPapers:
        """The papers alone: the list read strictly, and release.yml as the list has it."""
        checksums = self._paper(CHECKSUMS, LARGEST_CHECKSUMS)
        signature = self._paper(SIGNATURE, LARGEST_SIGNATURE)
        expected = read_checksums(checksums)[MANIFEST]
        manifest = self._paper(MANIFEST, LARGEST_FILE)
        if (found := Digest.of(manifest)) != expected:
            raise Integrity("drop-digest-differs", file=MANIFEST, expected=expected, found=found)
        return DropPapers(read_release(manifest, MANIFEST), manifest, checksums, signature)

    def _sizes(self) -> dict[str, int]:
        """The plain files in the folder and their sizes. Anything else in it refuses."""
        sizes = {}
        try:
            with os.scandir(self._directory) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if not stat.S_ISREG(found.st_mode):
                        raise Refused("drop-not-a-file", file=shown(entry.name), folder=self._directory)
                    sizes[entry.name] = found.st_size
                    if len(sizes) > MOST_FILES_IN_DROP:
                        raise Refused("drop-too-many-files", folder=self._directory, expected=MOST_FILES_IN_DROP)
        except OSError as error:
            raise Refused("drop-unreadable", file=self._directory, found=error.strerror) from error
        for paper in (MANIFEST, CHECKSUMS, SIGNATURE):
            if paper not in sizes:
                raise Refused("drop-paper-missing", file=paper, folder=self._directory)
        return sizes

    def _check_listing(self, sizes: Mapping[str, int], listed: Mapping[str, Digest]) -> None:
        unlisted = sorted(set(sizes) - set(listed) - {CHECKSUMS, SIGNATURE})
        if unlisted:
            raise Refused("drop-file-unlisted", files=_some(unlisted), count=len(unlisted), list=CHECKSUMS)
        absent = sorted(set(listed) - set(sizes))
        if absent:
            raise Refused("drop-file-absent", files=_some(absent), count=len(absent), list=CHECKSUMS)

    def _check_digest(self, name: str, expected: Digest, size: int, described: int) -> None:
        with self._open(name) as file:
            found = Digest.of_chunks(_chunks(file))
        if found != expected:
            if size < described:
                raise Integrity("drop-file-cut", file=name, expected=described, found=size)
            raise Integrity("drop-digest-differs", file=name, expected=expected, found=found)

    def _paper(self, name: str, largest: int) -> bytes:
        with self._open(name) as file:
            content = file.read(largest + 1)
        if len(content) > largest:
            raise Refused("drop-paper-too-large", file=name, expected=largest)
        return content

    @contextmanager
    def _open(self, name: str) -> Iterator[BinaryIO]:
        """The file itself, never where a link would lead; a pipe that was put in its place does not make us wait."""
        try:
            number = os.open(self._directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(number, "rb") as file:
                if not stat.S_ISREG(os.fstat(number).st_mode):
                    raise Refused("drop-not-a-file", file=name, folder=self._directory)
                yield file
        except OSError as error:
            raise Refused("drop-unreadable", file=name, found=error.strerror) from error


def read_checksums(content: bytes) -> dict[str, Digest]:
    """Read SHA256SUMS as sha256sum writes it: 64 digits, two spaces, a name, a line feed; nothing else at all."""
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Refused("checksums-malformed", file=CHECKSUMS, line=line) from error
    listed: dict[str, Digest] = {}
    lines = text.split("\n")
    if lines.pop() or not lines:
        raise Refused("checksums-malformed", file=CHECKSUMS, line=len(lines) + 1)
    for number, written in enumerate(lines, 1):
        name, digest = _checksum(written, number)
        if name.casefold() in {other.casefold() for other in (*listed, CHECKSUMS, SIGNATURE)}:
            raise Refused("checksums-name-twice", file=CHECKSUMS, line=number, name=name)
        listed[name] = digest
        if len(listed) > MOST_FILES_IN_DROP:
            raise Refused("drop-too-many-files", folder=CHECKSUMS, expected=MOST_FILES_IN_DROP)
    if MANIFEST not in listed:
        raise Refused("checksums-without-manifest", file=CHECKSUMS, expected=MANIFEST)
    return listed


def _checksum(line: str, number: int) -> tuple[str, Digest]:
    match = LINE.fullmatch(line)
    try:
        if match is None:
            raise ValueError(line)
        return FileName(match[2]), Digest(match[1])
    except ValueError as error:
        raise Refused("checksums-malformed", file=CHECKSUMS, line=number) from error


def _check_release(release: Release, listed: Mapping[str, Digest], sizes: Mapping[str, int]) -> None:
    """release.yml and the list speak of the same files, and say the same of them."""
    described = {build.file: build for build in (*release.builds, *release.documents)}
    if apart := sorted(set(described) ^ (set(listed) - {MANIFEST})):
        raise Refused("drop-release-differs", files=_some(apart), count=len(apart), list=CHECKSUMS)
    for name, build in described.items():
        if build.sha256 != listed[name]:
            raise Integrity("release-digest-differs", file=name, expected=build.sha256, found=listed[name])
        if build.size != sizes[name]:
            raise Integrity("release-size-differs", file=name, expected=build.size, found=sizes[name])


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _some(names: Iterable[str]) -> str:
    told = [shown(name) for name in names]
    return ", ".join(told[:5]) + (", …" if len(told) > 5 else "")
