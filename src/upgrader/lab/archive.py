"""A tar.gz whose bytes depend on nothing but its content: no clock, no user, no order of a file system."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import PurePosixPath

PROGRAMS = "bin/"


def pack(files: Mapping[str, bytes], day: date) -> bytes:
    """Return a gzipped tar of the files and their folders, sorted, owned by root, dated `day`."""
    stamp = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(_folders(files)):
            tar.addfile(_entry(name, stamp, kind=tarfile.DIRTYPE, mode=0o755))
        for name, content in sorted(files.items()):
            entry = _entry(name, stamp, kind=tarfile.REGTYPE, mode=0o755 if name.startswith(PROGRAMS) else 0o644)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), compresslevel=6, mtime=0)


def _folders(files: Mapping[str, bytes]) -> set[str]:
    return {str(folder) for name in files for folder in PurePosixPath(name).parents if str(folder) != "."}


def _entry(name: str, stamp: int, *, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = kind, mode, stamp
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry
