"""The store of builds: each file under the name of its own SHA-256, read-only, never changed."""

import hashlib
import io
import os
import stat
import tempfile
from pathlib import Path

from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, PreflightFailed, Refused

CHUNK = 1024 * 1024


class BuildStore:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, digest: Digest) -> Path:
        """Where a build with this digest is, or would be, kept."""
        return self._folder / digest.hex[:2] / digest.hex

    def put(self, source: Path) -> Digest:
        """Keep a copy of `source` and give the digest of the bytes that were kept.

        On disk before it returns. To put the same bytes again is harmless, and mends a copy that was damaged. Raises
        PreflightFailed (disk full), or Refused `drop-unreadable` when the source can't be read or is no plain file, and
        leaves the store as it was.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with _source(source) as reading:
                return self._keep(reading, source)
        except OSError as error:
            raise PreflightFailed("build-not-kept", file=source, reason=error.strerror) from error

    def open_verified(self, digest: Digest, size: int) -> Path:
        """Give the path of a build whose bytes were read and hashed just now.

        Raises Integrity `build-missing`, or `build-damaged` when what lies there is not what its name says.
        """
        path = self.path(digest)
        try:
            with _open_plain(path) as file:
                found_size = os.fstat(file.fileno()).st_size
                found = Digest(hashlib.file_digest(file, "sha256").hexdigest())
        except FileNotFoundError as error:
            raise Integrity("build-missing", file=path, expected=digest) from error
        except OSError as error:
            raise Integrity("build-damaged", file=path, expected=digest, found=error.strerror) from error
        if found != digest:
            raise Integrity("build-damaged", file=path, expected=digest, found=found)
        if found_size != size:
            raise Integrity("build-damaged", file=path, expected=f"{size} bytes", found=f"{found_size} bytes")
        return path

    def _keep(self, reading: io.BufferedReader, source: Path) -> Digest:
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=self._folder) as folder:
            incoming = Path(folder) / "build"
            with incoming.open("xb") as writing:
                while chunk := _read(reading, source):
                    writing.write(chunk)
                writing.flush()
                os.fchmod(writing.fileno(), 0o444)
                os.fsync(writing.fileno())
            with incoming.open("rb") as kept:  # what is on our side counts, not what we believe we copied
                digest = Digest(hashlib.file_digest(kept, "sha256").hexdigest())
            target = self.path(digest)
            target.parent.mkdir(exist_ok=True)
            incoming.replace(target)
        sync_folder(target.parent)
        sync_folder(self._folder)
        return digest


def sync_folder(folder: Path) -> None:
    """Make sure that a file that was created or renamed in `folder` is still there after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _source(source: Path) -> io.BufferedReader:
    try:
        return _open_plain(source)
    except OSError as error:
        raise Refused("drop-unreadable", file=source.name, found=error.strerror) from error


def _read(reading: io.BufferedReader, source: Path) -> bytes:
    """The next chunk. What can't be read any more is the medium's fault, not the store's."""
    try:
        return reading.read(CHUNK)
    except OSError as error:
        raise Refused("drop-unreadable", file=source.name, found=error.strerror) from error


def _open_plain(path: Path) -> io.BufferedReader:
    """Open a regular file, following no link. Raises OSError for anything else."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "not a regular file")
    return os.fdopen(descriptor, "rb")
