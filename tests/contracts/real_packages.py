"""A service of Debian in two versions: bookworm's and the one of bookworm-backports, kept in a cache once fetched."""

import os
import shutil
import subprocess
from fcntl import LOCK_EX, flock
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR = "http://deb.debian.org/debian"
OLD, NEW = "bookworm", "bookworm-backports"
NAME = "tinyproxy"
PAIR = (NAME, f"{NAME}-bin")
BOTH = ("logrotate", "libpopt0")  # what it needs and a small Debian lacks
CONFIGURATION = """\
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "-";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
"""


class NotFetched(Exception):
    """The mirror could not be reached, or has the pair no more."""


def real_pair(cache: Path) -> dict[str, list[Path]]:
    """The packages of both suites, by suite. Raises NotFetched with apt's last words."""
    kept = cache / f"debian-pair-{NAME}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f".{kept.name}.lock").open("w", encoding="ascii") as lock:
        flock(lock, LOCK_EX)
        if not kept.is_dir():
            fresh = cache / f".{kept.name}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            _fetch(fresh)
            fresh.rename(kept)
    return {suite: sorted((kept / suite).glob("*.deb")) for suite in (OLD, NEW)}


def _fetch(folder: Path) -> None:
    """With an apt of its own, which knows nothing of this machine's packages and changes none."""
    work = folder / "apt"
    for path in ("state/lists/partial", "cache/archives/partial"):
        (work / path).mkdir(parents=True)
    (work / "status").touch()
    sources = [f"deb [signed-by={KEYRING}] {MIRROR} {suite} main\n" for suite in (OLD, NEW)]
    (work / "sources.list").write_text("".join(sources), encoding="ascii")
    (work / "apt.conf").write_text(CONFIGURATION.format(folder=work), encoding="ascii")
    _apt(work, folder, "update")
    for suite in (OLD, NEW):
        target = folder / suite
        target.mkdir()
        wanted = [f"{name}/{suite}" for name in PAIR] + [f"{name}/{OLD}" for name in BOTH]
        _apt(work, target, "download", *wanted)
    shutil.rmtree(work)


def _apt(work: Path, folder: Path, *arguments: str) -> None:
    command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", *arguments]
    environment = {**os.environ, "APT_CONFIG": str(work / "apt.conf")}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotFetched(str(error)) from error
    if done.returncode != 0:
        raise NotFetched((done.stderr or done.stdout).strip()[-300:])
