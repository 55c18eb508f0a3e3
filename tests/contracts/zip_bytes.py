"""Zip archives byte by byte, as good as zip makes them and as bad as nobody makes them by accident."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

UNIX, WINDOWS = 3 << 8 | 20, 20
END = struct.Struct("<4s4H2LH")


@dataclass(frozen=True, slots=True, kw_only=False)
class ZipMember:
    """One member. What stands in the header beside the content (`local_…`) is the same as in the directory, if None."""

    name: str
    content: bytes = b"x"
    mode: int = 0o100644
    flags: int = 0x800
    method: int = 8
    extra: bytes = b""
    made_by: int = UNIX
    comment: bytes = b""
    dos: int = 0
    raw_name: bytes | None = None
    local_name: bytes | None = None
    local_extra: bytes | None = None
    local_flags: int | None = None
    local_size: int | None = None
    packed: bytes | None = None
    size: int | None = None
    crc: int | None = None
    gap: bytes = b""  # before it
    descriptor: bytes | None = None  # after it


def folder(name: str) -> ZipMember:
    return ZipMember(name, b"", mode=0o040755, method=0, dos=0x10)


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def zip_bytes(
    members: Sequence[ZipMember],
    *,
    before: bytes = b"",
    between: bytes = b"",
    after: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
    offsets: Sequence[int] | None = None,
    shift: int = 0,
) -> bytes:
    """The archive. `between` stands before the directory, `shift` moves every offset, `offsets` replace them."""
    body, directory = bytearray(before), bytearray()
    for number, member in enumerate(members):
        body += member.gap
        at = offsets[number] if offsets else len(body) - len(before) + shift
        local, central = _headers(member, at)
        body += local
        directory += central
    body += between
    start = len(body) - len(before) + shift
    number = len(members) if count is None else count
    end = END.pack(b"PK\x05\x06", 0, 0, number, number, len(directory), start, len(comment)) + comment
    return bytes(body + directory + end + after)


def write_zip(path: Path, members: Sequence[ZipMember], **more: object) -> Path:
    path.write_bytes(zip_bytes(members, **more))  # type: ignore[arg-type] # the test names what it means
    return path


def _headers(member: ZipMember, at: int) -> tuple[bytes, bytes]:
    name = member.raw_name if member.raw_name is not None else member.name.encode()
    packed = member.packed
    if packed is None:
        packed = deflated(member.content) if member.method == 8 else member.content
    size = len(member.content) if member.size is None else member.size
    crc = zlib.crc32(member.content) if member.crc is None else member.crc
    local_name = name if member.local_name is None else member.local_name
    local_extra = member.extra if member.local_extra is None else member.local_extra
    local_flags = member.flags if member.local_flags is None else member.local_flags
    local_size = size if member.local_size is None else member.local_size
    numbers = (0, 0, 0) if member.descriptor is not None else (crc, len(packed), local_size)
    header = struct.pack(
        "<4s5H3L2H",
        b"PK\x03\x04",
        20,
        local_flags,
        member.method,
        0,
        0x5921,
        *numbers,
        len(local_name),
        len(local_extra),
    )
    local = header + local_name + local_extra + packed + (member.descriptor or b"")
    attributes = member.mode << 16 | member.dos
    central = struct.pack(
        "<4s6H3L5H2L",
        *(b"PK\x01\x02", member.made_by, 20, member.flags, member.method, 0, 0x5921, crc, len(packed), size),
        *(len(name), len(member.extra), len(member.comment), 0, 0, attributes, at),
    )
    return local, central + name + member.extra + member.comment
