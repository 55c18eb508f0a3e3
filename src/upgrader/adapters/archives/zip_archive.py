"""A zip archive, read by its central directory, which has to say the same as the headers beside the content.

Two programs can read one zip and find two sets of files: one trusts the directory at the end, the other the headers on
the way. Here both must agree, and together they cover every byte of the file: nothing before, between or after.
Source: PKWARE APPNOTE 6.3.10.
"""

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from upgrader.adapters.archives.member import CHUNK, Limits, Member
from upgrader.adapters.archives.names import Tree, shown
from upgrader.domain.errors import Refused

END = struct.Struct("<4s4H2LH")
CENTRAL = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")
DESCRIPTOR = struct.Struct("<3L")
END_MARK, CENTRAL_MARK, LOCAL_MARK, DESCRIPTOR_MARK = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04", b"PK\x07\x08"
ZIP64_MARK, ZIP64_LOCATOR_BYTES = b"PK\x06\x07", 20
MANY, HUGE = 0xFFFF, 0xFFFFFFFF  # what stands where only a zip64 record would know
LONGEST_COMMENT = 128
LARGEST_DIRECTORY = 64 * 1024 * 1024
ENCRYPTED = 0x1 | 0x40 | 0x2000
DESCRIBED_AFTERWARDS, UTF_8 = 0x8, 0x800
KNOWN_FLAGS = 0x6 | DESCRIBED_AFTERWARDS | UTF_8
UNIX = 3  # the system of the packer; there, names without a mark are UTF-8 or are refused
STORED, DEFLATED = 0, 8
DOS_FOLDER, DOS_REPARSE_POINT = 0x10, 0x400
UNICODE_PATH = 0x7075
# Times, owners, and the mark of a jar: they change nothing of what a member is.
HARMLESS_EXTRAS = frozenset({0x5455, 0x5855, 0x7855, 0x7875, 0x000A, 0xCAFE})


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the central directory says of one member."""

    name: bytes
    is_utf_8: bool
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    attributes: int
    offset: int


def zip_members(path: Path, limits: Limits, tree: Tree) -> Iterator[Member]:
    """Every member of a .zip, in the order in which they lie in the file."""
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        entries, start = _directory(file, length, limits)
        total = sum(entry.size for entry in entries)
        if total > limits.total_bytes:
            raise Refused("archive-too-large", expected=limits.total_bytes)
        if total > limits.ratio * length:
            raise Refused("archive-ratio", expected=limits.ratio)
        end_of_last = 0
        for entry in sorted(entries, key=lambda entry: entry.offset):
            name = _name(entry)
            content = _content_at(file, entry, end_of_last, shown(name))
            end_of_last = _end(file, entry, content, start)
            folder = _is_folder(entry, name)
            parts = tree.add(name.removesuffix("/") if folder else name, folder=folder)
            read = _Content(file, entry, content, shown(name))
            yield Member(parts, folder, entry.size, bool(entry.attributes >> 16 & 0o111), read)
            read.finish()
        if end_of_last != start:
            raise Refused("archive-goes-on")


def _directory(file: BinaryIO, length: int, limits: Limits) -> tuple[list[_Entry], int]:
    """The entries of the central directory, and where it starts. It ends where the end record starts."""
    end_at, count, size, start = _end_record(file, length)
    if count > limits.members:
        raise Refused("archive-too-many-members", expected=limits.members)
    if size > LARGEST_DIRECTORY:
        raise Refused("archive-header-too-large", member="-", found=size)
    if start + size != end_at:
        raise Refused("archive-goes-on")
    rest = memoryview(_read_at(file, start, size))
    entries = []
    for _ in range(count):
        entry, used = _entry(rest)
        entries.append(entry)
        rest = rest[used:]
    if rest:
        raise Refused("archive-goes-on")
    return entries, start


def _end_record(file: BinaryIO, length: int) -> tuple[int, int, int, int]:
    """Where the last record stands, how many entries there are, how long the directory is, and where it starts."""
    tail_at = max(0, length - END.size - LONGEST_COMMENT)
    tail = _read_at(file, tail_at, length - tail_at)
    found = tail.rfind(END_MARK)
    if found < 0:
        raise Refused("archive-damaged", found="no end record")
    _, disk, first_disk, here, count, size, start, comment = END.unpack_from(tail, found)
    text = tail[found + END.size :]
    if len(text) != comment or not text.decode("ascii", "replace").isprintable() or not text.isascii():
        raise Refused("archive-goes-on")
    end_at = tail_at + found
    locator = _read_at(file, max(0, end_at - ZIP64_LOCATOR_BYTES), min(4, end_at))
    if MANY in (disk, first_disk, here, count) or HUGE in (size, start) or locator == ZIP64_MARK:
        raise Refused("archive-zip64")
    if disk or first_disk or here != count:
        raise Refused("archive-damaged", found="one part of several")
    return end_at, count, size, start


def _entry(rest: memoryview) -> tuple[_Entry, int]:
    mark, made_by, _, flags, method, _, _, crc, packed, size, named, extra, comment, disk, _, attributes, offset = (
        CENTRAL.unpack_from(rest)
    )
    used = CENTRAL.size + named + extra + comment
    if mark != CENTRAL_MARK or used > len(rest):
        raise Refused("archive-damaged", found="central directory")
    name = bytes(rest[CENTRAL.size : CENTRAL.size + named])
    told = shown(name.decode("utf-8", "replace"))
    named_again = _check_extra(bytes(rest[CENTRAL.size + named : CENTRAL.size + named + extra]), name, told)
    is_utf_8 = named_again or bool(flags & UTF_8) or made_by >> 8 == UNIX
    entry = _Entry(name, is_utf_8, flags, method, crc, packed, size, attributes, offset)
    if HUGE in (packed, size, offset) or disk == MANY:
        raise Refused("archive-zip64", member=told)
    if comment or disk:
        raise Refused("archive-extended-header", member=told, found="comment" if comment else "disk")
    _check_method(entry, told)
    _check_attributes(entry, told)
    return entry, used


def _check_method(entry: _Entry, told: str) -> None:
    if entry.flags & ENCRYPTED:
        raise Refused("archive-encrypted", member=told)
    if entry.flags & ~KNOWN_FLAGS:
        raise Refused("archive-extended-header", member=told, found=f"flags {entry.flags:#06x}")
    if entry.method not in (STORED, DEFLATED):
        raise Refused("archive-method", member=told, found=entry.method)
    if entry.method == STORED and entry.packed != entry.size:
        raise Refused("archive-damaged", found=told)


def _check_attributes(entry: _Entry, told: str) -> None:
    """The upper half are the modes of Unix, the lower half those of DOS; either may say link or device."""
    mode = entry.attributes >> 16
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFLNK or entry.attributes & DOS_REPARSE_POINT:
        raise Refused("archive-link", member=told)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise Refused("archive-device", member=told)
    if mode & 0o6000:
        raise Refused("archive-mode", member=told, found=f"{mode & 0o7777:04o}")


def _check_extra(extra: bytes, name: bytes, told: str) -> bool:
    """Whether an extra field says the name once more, in UTF-8, as zip does on Linux; another name is refused."""
    named_again = False
    while extra:
        kind, size = struct.unpack_from("<2H", extra)
        value, extra = extra[4 : 4 + size], extra[4 + size :]
        if len(value) != size:
            raise Refused("archive-damaged", found=told)
        same_name = kind == UNICODE_PATH and value == b"\x01" + struct.pack("<L", zlib.crc32(name)) + name
        if kind not in HARMLESS_EXTRAS and not same_name:
            raise Refused("archive-extended-header", member=told, found=f"{kind:#06x}")
        named_again = named_again or same_name
    return named_again


def _name(entry: _Entry) -> str:
    """A name as text. Without a mark that it is UTF-8, Windows wrote it in its code page: there only ASCII is sure."""
    try:
        return entry.name.decode("utf-8" if entry.is_utf_8 else "ascii")
    except UnicodeDecodeError as error:
        raise Refused("archive-name-encoding", member=shown(entry.name.decode("utf-8", "replace"))) from error


def _is_folder(entry: _Entry, name: str) -> bool:
    kind = stat.S_IFMT(entry.attributes >> 16)
    folder = name.endswith("/")
    said = kind == stat.S_IFDIR or (not kind and bool(entry.attributes & DOS_FOLDER))
    if (said and not folder) or (folder and (kind == stat.S_IFREG or entry.size or entry.packed)):
        raise Refused("archive-member-type", member=shown(name), found=f"{entry.attributes:#010x}")
    return folder


def _content_at(file: BinaryIO, entry: _Entry, expected: int, told: str) -> int:
    """Where the content of an entry starts: right after its own header, which stands right after what was before."""
    if entry.offset != expected:
        raise Refused("archive-overlap" if entry.offset < expected else "archive-goes-on", member=told)
    header = _read_at(file, entry.offset, LOCAL.size)
    mark, _, flags, method, _, _, crc, packed, size, named, extra = LOCAL.unpack(header)
    if mark != LOCAL_MARK:
        raise Refused("archive-damaged", found=told)
    name = _read_at(file, entry.offset + LOCAL.size, named)
    numbers, blank = (crc, packed, size), (0, 0, 0)
    agreed = [(entry.crc, entry.packed, entry.size)] + ([blank] if flags & DESCRIBED_AFTERWARDS else [])
    if (flags, method, name) != (entry.flags, entry.method, entry.name) or numbers not in agreed:
        raise Refused("archive-headers-differ", member=told)
    _check_extra(_read_at(file, entry.offset + LOCAL.size + named, extra), entry.name, told)
    return entry.offset + LOCAL.size + int(named) + int(extra)


def _end(file: BinaryIO, entry: _Entry, content: int, directory: int) -> int:
    """Where an entry ends, its descriptor counted in. It ends before the directory starts."""
    end = content + entry.packed
    if entry.flags & DESCRIBED_AFTERWARDS:
        marked = _read_at(file, end, 4) == DESCRIPTOR_MARK
        end += 4 if marked else 0
        if DESCRIPTOR.unpack(_read_at(file, end, DESCRIPTOR.size)) != (entry.crc, entry.packed, entry.size):
            raise Refused("archive-headers-differ", member=shown(entry.name.decode("utf-8", "replace")))
        end += DESCRIPTOR.size
    if end > directory:
        raise Refused("archive-overlap", member=shown(entry.name.decode("utf-8", "replace")))
    return end


class _Content:
    """The bytes of one entry, unpacked as they are read; never more than were said, and exactly those at the end."""

    def __init__(self, file: BinaryIO, entry: _Entry, at: int, told: str) -> None:
        self._file, self._entry, self._at, self._told = file, entry, at, told
        self._is_read = False

    def __call__(self) -> Iterator[bytes]:
        self._is_read = True
        crc = found = 0
        for chunk in self._unpacked():
            crc, found = zlib.crc32(chunk, crc), found + len(chunk)
            if found > self._entry.size:
                raise Refused("archive-damaged", found=self._told)
            yield chunk
        if (crc, found) != (self._entry.crc, self._entry.size):
            raise Refused("archive-damaged", found=self._told)

    def finish(self) -> None:
        """Read what nobody asked for: a damaged member is refused whether or not it was wanted."""
        if not self._is_read:
            for _ in self():
                pass

    def _unpacked(self) -> Iterator[bytes]:
        if self._entry.method == STORED:
            yield from self._packed()
            return
        decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
        for packed in self._packed():
            waiting = packed
            while waiting and not decompressor.eof:
                if chunk := decompressor.decompress(waiting, CHUNK):
                    yield chunk
                waiting = decompressor.unconsumed_tail
            if decompressor.unused_data or (waiting and decompressor.eof):
                raise Refused("archive-goes-on")
        while not decompressor.eof:
            chunk = decompressor.decompress(decompressor.unconsumed_tail, CHUNK)
            if not chunk:
                raise Refused("archive-damaged", found=self._told)
            yield chunk

    def _packed(self) -> Iterator[bytes]:
        at, left = self._at, self._entry.packed
        while left:
            chunk = _read_at(self._file, at, min(CHUNK, left))
            at, left = at + len(chunk), left - len(chunk)
            yield chunk


def _read_at(file: BinaryIO, at: int, count: int) -> bytes:
    """Exactly so many bytes. Raises EOFError where the file has less."""
    file.seek(at)
    content = file.read(count)
    if len(content) != count:
        raise EOFError("the archive ends too early")
    return content
