"""A folder of builds that becomes a drop: looked into for a draft, then listed for its signature."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from upgrader.adapters.archives import BUILD_LIMITS, members_of
from upgrader.adapters.builds.build_inspection import inspect_build
from upgrader.adapters.builds.debian_package import read_package
from upgrader.adapters.builds.vendor_drop import CHECKSUMS, MANIFEST, MOST_FILES_IN_DROP, SIGNATURE
from upgrader.domain.digest import Digest
from upgrader.domain.errors import BadInput, Refused
from upgrader.domain.names import FileName
from upgrader.domain.releases.build_kind import ARCHIVES, BuildKind, kind_of_name
from upgrader.domain.releases.draft import FoundFile, InsideFile

PAPERS = frozenset({MANIFEST, CHECKSUMS, SIGNATURE})


class DropDraft:
    """Works in one folder, which is a person's own and on no read-only medium."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, source: Path, target: Path | None) -> "DropDraft":
        """Take the builds of `source`, a folder or one file, to the new folder `target`; a folder without one stays.

        Raises BadInput `draft-target-exists`, `draft-needs-folder`, Refused `drop-unreadable`.
        """
        if target is None:
            if not source.is_dir():
                raise BadInput("draft-needs-folder", source=source.name, folder=f"{source.name}-drop")
            return cls(source)
        if target.exists():
            raise BadInput("draft-target-exists", folder=target)
        try:
            target.mkdir(parents=True)
            for file in sorted(source.iterdir()) if source.is_dir() else [source]:
                shutil.copyfile(file, target / file.name)
        except OSError as error:
            raise Refused("drop-unreadable", file=error.filename or source, found=error.strerror) from error
        return cls(target)

    @property
    def folder(self) -> Path:
        return self._folder

    def found(self) -> Sequence[FoundFile]:
        """Every file but the papers, builds looked into. Raises Refused for a build that could not be staged."""
        return [self._found(path) for path in self._files()]

    def write_manifest(self, text: str) -> Path:
        """Raises BadInput `draft-exists` rather than to write over what somebody completed."""
        path = self._folder / MANIFEST
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError as error:
            raise BadInput("draft-exists", file=path) from error
        except OSError as error:
            raise BadInput("draft-not-writable", file=path, found=error.strerror) from error
        return path

    def manifest(self) -> bytes:
        """Raises Refused `drop-paper-missing`."""
        try:
            return (self._folder / MANIFEST).read_bytes()
        except OSError as error:
            raise Refused("drop-paper-missing", file=MANIFEST, folder=self._folder) from error

    def listing(self) -> bytes:
        """SHA256SUMS of what is there, as sha256sum writes it."""
        files = [*self._files(), self._folder / MANIFEST]
        return "".join(f"{_digest(path).hex}  {path.name}\n" for path in sorted(files)).encode("ascii")

    def seal(self, listing: bytes, signature: bytes) -> None:
        """Put the list and its signature beside the builds."""
        try:
            (self._folder / CHECKSUMS).write_bytes(listing)
            (self._folder / SIGNATURE).write_bytes(signature)
        except OSError as error:
            raise BadInput("draft-not-writable", file=self._folder, found=error.strerror) from error

    def _files(self) -> Sequence[Path]:
        try:
            paths = sorted(path for path in self._folder.iterdir() if path.name not in PAPERS)
        except OSError as error:
            raise Refused("drop-unreadable", file=self._folder, found=error.strerror) from error
        if len(paths) > MOST_FILES_IN_DROP:
            raise Refused("drop-too-many-files", folder=self._folder, expected=MOST_FILES_IN_DROP)
        for path in paths:
            if path.is_symlink() or not path.is_file():
                raise Refused("drop-not-a-file", file=path.name, folder=self._folder)
            if not FileName.pattern.fullmatch(path.name):
                raise BadInput("draft-file-name", file=path.name, expected=FileName.expected)
        return paths

    def _found(self, path: Path) -> FoundFile:
        kind, digest, size = kind_of_name(path.name), _digest(path), path.stat().st_size
        if kind is None:
            return FoundFile(path.name, size, digest, None)
        inspect_build(path)
        if kind is BuildKind.DEB:
            fields = read_package(path).fields
            return FoundFile(path.name, size, digest, kind, (), fields["Package"], fields["Version"])
        return FoundFile(path.name, size, digest, kind, _inside(path, kind) if kind in ARCHIVES else ())


def _inside(path: Path, kind: BuildKind) -> tuple[InsideFile, ...]:
    with members_of(path, kind, BUILD_LIMITS) as members:
        return tuple(InsideFile(member.name, member.executable) for member in members if not member.folder)


def _digest(path: Path) -> Digest:
    try:
        with path.open("rb") as file:
            return Digest(hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise Refused("drop-unreadable", file=path.name, found=error.strerror) from error
