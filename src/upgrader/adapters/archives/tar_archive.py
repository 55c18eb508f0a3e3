"""A tar archive, looked into as a stream: plain, gzip or xz. Every header is judged before tarfile acts on it."""

import gzip
import io
import lzma
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Protocol, Self

from upgrader.adapters.archives.member import CHUNK, Limits, Member
from upgrader.adapters.archives.names import Tree, shown
from upgrader.domain.errors import Refused

STREAM_BUFFER = 32 * 1024  # tarfile copies what is left of it for every header
LARGEST_EXTENSION = 64 * 1024
XZ_MEMORY = 256 * 1024 * 1024
HEADER_SHARE = 4096  # bytes of the stream that one member may cost beside its content
PLAIN = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE})
LINKS = frozenset({tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.GNUTYPE_LONGLINK})
DEVICES = frozenset({tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE})
HARMLESS_RECORDS = frozenset({"path", "mtime", "atime", "ctime", "uid", "gid", "uname", "gname", "comment"})
FORMS = {".gz": "gzip", ".tgz": "gzip", ".xz": "xz", ".txz": "xz", ".tar": "plain"}


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def tar_members(path: Path, limits: Limits, tree: Tree) -> Iterator[Member]:
    """Every member of a .tar, .tar.gz, .tgz, .tar.xz or .txz."""
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise Refused("archive-type-unknown", file=path.name, expected=" ".join(sorted(FORMS)))
    with path.open("rb") as stream:
        yield from stream_members(stream, form, path.stat().st_size, limits, tree)


def stream_members(
    stream: Readable, form: str, packed: int, limits: Limits, tree: Tree, header: "type[Header] | None" = None
) -> Iterator[Member]:
    """Every member of a tar stream of `packed` bytes in one of FORMS, to its end."""
    members = total = 0
    with _unpacked(stream, form, packed, limits) as capped, _opened(capped, header or Header) as archive:
        while (found := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps every member it ever saw
            members, total = members + 1, total + found.size
            if members > limits.members:
                raise Refused("archive-too-many-members", expected=limits.members)
            if total > limits.total_bytes:
                raise Refused("archive-too-large", expected=limits.total_bytes)
            _check_member(found, archive, setuid_allowed=bool(header and header.package))
            parts = tree.add(found.name, folder=found.isdir())
            if found.isreg() or found.isdir():
                yield Member(parts, found.isdir(), found.size, bool(found.mode & 0o111), _content(archive, found))
        _check_end(archive.fileobj)


class Header(tarfile.TarInfo):
    """A header that is looked at before tarfile acts on it, and whose damage is never taken for the end."""

    package: ClassVar[bool] = False  # whether it is of a package, which dpkg unpacks: links and set-id bits are its own

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        kind = header.type
        extends = kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME) or (
            cls.package and kind == tarfile.GNUTYPE_LONGLINK
        )
        if kind in LINKS and not cls.package:
            raise Refused("archive-link", member=shown(header.name))
        if kind in DEVICES:
            raise Refused("archive-device", member=shown(header.name))
        if not extends and kind not in PLAIN | LINKS:
            raise Refused("archive-member-type", member=shown(header.name), found=ascii(kind)[1:])
        if header.size < 0 or (extends and header.size > LARGEST_EXTENSION):
            raise Refused("archive-header-too-large", member=shown(header.name), found=header.size)
        return header

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


class PackageHeader(Header):
    """A header in the data of a Debian package."""

    package = True


def _check_member(member: tarfile.TarInfo, archive: tarfile.TarFile, *, setuid_allowed: bool) -> None:
    name = shown(member.name)
    for_all, for_this = set(archive.pax_headers), set(member.pax_headers)
    if strange := sorted((for_all - {"comment"}) | (for_this - HARMLESS_RECORDS)):
        raise Refused("archive-extended-header", member=name, found=shown(strange[0]))
    if member.mode & 0o6000 and not setuid_allowed:
        raise Refused("archive-mode", member=name, found=f"{member.mode:04o}")
    if member.isdir() and member.size:
        raise Refused("archive-damaged", found=name)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> "Content":
    return Content(archive, member)


class Content:
    """The bytes of the member at which the stream stands."""

    def __init__(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self._archive = archive
        self._member = member

    def __call__(self) -> Iterator[bytes]:
        left, file = self._member.size, self._archive.extractfile(self._member)
        while file is not None and left:
            chunk = file.read(min(CHUNK, left))
            if not chunk:
                raise Refused("archive-damaged", found=shown(self._member.name))
            left -= len(chunk)
            yield chunk


class _Capped(io.RawIOBase):
    """A stream that ends in a refusal before it can fill a memory or a disk."""

    def __init__(self, stream: Readable, packed: int, limits: Limits) -> None:
        self._stream = stream
        self._given = 0
        self._packed = packed
        self._limits = limits

    def read(self, size: int = CHUNK) -> bytes:
        chunk = self._stream.read(size)
        self._given += len(chunk)
        if self._given > self._limits.ratio * self._packed:
            raise Refused("archive-ratio", expected=self._limits.ratio)
        if self._given > self._limits.total_bytes + self._limits.members * HEADER_SHARE:
            raise Refused("archive-too-large", expected=self._limits.total_bytes)
        return chunk


class _Xz:
    """One .xz stream and nothing after it, unpacked as it is read, in bounded memory."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)

    def read(self, size: int, /) -> bytes:
        while not self._decompressor.eof:
            packed = self._stream.read(STREAM_BUFFER) if self._decompressor.needs_input else b""
            if not packed and self._decompressor.needs_input:
                raise EOFError("the compressed stream ends too early")
            if chunk := self._decompressor.decompress(packed, size):
                return chunk
        if self._decompressor.unused_data or self._stream.read(1):
            raise Refused("archive-goes-on")
        return b""


@contextmanager
def _unpacked(stream: Readable, form: str, packed: int, limits: Limits) -> Iterator[_Capped]:
    """The archive's bytes, unpacked as they are read."""
    match form:
        case "gzip":
            with gzip.GzipFile(fileobj=stream, mode="rb") as unzipped:  # type: ignore[call-overload]  # it only reads
                yield _Capped(unzipped, packed, limits)
        case "xz":
            yield _Capped(_Xz(stream), packed, limits)
        case _:
            yield _Capped(stream, packed, limits)


def _opened(stream: _Capped, header: type[Header]) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="r|", bufsize=STREAM_BUFFER, tarinfo=header, encoding="utf-8")


def _check_end(rest: Readable | None) -> None:
    """After the end mark there are zeros only: another program must not find more members than we did."""
    while rest is not None and (chunk := rest.read(CHUNK)):
        if chunk.strip(b"\0"):
            raise Refused("archive-goes-on")
