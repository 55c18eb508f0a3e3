"""A vendor drop: the folder that a vendor brings, checked as a closed world before anything in it is used.

Every file is listed and every listed file is there; sizes and digests are equal. Whether the list is the vendor's is
not judged here: the caller verifies `signature` over `checksums`, and only then looks into the archives.

An archive is looked into without unpacking it: regular files and folders only, relative names that mean the same on
every disk, and never more than so many bytes and members. tarfile's own filters are not relied on.
"""

import gzip
import io
import os
import re
import stat
import tarfile
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from upgrader.adapters.documents import read_release
from upgrader.adapters.documents.source_text import LARGEST_FILE, refused_character
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, Refused
from upgrader.domain.names import FileName
from upgrader.domain.release import Build, Release

MANIFEST, CHECKSUMS, SIGNATURE = "release.yml", "SHA256SUMS", "SHA256SUMS.sig"
LARGEST_CHECKSUMS = 1024 * 1024
LARGEST_SIGNATURE = 64 * 1024
MOST_FILES_IN_DROP = 1000
LINE = re.compile(r"([0-9a-f]{64})  (\S+)")
CHUNK = 1024 * 1024
STREAM_BUFFER = 32 * 1024  # tarfile copies what is left of it for every header

LARGEST_TOTAL = 2 * 1024**3
MOST_MEMBERS = 100_000
HIGHEST_RATIO = 200
LONGEST_NAME, LONGEST_PART, DEEPEST = 1024, 255, 32
LARGEST_EXTENSION = 64 * 1024
LARGEST_STREAM = LARGEST_TOTAL + MOST_MEMBERS * 4096
PLAIN = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE})
EXTENSIONS = frozenset({tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME})
LINKS = frozenset({tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.GNUTYPE_LONGLINK})
DEVICES = frozenset({tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE})
HARMLESS_RECORDS = frozenset({"path", "mtime", "atime", "ctime", "uid", "gid", "uname", "gname", "comment"})


@dataclass(frozen=True, slots=True)
class StagedDrop:
    """A drop whose files are exactly those that it lists. The bytes of the three papers are kept as they were read."""

    release: Release
    manifest: bytes
    checksums: bytes
    signature: bytes
    files: tuple[tuple[Build, Path], ...]


class VendorDrop:
    """Reads a drop. Changes nothing, follows no link, and holds one chunk of a build in memory at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self) -> StagedDrop:
        """Check the drop and give what it holds.

        1. only plain files   2. the list, strictly   3. listed and there are the same   4. digests
        5. release.yml says the same of its builds and documents

        Raises Refused, Integrity for bytes that are not what they were said to be, BadInput for release.yml.
        """
        sizes = self._sizes()
        checksums = self._paper(CHECKSUMS, LARGEST_CHECKSUMS)
        signature = self._paper(SIGNATURE, LARGEST_SIGNATURE)
        listed = read_checksums(checksums)
        self._check_listing(sizes, listed)
        for name, digest in sorted(listed.items()):
            self._check_digest(name, digest)
        manifest = self._paper(MANIFEST, LARGEST_FILE)
        if Digest.of(manifest) != listed[MANIFEST]:
            raise Integrity("drop-file-changed", file=MANIFEST)
        release = read_release(manifest, MANIFEST)
        _check_release(release, listed, sizes)
        files = (*release.builds, *release.documents)
        return StagedDrop(
            release, manifest, checksums, signature, tuple((build, self._directory / build.file) for build in files)
        )

    def _sizes(self) -> dict[str, int]:
        """The plain files in the folder and their sizes. Anything else in it refuses."""
        sizes = {}
        try:
            with os.scandir(self._directory) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if not stat.S_ISREG(found.st_mode):
                        raise Refused("drop-not-a-file", file=_safe(entry.name), folder=self._directory)
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

    def _check_digest(self, name: str, expected: Digest) -> None:
        with self._open(name) as file:
            found = Digest.of_chunks(_chunks(file))
        if found != expected:
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
    shown = [_safe(name) for name in names]
    return ", ".join(shown[:5]) + (", …" if len(shown) > 5 else "")


def _safe(name: str) -> str:
    """A foreign name that may be shown: what cannot be seen as itself is escaped."""
    shown = name if name.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
    return shown[:200]


@dataclass(frozen=True, slots=True)
class ArchiveFacts:
    """How many regular files an archive holds, and how many bytes they are once unpacked."""

    files: int
    total_bytes: int


def inspect_archive(path: Path) -> ArchiveFacts:
    """Look at every member of a .tar, .tar.gz or .tgz. Raises Refused `archive-…` for the first that may not be."""
    tree = _Tree(path.name)
    members = total = files = 0
    with _refusing_damage(path.name), _opened(path) as stream, _members(stream) as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps every member it ever saw
            members, total, files = members + 1, total + member.size, files + member.isreg()
            if members > MOST_MEMBERS:
                raise Refused("archive-too-many-members", file=path.name, expected=MOST_MEMBERS)
            if total > LARGEST_TOTAL:
                raise Refused("archive-too-large", file=path.name, expected=LARGEST_TOTAL)
            _check_member(member, archive, path.name)
            tree.add(member.name, folder=member.isdir())
        _check_end(archive.fileobj, path.name)
    if not files:
        raise Refused("archive-empty", file=path.name)
    return ArchiveFacts(files, total)


class _Header(tarfile.TarInfo):
    """A header that is looked at before tarfile acts on it, and whose damage is never taken for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        kind, extends = header.type, header.type in EXTENSIONS
        if kind in LINKS:
            raise Refused("archive-link", member=_safe(header.name))
        if kind in DEVICES:
            raise Refused("archive-device", member=_safe(header.name))
        if not extends and kind not in PLAIN:
            raise Refused("archive-member-type", member=_safe(header.name), found=ascii(kind)[1:])
        if header.size < 0 or (extends and header.size > LARGEST_EXTENSION):
            raise Refused("archive-header-too-large", member=_safe(header.name), found=header.size)
        return header

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


def _check_member(member: tarfile.TarInfo, archive: tarfile.TarFile, file: str) -> None:
    name = _safe(member.name)
    for_all, for_this = set(archive.pax_headers), set(member.pax_headers)
    if strange := sorted((for_all - {"comment"}) | (for_this - HARMLESS_RECORDS)):
        raise Refused("archive-extended-header", file=file, member=name, found=_safe(strange[0]))
    if member.mode & 0o6000:
        raise Refused("archive-mode", file=file, member=name, found=f"{member.mode:04o}")
    if member.isdir() and member.size:
        raise Refused("archive-damaged", file=file, found=name)


@dataclass(slots=True)
class _Tree:
    """The names seen so far, as a disk would see them that knows neither capital letters nor Unicode forms."""

    file: str
    seen: dict[str, tuple[str, bool]] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)

    def add(self, name: str, *, folder: bool) -> None:
        """Take one name in. Raises Refused when it may not be, or meets another."""
        parts = self._parts(name, folder=folder)
        for depth in range(1, len(parts)):
            self._place("/".join(parts[:depth]), folder=True)
        if parts:
            self._place("/".join(parts), folder=folder)

    def _parts(self, name: str, *, folder: bool) -> list[str]:
        if name.startswith("/") or ".." in name.split("/"):
            raise Refused("archive-name-outside", file=self.file, member=_safe(name))
        parts = name.removeprefix("./").split("/") if name != "." else []
        sane = (
            (parts or folder)
            and len(name.encode("utf-8", "surrogateescape")) <= LONGEST_NAME
            and len(parts) <= DEEPEST
            and all(_is_sane(part) for part in parts)
        )
        if not sane:
            raise Refused("archive-name", file=self.file, member=_safe(name))
        return parts

    def _place(self, path: str, *, folder: bool) -> None:
        known = self.seen.setdefault(path.casefold(), (path, folder))
        if known != (path, folder) or (not folder and path in self.files):
            raise Refused("archive-names-collide", file=self.file, member=path, other=known[0])
        if not folder:
            self.files.add(path)


def _is_sane(part: str) -> bool:
    return (
        part not in ("", ".")
        and part == part.strip()
        and "\\" not in part
        and len(part.encode("utf-8", "surrogateescape")) <= LONGEST_PART
        and unicodedata.is_normalized("NFC", part)
        and refused_character(part) is None
    )


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Capped(io.RawIOBase):
    """A stream that ends in a refusal before it can fill a memory or a disk."""

    def __init__(self, stream: _Readable, *, file: str, packed: int) -> None:
        self._stream = stream
        self._file = file
        self._given = 0
        self._packed = packed

    def read(self, size: int = CHUNK) -> bytes:
        chunk = self._stream.read(size)
        self._given += len(chunk)
        if self._given > HIGHEST_RATIO * self._packed:
            raise Refused("archive-ratio", file=self._file, expected=HIGHEST_RATIO)
        if self._given > LARGEST_STREAM:
            raise Refused("archive-too-large", file=self._file, expected=LARGEST_TOTAL)
        return chunk


def _members(stream: _Capped) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="r|", bufsize=STREAM_BUFFER, tarinfo=_Header, encoding="utf-8")


@contextmanager
def _opened(path: Path) -> Iterator[_Capped]:
    """The archive's bytes, unpacked as they are read."""
    packed = path.stat().st_size
    if path.name.endswith((".tar.gz", ".tgz")):
        with gzip.open(path, "rb") as stream:
            yield _Capped(stream, file=path.name, packed=packed)
    elif path.name.endswith(".tar"):
        with path.open("rb") as stream:
            yield _Capped(stream, file=path.name, packed=packed)
    else:
        raise Refused("archive-type-unknown", file=path.name, expected=".tar.gz .tgz .tar")


@contextmanager
def _refusing_damage(file: str) -> Iterator[None]:
    """Name the file in what `_Header` refuses, and refuse whatever cannot be read to its end."""
    try:
        yield
    except Refused as error:
        raise Refused(error.code, **{"file": file, **error.fields}) from error
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise Refused("archive-damaged", file=file, found=_safe(str(error))) from error


def _check_end(rest: _Readable | None, file: str) -> None:
    """After the end mark there are zeros only: another program must not find more members than we did."""
    while rest is not None and (chunk := rest.read(CHUNK)):
        if chunk.strip(b"\0"):
            raise Refused("archive-goes-on", file=file)
