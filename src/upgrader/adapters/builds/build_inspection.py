"""What can be seen of a build without running it: its kind, that it is whole and safe to unpack, what it says it is."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from upgrader.adapters.archives import BUILD_LIMITS, Member, members_of
from upgrader.adapters.archives.member import CHUNK, refusing_damage
from upgrader.adapters.builds.authenticode import authenticode
from upgrader.adapters.builds.debian_package import DebianPackage, package_members, read_package
from upgrader.adapters.builds.package_signature import package_signatures
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused
from upgrader.domain.releases.build_facts import BuildFacts
from upgrader.domain.releases.build_kind import HEAD_BYTES, BuildKind, checked_kind

SHOWN_FIELDS = ("Package", "Version", "Architecture", "Depends", "Maintainer")


@dataclass(frozen=True, slots=True)
class Keyrings:
    """Whose signatures on builds are known beside those that everybody knows; None where nobody laid a file there.

    `openpgp` is a keyring of gpgv, `authorities` are certificates (PEM) for Authenticode.
    """

    openpgp: Path | None = None
    authorities: Path | None = None

    @classmethod
    def of(cls, folder: Path, vendor: str) -> Self:
        """The files of one vendor: `VENDOR.gpg` and `VENDOR.pem`."""
        openpgp, authorities = folder / f"{vendor}.gpg", folder / f"{vendor}.pem"
        return cls(openpgp if openpgp.is_file() else None, authorities if authorities.is_file() else None)


NOBODY = Keyrings()


def inspect_build(path: Path, keyrings: Keyrings = NOBODY) -> BuildFacts:
    """Look at one build. Raises Refused when it is not what its name says, damaged, or not safe to unpack.

    Signatures that its platform knows are looked at too, and refuse nothing.
    """
    with refusing_damage(path.name), path.open("rb") as file:
        kind = checked_kind(path.name, file.read(HEAD_BYTES))
        size = path.stat().st_size
    match kind:
        case BuildKind.TAR | BuildKind.ZIP:
            files, total = _counted(path, kind)
            return BuildFacts(kind, files, total)
        case BuildKind.DEB:
            package = read_package(path)
            signatures = package_signatures(path, package, keyrings.openpgp)
            return BuildFacts(kind, package.files, package.total_bytes, _told(package), signatures)
        case BuildKind.EXE | BuildKind.MSI:
            return BuildFacts(kind, 1, size, {}, (authenticode(path, keyrings.authorities),))
        case BuildKind.SQL:
            return BuildFacts(kind, 1, size)


def held_by_build(path: Path, wanted: Collection[Digest]) -> frozenset[Digest]:
    """Which of these files the build is, or holds, by SHA-256. Raises Refused as `inspect_build` does."""
    with refusing_damage(path.name), path.open("rb") as file:
        kind = checked_kind(path.name, file.read(HEAD_BYTES))
        file.seek(0)
        found = {Digest.of_chunks(iter(lambda: file.read(CHUNK), b""))}
    with _files_in(path, kind) as members:
        found |= {Digest.of_chunks(member.chunks()) for member in members if not member.folder}
    return frozenset(found.intersection(wanted))


@contextmanager
def _files_in(path: Path, kind: BuildKind) -> Iterator[Iterator[Member]]:
    """The members of what is packed; nothing for what is one file."""
    match kind:
        case BuildKind.TAR | BuildKind.ZIP:
            with members_of(path, kind, BUILD_LIMITS) as members:
                yield members
        case BuildKind.DEB:
            with package_members(path) as members:
                yield members
        case _:
            yield iter(())


def _counted(path: Path, kind: BuildKind) -> tuple[int, int]:
    files = total = 0
    with members_of(path, kind, BUILD_LIMITS) as members:
        for member in members:
            files, total = files + (not member.folder), total + member.size
    if not files:
        raise Refused("archive-empty", file=path.name)
    return files, total


def _told(package: DebianPackage) -> Mapping[str, str]:
    fields = {name: package.fields[name] for name in SHOWN_FIELDS if name in package.fields}
    return fields | ({"Scripts": ", ".join(package.scripts)} if package.scripts else {})
