"""Patches between two builds, made by the program zstd: each pair once, kept beside the builds.

A patch goes between the uncompressed archives, since two compressed ones have nothing in common. It needs no trust:
what a host makes of it must have the digest of the archive that is inside the verified build, counted anew each time.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from upgrader.domain.digest import Digest
from upgrader.domain.releases.release import Build
from upgrader.ports import Builds, Patch

CHUNK = 1024 * 1024
LARGEST_ARCHIVE = 512 * CHUNK  # uncompressed; zstd needs about four times as much memory to make a patch
WORTH = 0.5  # a patch larger than this part of its build is not sent
LIMIT_SECONDS = 120
SEARCH = "/usr/local/bin:/usr/bin:/bin"
Opener = Callable[[Path], io.BufferedIOBase]


def _plain(path: Path) -> io.BufferedIOBase:
    return path.open("rb")


# How an archive is opened, by the end of its file name. Others, and what is no archive, have no patches.
OPENERS: Mapping[str, Opener] = {
    ".tar": _plain,
    ".tar.gz": gzip.GzipFile,
    ".tgz": gzip.GzipFile,
    ".tar.xz": lzma.LZMAFile,
    ".txz": lzma.LZMAFile,
    ".tar.bz2": bz2.BZ2File,
    ".tbz": bz2.BZ2File,
}


class PatchStore:
    """Patches below `folder`, as BUILD.BASE; an empty file says that the pair is not worth one."""

    def __init__(self, folder: Path, builds: Builds) -> None:
        self._folder = folder
        self._builds = builds

    def patch(self, base: Build, build: Build) -> Patch | None:
        """A patch that makes `build` of `base`, or None where there is none that is worth it, or no zstd.

        Both are read from the store and hashed. Raises Integrity when one of them is missing or damaged there.
        """
        zstd = shutil.which("zstd", path=SEARCH)
        opened, opened_base = _opener(build), _opener(base)
        if zstd is None or opened is None or opened_base is None or base.sha256 == build.sha256:
            return None
        kept = self._folder / f"{build.sha256.hex}.{base.sha256.hex}"
        if kept.exists() and kept.stat().st_size == 0:
            return None
        whole = self._builds.open_verified(build.sha256, build.size)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=self._folder) as work:
            archive = Path(work) / "archive"
            digest = _uncompress(opened, whole, archive)
            if digest is None:
                return None
            if not kept.exists():
                from_archive = Path(work) / "base"
                if _uncompress(opened_base, self._builds.open_verified(base.sha256, base.size), from_archive) is None:
                    return None
                _make(zstd, from_archive, archive, Path(work) / "patch", build.size).replace(kept)
        return Patch(build.sha256, base.sha256, digest, kept) if kept.stat().st_size else None


def _opener(build: Build) -> Opener | None:
    return next((opener for ending, opener in OPENERS.items() if str(build.file).endswith(ending)), None)


def _uncompress(opener: Opener, path: Path, target: Path) -> Digest | None:
    """Write the archive inside `path` to `target` and give its digest; None when it is too large or not one."""
    found, size = hashlib.sha256(), 0
    try:
        with opener(path) as reading, target.open("xb") as writing:
            while chunk := reading.read(CHUNK):
                size += len(chunk)
                if size > LARGEST_ARCHIVE:
                    return None
                found.update(chunk)
                writing.write(chunk)
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile):
        return None
    return Digest(found.hexdigest())


def _make(zstd: str, base: Path, archive: Path, patch: Path, build_size: int) -> Path:
    """The patch in the file `patch`, or nothing in it when that would be no gain."""
    command = [zstd, "-q", "-3", f"--patch-from={base}", str(archive), "-o", str(patch)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=LIMIT_SECONDS, env={"PATH": SEARCH})
        worth = patch.stat().st_size <= build_size * WORTH
    except (subprocess.SubprocessError, OSError):
        worth = False
    if not worth:
        patch.unlink(missing_ok=True)
        patch.touch()
    patch.chmod(0o444)
    return patch
