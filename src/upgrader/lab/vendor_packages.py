"""The packages that the vendor packs: pinned by digest, fetched once from the package index, kept in a cache."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from upgrader.domain.errors import LabFailed

# The same pure-Python wheels whatever Python the controller runs.
TARGET = ("--python-version", "3.11", "--implementation", "py", "--abi", "none", "--platform", "any")
# What an installer writes for itself; it would differ from machine to machine.
LEFT_OUT = frozenset(("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"))
FETCH_SECONDS = 300


def fetch_wheels(requirements: Path, cache: Path) -> tuple[Path, ...]:
    """Return the wheels that a requirements file pins, each with exactly the digest that stands there.

    Raises LabFailed when the index can't be reached or gives other bytes; the cache is then as it was.
    """
    pinned = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", requirements.read_text(encoding="utf-8")))
    folder = cache / f"wheels-{hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]}"
    if _digests(folder) != pinned:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".wheels-", dir=cache) as fresh:
            _download(requirements, Path(fresh))
            _put_in_place(Path(fresh), folder)
        if _digests(folder) != pinned:
            raise LabFailed("lab-vendor-packages", requirements=requirements.name, reason="digests differ")
    return tuple(sorted(folder.iterdir()))


def files_of_wheel(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """Return name and content of each file that an installation of this wheel would have."""
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            if not info.is_dir() and Path(info.filename).name not in LEFT_OUT:
                yield info.filename, archive.read(info)


def _digests(folder: Path) -> frozenset[str]:
    if not folder.is_dir():
        return frozenset()
    return frozenset(hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir())


def _download(requirements: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--require-hashes", "--only-binary", ":all:", *TARGET]
    command += ["--dest", str(folder), "--requirement", str(requirements)]
    try:
        # pip needs the caller's environment: that is where the site names its package index and its proxy.
        subprocess.run(command, capture_output=True, check=True, timeout=FETCH_SECONDS, env=dict(os.environ))
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip()[-400:]
        raise LabFailed("lab-vendor-packages", requirements=requirements.name, reason=reason) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabFailed("lab-vendor-packages", requirements=requirements.name, reason=error) from error


def _put_in_place(fresh: Path, folder: Path) -> None:
    """One move; what lay there before was wrong, or somebody else has just put the same."""
    if folder.is_dir():
        shutil.rmtree(folder)
    ready = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.copytree(fresh, ready)
    ready.rename(folder)
