"""Where a drop comes from: a path on this machine, or an address on a vendor's server."""

import re
from dataclasses import dataclass
from enum import StrEnum

from upgrader.domain.approval.trust import Trust
from upgrader.domain.errors import BadInput
from upgrader.domain.releases.build_kind import ARCHIVES, kind_of_name

ADDRESS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<user>[A-Za-z0-9][A-Za-z0-9._-]{0,63})@)?"
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]{0,252})(?::(?P<port>[0-9]{1,5}))?(?P<path>/[A-Za-z0-9._~+/-]*)"
)
HOST_KEY = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


class Scheme(StrEnum):
    """How a server is talked to. Nothing else is: neither http nor ftp proves who is speaking."""

    SFTP = "sftp"
    HTTPS = "https"


PORTS = {Scheme.SFTP: 22, Scheme.HTTPS: 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A folder or an archive on a server. A password never stands in it: it would be seen in `ps` and in histories."""

    scheme: Scheme
    user: str | None
    host: str
    port: int
    path: str

    @property
    def is_archive(self) -> bool:
        """Whether one archive holds the drop; otherwise it is a folder with SHA256SUMS in it."""
        return kind_of_name(self.name) in ARCHIVES

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def folder(self) -> str:
        """The folder that holds the files, with a slash at its end."""
        return self.path[: -len(self.name)] if self.is_archive else self.path.rstrip("/") + "/"

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{user}{self.host}{port}{self.path}"


def read_address(text: str) -> Address | None:
    """An address if `text` has the form of one, None for a path. Raises BadInput `source-malformed`."""
    if "://" not in text:
        return None
    match = ADDRESS.fullmatch(text)
    expected = "sftp://USER@HOST:PORT/PATH, https://HOST/PATH"
    if match is None or match["scheme"].lower() not in set(Scheme) or ".." in match["path"].split("/"):
        raise BadInput("source-malformed", found=_without_password(text)[:200], expected=expected)
    scheme = Scheme(match["scheme"].lower())
    port = int(match["port"] or PORTS[scheme])
    if not 1 <= port <= 65535 or (scheme is Scheme.SFTP and match["user"] is None):
        raise BadInput("source-malformed", found=_without_password(text)[:200], expected=expected)
    return Address(scheme, match["user"], match["host"].lower(), port, match["path"])


def pinned_keys(trust: Trust, address: Address, said: frozenset[str]) -> frozenset[str]:
    """The SSH host keys of which an SFTP server must show one.

    What the trust file says of this server counts; only where it says nothing counts what the person said. Raises
    BadInput when neither says anything, when they disagree, and for a fingerprint that is none.
    """
    server = f"{address.host}:{address.port}"
    if wrong := sorted(key for key in said if not HOST_KEY.fullmatch(key)):
        raise BadInput("host-key-malformed", found=wrong[0][:80], expected="SHA256:…")
    enrolled = frozenset(
        one.host_key
        for vendor in trust.vendors
        for one in vendor.servers or ()
        if (one.address.lower(), one.port) == (address.host, address.port)
    )
    if said and enrolled and not said <= enrolled:
        raise BadInput("host-key-against-policy", server=server, expected=", ".join(sorted(enrolled)))
    if not (enrolled or said):
        raise BadInput("host-key-not-said", server=server)
    return said or enrolled


def _without_password(text: str) -> str:
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:…@", text)
