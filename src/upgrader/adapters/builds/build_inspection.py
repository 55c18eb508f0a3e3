"""What can be seen of a build without running it: its kind, that it is whole and safe to unpack, what it says it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from upgrader.adapters.archives import BUILD_LIMITS, members_of
from upgrader.adapters.archives.member import refusing_damage
from upgrader.adapters.builds.authenticode import authenticode
from upgrader.adapters.builds.debian_package import DebianPackage, read_package
from upgrader.adapters.builds.package_signature import package_signatures
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
