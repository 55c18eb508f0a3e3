"""The site's secrets on the controller: one file each below `STATE/secrets/`, 0600, outside of every repository."""

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from upgrader.domain.canonical import hidden_character
from upgrader.domain.errors import Refused
from upgrader.domain.secret import SecretName

SHORTEST = 8  # anything shorter would be found everywhere, so nobody could look for it in the evidence
LARGEST = 4096
FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO
PRIVATE_KEY = "-----BEGIN OPENSSH PRIVATE KEY-----"


class SecretFiles:
    """`keys` are the private keys that this program works with; what is in them must not be in evidence either."""

    def __init__(self, folder: Path, keys: Iterable[Path | None]) -> None:
        self._folder = folder
        self._keys = tuple(key for key in keys if key is not None)

    def read(self, names: Iterable[str]) -> Mapping[str, str]:
        """The values of these secrets.

        Raises Refused `secret-missing`, `secret-file-mode` for one that others could read, or `secret-malformed`.
        """
        return {name: self._read(name) for name in names}

    def known(self) -> Sequence[str]:
        """Every text that may stand in no evidence: secrets, and lines of private keys. Raises as `read` does."""
        names = sorted(path.name for path in self._folder.iterdir()) if self._folder.is_dir() else []
        return [*self.read(names).values(), *(line for key in self._keys for line in _lines_of_key(key))]

    def _read(self, name: str) -> str:
        try:
            path = self._folder / SecretName(name)
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except ValueError as error:
            raise Refused("secret-malformed", name=name[:80], file="-") from error
        except OSError as error:
            raise Refused("secret-missing", name=name, file=self._folder / name, reason=error.strerror) from error
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            ours = stat.S_ISREG(found.st_mode) and found.st_uid in (0, os.geteuid())
            if not ours or found.st_mode & FOR_OTHERS:
                raise Refused("secret-file-mode", file=path, found=f"mode {stat.S_IMODE(found.st_mode):04o}")
            return _one_line(file.read(LARGEST + 1), name, path)


def _one_line(content: bytes, name: str, path: Path) -> str:
    try:
        value = content.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise Refused("secret-malformed", name=name, file=path) from error
    if not SHORTEST <= len(value) <= LARGEST or hidden_character(value):
        raise Refused("secret-malformed", name=name, file=path)
    return value


def _lines_of_key(key: Path) -> list[str]:
    """The lines of a private key file that are full of key. A key that is with an agent, or a public one, has none."""
    try:
        text = key.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return []
    lines = text.splitlines()
    return [line for line in lines[1:-1] if len(line) >= 40] if PRIVATE_KEY in text else []
