"""Check in: a host says that it is here. Nothing else that it says is heard, and nothing follows but a closer look."""

from collections.abc import Mapping
from datetime import UTC, datetime

from upgrader.domain.names import HostName
from upgrader.flow.site import Site

FOLDER = "check-ins"


def check_in(site: Site, host: HostName) -> datetime:
    """Leave a mark for a host, as of now. Called by an ssh forced command, which names the host; not by its words."""
    folder = site.state / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = site.clock().replace(microsecond=0)
    fresh = folder / f".{host}"
    fresh.write_text(f"{now.timestamp():.0f}\n", encoding="ascii")
    fresh.replace(folder / host)
    return now


def checked_in(site: Site) -> Mapping[HostName, datetime]:
    """When each host was last here, by its own word. A mark that can't be read is none."""
    folder = site.state / FOLDER
    found = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            found[HostName(path.name)] = datetime.fromtimestamp(int(path.read_text(encoding="ascii")), UTC)
        except ValueError:  # a name that is being written, or what a disk left of a mark
            continue
    return found
