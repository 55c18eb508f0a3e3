"""A web server, talked to over TLS whose certificate was verified, and never over anything else."""

import base64
import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from upgrader.adapters.sources.transfer import Credentials, Download, LinkBroken
from upgrader.domain.errors import PreflightFailed, Refused
from upgrader.domain.releases.source import Address

SILENT_SECONDS = 30
CHUNK = 256 * 1024
MOST_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class HttpsServer:
    """The folder of an address. `authorities` is a file of certificates (PEM) beside which no other counts."""

    def __init__(self, address: Address, credentials: Credentials, authorities: Path | None = None) -> None:
        self._address = address
        self._credentials = credentials
        self._context = _context(authorities)

    @contextmanager
    def open(self, name: str, offset: int, stamp: str) -> Iterator[Download]:
        connection = http.client.HTTPSConnection(
            self._address.host, self._address.port, timeout=SILENT_SECONDS, context=self._context
        )
        try:
            response = self._answer(connection, name, offset, stamp)
            yield _download(response, name, offset)
        finally:
            connection.close()

    def _answer(
        self, connection: http.client.HTTPSConnection, name: str, offset: int, stamp: str
    ) -> http.client.HTTPResponse:
        path = self._address.folder + name
        for _ in range(MOST_REDIRECTS + 1):
            with _translated(self._address.host):
                connection.request("GET", path, headers=self._headers(offset, stamp))
                response = connection.getresponse()
            if response.status not in REDIRECTS:
                return response
            path = self._redirected(path, response.getheader("Location", ""))
            with _translated(self._address.host):
                response.read(CHUNK)
                connection.close()
        raise Refused("source-redirected", server=self._address.host, found="more than three times")

    def _redirected(self, path: str, location: str) -> str:
        """Where to go on, on this very server. Raises Refused for another one, another port, another scheme."""
        here = f"https://{self._address.host}:{self._address.port}{path}"
        try:
            there = urlsplit(urljoin(here, location))
            origin = (there.scheme, there.hostname, there.port or 443)
        except ValueError:
            origin = ("", "", 0)
        if not location or origin != ("https", self._address.host, self._address.port):
            raise Refused("source-redirected", server=self._address.host, found=ascii(location)[1:-1][:120])
        return there.path + (f"?{there.query}" if there.query else "")

    def _headers(self, offset: int, stamp: str) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity", "User-Agent": "upgrader"}
        if offset and stamp:
            headers |= {"Range": f"bytes={offset}-", "If-Range": stamp}
        password = self._credentials.password()
        if self._address.user and password is not None:
            pair = base64.b64encode(f"{self._address.user}:{password}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        return headers


def _context(authorities: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(authorities) if authorities else None)
    except (OSError, ssl.SSLError) as error:
        raise PreflightFailed("authorities-unusable", file=authorities, found=str(error)[:120]) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _download(response: http.client.HTTPResponse, name: str, offset: int) -> Download:
    """What the server sends. Raises Refused for an answer that is none, or whose size is not said."""
    stamp = _stamp(response)
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        match = RANGE.fullmatch(response.getheader("Content-Range", ""))
        if match is None or int(match[1]) != offset:
            raise LinkBroken("the server went on elsewhere")
        return Download(offset, int(match[3]), stamp, _chunks(response))
    if response.status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        raise Refused("source-log-in-refused", user="-", server=f"HTTP {response.status}")
    if response.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        raise LinkBroken(f"HTTP {response.status}")
    if response.status != http.HTTPStatus.OK:
        raise Refused("source-file-missing", file=name, found=f"HTTP {response.status}")
    length = response.getheader("Content-Length", "")
    if not length.isdecimal() or response.getheader("Content-Encoding", "identity") != "identity":
        raise Refused("source-size-not-said", file=name)
    return Download(0, int(length), stamp, _chunks(response))


def _stamp(response: http.client.HTTPResponse) -> str:
    """What tells this file from a later one: a strong ETag, else the time of its last change (RFC 9110, 13.1.5)."""
    tag = response.getheader("ETag", "")
    return tag if tag.startswith('"') else response.getheader("Last-Modified", "")


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        with _translated(""):
            chunk = response.read(CHUNK)
        if not chunk:
            return
        yield chunk


@contextmanager
def _translated(server: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise Refused("source-certificate", server=server, found=error.verify_message) from error
    except (OSError, http.client.HTTPException, socket.gaierror) as error:
        raise LinkBroken(str(error) or "the link was cut") from error
