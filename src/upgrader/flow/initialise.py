"""Init: a site repository that is ready to use, from the reference site that this program ships."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from upgrader.domain.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSite:
    """`files` is the whole content of the new repository by relative path."""

    directory: Path
    files: Mapping[str, bytes]


def write_site(new: NewSite) -> None:
    """Write the files of a new site. Raises BadInput `folder-not-empty` and writes nothing when something is there."""
    if new.directory.exists() and any(new.directory.iterdir()):
        raise BadInput("folder-not-empty", folder=new.directory)
    for path, content in sorted(new.files.items()):
        target = new.directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
