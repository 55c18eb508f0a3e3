"""The names in an archive, as a disk would see them that knows neither capital letters nor Unicode forms."""

import re
import unicodedata
from dataclasses import dataclass, field

from upgrader.adapters.documents.source_text import refused_character
from upgrader.domain.errors import Refused

LONGEST_NAME, LONGEST_PART, DEEPEST = 1024, 255, 32
DRIVE = re.compile(r"[A-Za-z]:")
# Windows takes these for devices whatever follows the first dot, and these characters for its own.
# Source: Microsoft, "Naming Files, Paths, and Namespaces".
DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
TAKEN_BY_WINDOWS = frozenset('<>:"|?*')


@dataclass(slots=True)
class Tree:
    """The names seen so far. `for_windows` keeps out what only Windows would take for something else."""

    file: str
    for_windows: bool = False
    seen: dict[str, tuple[str, bool]] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)

    def add(self, name: str, *, folder: bool) -> tuple[str, ...]:
        """Take one name in and give its parts. Raises Refused when it may not be, or meets another."""
        parts = self._parts(name, folder=folder)
        for depth in range(1, len(parts)):
            self._place("/".join(parts[:depth]), folder=True)
        if parts:
            self._place("/".join(parts), folder=folder)
        return tuple(parts)

    def _parts(self, name: str, *, folder: bool) -> list[str]:
        if name.startswith(("/", "\\")) or DRIVE.match(name) or ".." in re.split(r"[/\\]", name):
            raise Refused("archive-name-outside", file=self.file, member=shown(name))
        parts = name.removeprefix("./").split("/") if name != "." else []
        sane = (
            (parts or folder)
            and len(name.encode("utf-8", "surrogateescape")) <= LONGEST_NAME
            and len(parts) <= DEEPEST
            and all(_is_sane(part) for part in parts)
            and not (self.for_windows and any(_is_strange_to_windows(part) for part in parts))
        )
        if not sane:
            raise Refused("archive-name", file=self.file, member=shown(name))
        return parts

    def _place(self, path: str, *, folder: bool) -> None:
        known = self.seen.setdefault(path.casefold(), (path, folder))
        if known != (path, folder) or (not folder and path in self.files):
            raise Refused("archive-names-collide", file=self.file, member=path, other=known[0])
        if not folder:
            self.files.add(path)


def shown(name: str) -> str:
    """A foreign name that may be shown: what cannot be seen as itself is escaped."""
    seen = name if name.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
    return seen[:200]


def _is_sane(part: str) -> bool:
    return (
        part not in ("", ".")
        and part == part.strip()
        and "\\" not in part
        and len(part.encode("utf-8", "surrogateescape")) <= LONGEST_PART
        and unicodedata.is_normalized("NFC", part)
        and refused_character(part) is None
    )


def _is_strange_to_windows(part: str) -> bool:
    return part.endswith(".") or not TAKEN_BY_WINDOWS.isdisjoint(part) or DEVICE.fullmatch(part) is not None
