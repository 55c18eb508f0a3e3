"""Programs of the system that the lab calls: sshd, ssh-keygen, ip, mount, systemd-nspawn."""

import os
import shutil
import subprocess
from collections.abc import Iterable

from upgrader.domain.errors import LabFailed

# An ordinary user's PATH often lacks the folders in which sshd and ip live.
SEARCH_PATH = os.pathsep.join(("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"))


def find_program(name: str) -> str:
    """Return the full path of a program, or raise LabFailed naming it."""
    path = shutil.which(name, path=SEARCH_PATH)
    if path is None:
        raise LabFailed("lab-programs-missing", programs=name)
    return path


def missing_programs(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if shutil.which(name, path=SEARCH_PATH) is None)


def run_program(name: str, *arguments: str, timeout: float = 60) -> str:
    """Run a program to its end and return what it printed; raise LabFailed if it fails."""
    command = [find_program(name), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, check=True, timeout=timeout, stdin=subprocess.DEVNULL, env=clean_environment()
        )
    except subprocess.CalledProcessError as error:
        raise LabFailed("lab-program-failed", program=name, reason=_reason(error)) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabFailed("lab-program-failed", program=name, reason=error) from error
    return done.stdout.decode(errors="replace")


def clean_environment() -> dict[str, str]:
    """What every program of the lab is started with: nothing of the caller's own environment."""
    return {"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8", "HOME": "/"}


def _reason(error: subprocess.CalledProcessError) -> str:
    said = (error.stderr or error.stdout or b"").decode(errors="replace").strip()
    return said[-400:] or f"exit code {error.returncode}"
