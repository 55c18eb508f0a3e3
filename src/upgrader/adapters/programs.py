"""The programs that the controller needs, found on the PATH and asked for their version."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from upgrader.domain.errors import PreflightFailed

# How each program is asked for its version. ssh-keygen has no such option: that it is there is all we learn.
QUESTIONS: Mapping[str, Sequence[str]] = {
    "git": ["git", "--version"],
    "ssh": ["ssh", "-V"],
    "ssh-keygen": ["ssh-keygen"],
    "ansible-playbook": ["ansible-playbook", "--version"],
}


def distribution_version(name: str) -> str:
    """The version of an installed Python distribution, such as `ansible-core`.

    Read from the name of its folder: `importlib.metadata` says the same, and takes longer to import than that.
    """
    stem = name.replace("-", "_")
    for folder in sys.path:
        found = [path.name for path in Path(folder or ".").glob(f"{stem}-*.dist-info")]
        if len(found) == 1:
            return found[0].removeprefix(f"{stem}-").removesuffix(".dist-info")
        if found:
            break
    import importlib.metadata

    return importlib.metadata.version(name)


class ControllerPrograms:
    @property
    def names(self) -> Sequence[str]:
        return tuple(QUESTIONS)

    def version(self, name: str) -> str:
        """What a program says of itself. Raises PreflightFailed `program-missing`."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        if shutil.which(name, path=path) is None:
            raise PreflightFailed("program-missing", program=name)
        if len(QUESTIONS[name]) == 1:
            return "ok"
        command = [shutil.which(QUESTIONS[name][0], path=path) or name, *QUESTIONS[name][1:]]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PreflightFailed("program-missing", program=name) from error
        return (done.stdout or done.stderr).strip().splitlines()[0][:60]

    def check_state(self, folder: Path) -> Path:
        """The state folder. Raises PreflightFailed when it can't be written, or when others may write there."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(folder, os.W_OK):
            raise PreflightFailed("state-not-writable", folder=folder)
        if folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PreflightFailed("state-open-to-others", folder=folder)
        return folder
