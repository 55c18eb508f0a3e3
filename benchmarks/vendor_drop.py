"""Two releases to roll out: a small web server and megabytes that do not compress, of which a twentieth differs."""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from upgrader.lab.archive import pack
from upgrader.lab.drop import SUMS, Drop
from upgrader.lab.keys import RELEASE_NAMESPACE, ensure_key, sign
from upgrader.lab.releases import SYSTEM, VENDOR

VENDOR_FILES = Path(__file__).parent / "vendor"
VENDORS_OWN = ("bin/service", "bin/health", "etc/site.conf.in", "etc/exam-scheduling.service")
OLD, NEW = "9.0.0", "9.1.0"
PARTS = 40
CHANGED_PARTS = 2


@dataclass(frozen=True, slots=True)
class Build:
    """One release as the contenders take it. `files` is what its archive holds."""

    version: str
    archive: Path
    sha256: str
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class BenchDrop:
    drop: Drop
    old: Build
    new: Build


def build_bench_drop(directory: Path, *, megabytes: int) -> BenchDrop:
    """Write both releases below `directory`, signed by a vendor's key of their own; the same bytes every time."""
    directory.mkdir(parents=True)
    key = ensure_key(directory.parent / "keys" / VENDOR, comment=VENDOR)
    drop = Drop(directory, VENDOR, key, ())
    old, new = (_write_release(drop, version, _contents(version, megabytes)) for version in (OLD, NEW))
    return BenchDrop(drop, old, new)


def _contents(version: str, megabytes: int) -> dict[str, bytes]:
    files = {name: (VENDOR_FILES / name).read_bytes() for name in VENDORS_OWN}
    files["www/VERSION"] = f"{version}\n".encode()
    for part in range(PARTS):
        seed = f"{part} {version if part < CHANGED_PARTS else ''}"
        files[f"data/part-{part:02d}"] = random.Random(seed).randbytes(megabytes * 1_000_000 // PARTS)
    return files


def _write_release(drop: Drop, version: str, files: Mapping[str, bytes]) -> Build:
    folder = drop.release(version)
    folder.mkdir()
    archive = drop.archive(version)
    archive.write_bytes(pack(files, date(2026, 11, 1)))
    sha256 = _sha256(archive)
    text = (VENDOR_FILES / "release.yml.in").read_text(encoding="utf-8")
    facts = {"version": version, "archive": archive.name, "sha256": sha256, "size": str(archive.stat().st_size)}
    for name, value in facts.items():
        text = text.replace(f"@{name}@", value)
    (folder / "release.yml").write_text(text, encoding="utf-8")
    names = sorted((archive.name, "release.yml"))
    (folder / SUMS).write_text("".join(f"{_sha256(folder / name)}  {name}\n" for name in names), encoding="ascii")
    sign(folder / SUMS, drop.vendor_key, RELEASE_NAMESPACE)
    return Build(version, archive, sha256, files)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


__all__ = ["NEW", "OLD", "SYSTEM", "BenchDrop", "Build", "build_bench_drop"]
