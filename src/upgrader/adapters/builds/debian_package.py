"""A Debian package: an `ar` archive of exactly three parts, and signatures that may stand beside them.

Source: deb(5), ar as dpkg writes it. The program that installs it is dpkg, which runs the package's own scripts as
root: what is looked at here is whether it is whole, and what it says it is; that it is good is the vendor's word.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from upgrader.adapters.archives.member import BUILD_LIMITS, CHUNK, Limits, Member, refusing_damage
from upgrader.adapters.archives.names import Tree, shown
from upgrader.adapters.archives.tar_archive import Header, PackageHeader, stream_members
from upgrader.domain.errors import Refused

MAGIC = b"!<arch>\n"
HEADER_BYTES, HEADER_END = 60, b"`\n"
MOST_PARTS = 20
LARGEST_CONTROL = 1024 * 1024
CONTROL_LIMITS = Limits(total_bytes=16 * 1024 * 1024, members=100)
FORMS = {"": "plain", ".gz": "gzip", ".xz": "xz"}
FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]*):[ \t]*(.*)")
SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "config", "triggers")
FORMAT_VERSION = b"2.0\n"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the package: where its bytes stand in the file."""

    name: str
    at: int
    size: int


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """What a package says of itself. `fields` are those of its control file, `scripts` those that dpkg will run."""

    fields: Mapping[str, str]
    scripts: tuple[str, ...]
    files: int
    total_bytes: int
    parts: tuple[Part, ...]

    @property
    def signatures(self) -> tuple[Part, ...]:
        """The parts that debsigs or dpkg-sig put in, such as `_gpgorigin`."""
        return tuple(part for part in self.parts if part.name.startswith("_gpg"))


def read_package(path: Path) -> DebianPackage:
    """Look into a .deb. Raises Refused `archive-…` for what is damaged, `package-malformed` for what is no package."""
    with refusing_damage(path.name), path.open("rb") as file:
        parts = tuple(_parts(file))
        control, data = _three(parts)
        if _bytes(file, parts[0]) != FORMAT_VERSION:
            raise Refused("package-malformed", found="debian-binary")
        scripts, fields = _control(file, control)
        sizes = [member.size for member in _members(file, data, BUILD_LIMITS, PackageHeader) if not member.folder]
    return DebianPackage(fields, scripts, len(sizes), sum(sizes), parts)


@contextmanager
def package_members(path: Path) -> Iterator[Iterator[Member]]:
    """What dpkg will put on a host, in the order of the file; each may be read until the next is asked for.

    Raises Refused as `read_package` does.
    """
    with refusing_damage(path.name), path.open("rb") as file:
        _, data = _three(tuple(_parts(file)))
        yield _members(file, data, BUILD_LIMITS, PackageHeader)


def read_part(path: Path, part: Part) -> bytes:
    with path.open("rb") as file:
        return _bytes(file, part)


def part_chunks(path: Path, part: Part) -> Iterator[bytes]:
    """The bytes of a part of any size, one chunk in memory at a time."""
    with path.open("rb") as file:
        file.seek(part.at)
        section = _Section(file, part.size)
        while chunk := section.read(CHUNK):
            yield chunk


def _parts(file: BinaryIO) -> Iterator[Part]:
    length = os.fstat(file.fileno()).st_size
    if file.read(len(MAGIC)) != MAGIC:
        raise Refused("package-malformed", found="ar")
    at, names = len(MAGIC), set[str]()
    while at < length:
        file.seek(at)
        header = file.read(HEADER_BYTES)
        if len(header) != HEADER_BYTES or header[58:] != HEADER_END:
            raise EOFError("the header of a part")
        name = header[:16].decode("ascii").rstrip().removesuffix("/")
        size = header[48:58].decode("ascii").rstrip()
        if not re.fullmatch(r"[a-z_][a-z0-9._-]{0,15}", name) or not size.isdecimal() or name in names:
            raise Refused("package-malformed", found=shown(name))
        names.add(name)
        yield Part(name, at + HEADER_BYTES, int(size))
        at += HEADER_BYTES + int(size)
        if at % 2 and at < length:
            file.seek(at)
            if file.read(1) != b"\n":
                raise Refused("archive-goes-on")
            at += 1
        if at > length or len(names) > MOST_PARTS:
            raise EOFError("a part ends too early")


def _three(parts: tuple[Part, ...]) -> tuple[Part, Part]:
    """The control and the data part. Beside the three, only what begins with `_` may be there (deb(5))."""
    plain = [part for part in parts if not part.name.startswith("_")]
    names = [part.name for part in plain]
    if len(plain) != 3 or parts[0].name != "debian-binary" or not _is(names[1], "control") or not _is(names[2], "data"):
        raise Refused("package-malformed", found=shown(" ".join(names)))
    return plain[1], plain[2]


def _is(name: str, what: str) -> bool:
    return name == f"{what}.tar" or name.startswith(f"{what}.tar.")


def _members(file: BinaryIO, part: Part, limits: Limits, header: type[Header]) -> Iterator[Member]:
    form = FORMS.get(part.name.partition(".tar")[2])
    if form is None:
        raise Refused("package-compression", found=part.name)
    file.seek(part.at)
    yield from stream_members(_Section(file, part.size), form, part.size, limits, Tree("-"), header)


def _control(file: BinaryIO, part: Part) -> tuple[tuple[str, ...], Mapping[str, str]]:
    scripts, fields = [], None
    for member in _members(file, part, CONTROL_LIMITS, Header):
        if member.name in SCRIPTS:
            scripts.append(member.name)
        if member.name == "control":
            fields = _fields(b"".join(member.chunks()))
    if not fields or not {"Package", "Version", "Architecture"} <= set(fields):
        raise Refused("package-malformed", found="control")
    return tuple(scripts), fields


def _fields(content: bytes) -> Mapping[str, str]:
    """The fields of the one paragraph; of a folded one its first line alone."""
    fields = dict[str, str]()
    for line in content.decode("utf-8").splitlines():
        match = FIELD.fullmatch(line)
        if match and match[1] not in fields:
            fields[match[1]] = shown(match[2].strip())
        elif not line.startswith((" ", "\t")):
            raise Refused("package-malformed", found=f"control: {shown(line)}")
    return fields


def _bytes(file: BinaryIO, part: Part) -> bytes:
    if part.size > LARGEST_CONTROL:
        raise Refused("package-malformed", found=part.name)
    file.seek(part.at)
    return file.read(part.size)


class _Section:
    """The next `size` bytes of a file, as if they were all of it."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(chunk)
        return chunk
