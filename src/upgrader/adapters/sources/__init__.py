"""Where drops come from: a folder, an archive, or a vendor's server; what comes from afar goes through quarantine."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from upgrader.adapters.sources.quarantine import Quarantine, Vouched
from upgrader.adapters.sources.transfer import Credentials, Server, Transfer
from upgrader.domain.approval.trust import Trust
from upgrader.domain.releases.source import Address, Scheme, pinned_keys, read_address
from upgrader.ports import Progress

__all__ = ["Credentials", "Quarantine", "Source", "Transfer", "open_drop"]


@dataclass(frozen=True, slots=True)
class Source:
    """What a person says of where a drop lies. `text` is a path or an address; the rest is for servers only."""

    text: str
    host_keys: frozenset[str] = frozenset()
    credentials: Credentials = field(default_factory=Credentials)
    authorities: Path | None = None


@contextmanager
def open_drop(
    source: Source, trust: Trust, quarantine: Quarantine, vouched: Vouched, progress: Progress
) -> Iterator[Path]:
    """The folder of the drop, whole, for as long as the context lasts.

    Raises Refused, Integrity, PreflightFailed (a link that stays broken, a full disk), BadInput for an address that is
    none and for an SFTP server of which nobody said the host key.
    """
    address = read_address(source.text)
    path = Path(source.text)
    if address is not None:
        with quarantine.fetched(address, Transfer(_server(address, source, trust), progress), vouched) as folder:
            yield folder
    elif path.is_file():
        with quarantine.unpacked(path) as folder:
            yield folder
    else:
        yield path


def _server(address: Address, source: Source, trust: Trust) -> Server:
    match address.scheme:
        case Scheme.SFTP:
            from upgrader.adapters.sources.sftp import SftpServer

            return SftpServer(address, pinned_keys(trust, address, source.host_keys), source.credentials)
        case Scheme.HTTPS:
            from upgrader.adapters.sources.https import HttpsServer

            return HttpsServer(address, source.credentials, source.authorities)
