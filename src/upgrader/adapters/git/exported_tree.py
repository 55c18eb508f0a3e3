"""A tree that was exported: how its files are written, and the one digest over their modes, names and bytes."""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, Refused


@dataclass(frozen=True, slots=True)
class Blob:
    """One file of a tree. `mode` is 100644 or 100755."""

    path: str
    mode: str
    content: bytes

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)


def tree_digest(blobs: Iterable[Blob]) -> Digest:
    """One digest over files and modes: SHA-256 over sorted lines `mode sha256 path`. Raises Refused for no files."""
    return _digest_of_lines((blob.mode, blob.digest, blob.path) for blob in blobs)


def folder_digest(folder: Path) -> Digest:
    """The tree digest of an exported folder as it is on disk now. Raises Integrity for a link or an odd file."""
    return _digest_of_lines(_files_on_disk(folder))


def remove_export(target: Path) -> None:
    """Delete an exported folder, read-only as it is. Harmless when it is not there."""
    for folder, folders, _ in os.walk(target):
        Path(folder).chmod(0o755)
        for name in folders:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755)
    if target.exists():
        shutil.rmtree(target)


def write_blob(target: Path, blob: Blob) -> None:
    """Write one file below `target`, read-only. Raises OSError, also where something of that name is."""
    path = target / blob.path
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o555 if blob.mode == "100755" else 0o444
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(blob.content)
        os.fchmod(descriptor, mode)


def _files_on_disk(folder: Path) -> Iterator[tuple[str, Digest, str]]:
    for current, folders, files in os.walk(folder, onerror=_raise_unreadable):
        for name in (*folders, *files):
            path = Path(current, name)
            kind = path.lstat().st_mode
            if stat.S_ISREG(kind):
                mode = "100755" if kind & stat.S_IXUSR else "100644"
                yield mode, _hash_file(path), path.relative_to(folder).as_posix()
            elif not stat.S_ISDIR(kind):
                raise Integrity("export-odd-file", file=path)


def _hash_file(path: Path) -> Digest:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest())


def _raise_unreadable(error: OSError) -> None:
    raise Integrity("export-unreadable", file=error.filename, reason=error.strerror) from error


def _digest_of_lines(files: Iterable[tuple[str, Digest, str]]) -> Digest:
    lines = sorted(f"{mode} {digest.hex} {path}\n" for mode, digest, path in files)
    if not lines:
        raise Refused("tree-empty")
    return Digest.of("".join(lines).encode("utf-8"))
