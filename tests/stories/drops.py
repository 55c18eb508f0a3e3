"""A copy of what the vendor brought, before somebody changes it: by accident, or on purpose and signed again."""

import gzip
import hashlib
import io
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from upgrader.domain.approval.record import Namespace
from upgrader.lab.drop import NOTES, SUMS, Drop
from upgrader.lab.keys import sign
from upgrader.lab.releases import SYSTEM


@dataclass(frozen=True, slots=True)
class DropToBe:
    """`key` is the vendor's own."""

    folder: Path
    version: str
    key: Path

    @classmethod
    def copy_of(cls, drop: Drop, version: str, folder: Path) -> Self:
        return cls(shutil.copytree(drop.release(version), folder / "drop"), version, drop.vendor_key)

    @property
    def manifest(self) -> Path:
        return self.folder / "release.yml"

    @property
    def notes(self) -> Path:
        return self.folder / NOTES

    @property
    def archive(self) -> Path:
        return self.folder / f"{SYSTEM}-{self.version}.tar.gz"

    def replace(self, old: str, new: str) -> None:
        """Replace a text in release.yml, wherever it stands there; it has to."""
        text = self.manifest.read_text(encoding="utf-8")
        assert old in text, f"release.yml does not hold {old!r}"
        self.manifest.write_text(text.replace(old, new), encoding="utf-8")

    def write_notes(self, text: str) -> None:
        """Write other release notes, and let release.yml know of them."""
        self._put(self.notes, self.notes, text.encode())

    def pack(self, version: str, *members: tarfile.TarInfo) -> None:
        """Make a newer release of it whose archive holds these members, and sign all of it as the vendor does."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for member in members:
                tar.addfile(member, io.BytesIO(b"x" * member.size))
        self._put(self.archive, self.folder / f"{SYSTEM}-{version}.tar.gz", gzip.compress(packed.getvalue()))
        self.replace(self.version, version)
        self.sign()

    def list(self) -> None:
        """Write SHA256SUMS anew."""
        files = sorted(path for path in self.folder.iterdir() if not path.name.startswith(SUMS))
        sums = "".join(f"{_sha256(path.read_bytes())}  {path.name}\n" for path in files)
        (self.folder / SUMS).write_text(sums, encoding="ascii")

    def sign(self, key: Path | None = None, namespace: str = Namespace.RELEASE) -> None:
        """List and sign what is there now."""
        self.list()
        sign(self.folder / SUMS, key or self.key, namespace)

    def _put(self, old: Path, new: Path, content: bytes) -> None:
        before = old.read_bytes()
        self.replace(_sha256(before), _sha256(content))
        self.replace(f"size: {len(before)}", f"size: {len(content)}")
        old.unlink()
        new.write_bytes(content)


def plain_file(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = 10
    return member


def link(name: str, *, to: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """A link, or another member that is no file: a device, a pipe."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member


def flipped(content: bytes) -> bytes:
    """The same bytes with one bit turned, in the middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
