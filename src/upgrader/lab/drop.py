"""The vendor's drop: signed releases of a real third-party server, packed as a vendor packs them.

The server is Radicale (a calendar server, GPLv3, from the package index); here it goes by the name of exam-scheduling.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from upgrader.domain.errors import LabFailed
from upgrader.lab.appointments import log_in, put_appointment, read_appointment
from upgrader.lab.archive import pack
from upgrader.lab.cache import default_cache
from upgrader.lab.keys import RELEASE_NAMESPACE, ensure_key, public_half, sign
from upgrader.lab.releases import RELEASES, SYSTEM, VENDOR, Flaw, VendorRelease
from upgrader.lab.vendor_packages import fetch_wheels, files_of_wheel

__all__ = ["Drop", "build_drop", "default_cache", "log_in", "put_appointment", "read_appointment"]

VENDOR_FILES = Path(__file__).parent / "vendor"
PROGRAMS = ("bin/run", "bin/service", "bin/health", "bin/version")
NOTES = "RELEASE-NOTES.md"
SUMS = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class Drop:
    """What lies in the drop now."""

    directory: Path
    vendor: str
    vendor_key: Path
    releases: tuple[VendorRelease, ...]
    systems: tuple[str, ...] = (SYSTEM,)

    @property
    def vendor_public_key(self) -> Path:
        return public_half(self.vendor_key)

    def release(self, version: str) -> Path:
        """The folder of one release."""
        return self.directory / f"{SYSTEM}-{version}"

    def archive(self, version: str) -> Path:
        return self.release(version) / f"{SYSTEM}-{version}.tar.gz"


def build_drop(
    directory: Path, cache: Path, progress: Callable[[str], None], *, vendor_key: Path | None = None
) -> Drop:
    """Put every release of the lab's vendor into `directory`, signed: the same bytes everywhere, signatures apart.

    The vendor's key is made if it is not there: beside the drop, in `keys/lanxin-health`, unless another is named.
    Raises LabFailed when the packages are neither in `cache` nor to be had from the package index.
    """
    key = ensure_key(vendor_key or directory.parent / "keys" / VENDOR, comment=VENDOR)
    directory.mkdir(parents=True, exist_ok=True)
    for release in RELEASES:
        progress("lab-drop-packages")
        archive = _archive(release, cache)
        progress("lab-drop-release")
        _write_release(directory / release.name, release, archive, key)
    progress("lab-drop-ready")
    return Drop(directory, VENDOR, key, RELEASES)


def _archive(release: VendorRelease, cache: Path) -> bytes:
    """Return the packed build of a release. Packing is kept in the cache too, under the digest of all that goes in."""
    files = _contents(release, cache)
    recipe = hashlib.sha256(str(release.released).encode())
    for name, content in sorted(files.items()):
        recipe.update(f"{name}\0{len(content)}\0".encode())
        recipe.update(content)
    kept = cache / f"{release.name}-{recipe.hexdigest()[:16]}.tar.gz"
    if not kept.is_file():
        fresh = kept.with_name(f".{kept.name}-{os.getpid()}")
        fresh.write_bytes(pack(files, release.released))
        fresh.rename(kept)
    return kept.read_bytes()


def _contents(release: VendorRelease, cache: Path) -> dict[str, bytes]:
    files = {name: _vendor_file(name) for name in PROGRAMS}
    files["etc/radicale.conf.in"] = _vendor_file(f"etc/{_config_template(release)}")
    files["etc/exam-scheduling.service.in"] = _vendor_file("etc/exam-scheduling.service.in")
    files["VERSION"] = f"{release.version}\n".encode()
    for wheel in fetch_wheels(VENDOR_FILES / "requirements" / f"{release.version}.txt", cache):
        files |= {f"lib/{name}": content for name, content in files_of_wheel(wheel)}
    files["LICENSE"] = _licence(files)
    return files


def _config_template(release: VendorRelease) -> str:
    """Since 3.5 the server lets nobody in unless `[auth] type` is set; the vendor of 3.7.1 did not notice."""
    return "radicale.conf.in.without-auth" if release.flaw is Flaw.NOBODY_CAN_LOG_IN else "radicale.conf.in"


def _licence(files: dict[str, bytes]) -> bytes:
    for name, content in files.items():
        if name.lower().startswith("lib/radicale-") and name.endswith("/COPYING.md"):
            return content
    raise LabFailed("lab-vendor-packages", requirements="radicale", reason="the licence text is missing")


def _write_release(folder: Path, release: VendorRelease, archive: bytes, key: Path) -> None:
    """Write the folder of a release beside its place, sign it, and move it there whole."""
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    notes = _vendor_file(f"notes/{release.version}.md")
    files = {
        f"{release.name}.tar.gz": archive,
        NOTES: notes,
        "release.yml": _release_file(release, archive, notes).encode(),
    }
    for name, content in files.items():
        (fresh / name).write_bytes(content)
    sums = "".join(f"{_sha256(content)}  {name}\n" for name, content in sorted(files.items()))
    (fresh / SUMS).write_text(sums, encoding="ascii")
    sign(fresh / SUMS, key, RELEASE_NAMESPACE)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def _release_file(release: VendorRelease, archive: bytes, notes: bytes) -> str:
    text = _vendor_file("release.yml.in").decode()
    facts = {
        "version": release.version,
        "released": release.released.isoformat(),
        "summary_zh": release.summary_zh,
        "summary_en": release.summary_en,
        "follows": json.dumps(release.follows),
        "archive": f"{release.name}.tar.gz",
        "archive_sha256": _sha256(archive),
        "archive_size": str(len(archive)),
        "notes_sha256": _sha256(notes),
        "notes_size": str(len(notes)),
    }
    for name, value in facts.items():
        text = text.replace(f"@{name}@", value)
    return text


def _vendor_file(name: str) -> bytes:
    return (VENDOR_FILES / name).read_bytes()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
