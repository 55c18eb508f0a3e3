"""A person's checkout: where it is and what its settings say, asked of git; GitPython comes in when it is written.

Every command asks for the settings, and most write nothing: GitPython takes longer to import than they take to answer.
"""

import os
import subprocess
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.domain.errors import PreflightFailed

if TYPE_CHECKING:
    from upgrader.adapters.git.git_clone import Clone

SECTION = "upgrader"
SETTINGS_SECONDS = 30
# All that git needs to find the settings of the person and of the machine.
PASSED_ON = ("HOME", "PATH", "XDG_CONFIG_HOME")


class Checkout:
    """The repository around `directory`. Raises PreflightFailed `not-a-repository` when there is none."""

    def __init__(self, directory: Path) -> None:
        found = next((folder for folder in (directory, *directory.parents) if (folder / ".git").exists()), None)
        if found is None:
            raise PreflightFailed("not-a-repository", folder=directory)
        self.root = found.resolve()

    def setting(self, name: str) -> str | None:
        """One of this clone's own settings (`git config upgrader.<name>`); None when it is not set."""
        return self._settings.get(name.lower()) or None

    def pull(self) -> str:
        return self._clone.pull()

    def commit(self, paths: Iterable[Path], message: str) -> str:
        return self._clone.commit(paths, message)

    def push(self) -> None:
        self._clone.push()

    @cached_property
    def _settings(self) -> Mapping[str, str]:
        """Every setting of our section; the last one of a name counts, as it does for git."""
        command = ["git", "-C", str(self.root), "config", "--null", "--get-regexp", f"^{SECTION}\\."]
        environment = {
            name: os.environ[name] for name in os.environ if name in PASSED_ON or name.startswith("GIT_CONFIG")
        }
        try:
            said = subprocess.run(
                command, env=environment, capture_output=True, check=False, timeout=SETTINGS_SECONDS
            ).stdout
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PreflightFailed("git-not-run", reason=error) from error
        pairs = [entry.partition("\n") for entry in said.decode("utf-8", "replace").split("\0") if entry]
        return {key.removeprefix(f"{SECTION}."): value for key, _, value in pairs}

    @cached_property
    def _clone(self) -> "Clone":
        from upgrader.adapters.git.git_clone import Clone

        return Clone(self.root)
