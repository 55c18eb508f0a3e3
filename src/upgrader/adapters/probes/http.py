"""The probe of a web service: one request, answered as it should be or not.

A plain connection to exactly the address in the URL: no proxy from the environment, no redirect followed, no other
scheme than http and https, and an end after `timeout_seconds` even for a server that answers a byte at a time.
"""

import http.client
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from socket import SHUT_RDWR, socket
from threading import Event, Timer
from urllib.parse import SplitResult, urlsplit

from upgrader.adapters.probes.look import LARGEST_ANSWER, CannotAsk, Sight, filled, measured, needed
from upgrader.adapters.probes.tcp import why_no_connection
from upgrader.domain.changes.verdict import Measurement, Reading
from upgrader.domain.digest import Digest
from upgrader.domain.releases.probe import Probe
from upgrader.ports import ProbedHost

PIECE = 1024 * 1024
CONNECTIONS: Mapping[str, type[http.client.HTTPConnection]] = {
    "http": http.client.HTTPConnection,
    "https": http.client.HTTPSConnection,
}


class HttpProbe:
    def measure(self, probe: Probe, host: ProbedHost, at: datetime) -> Measurement:
        return measured(probe, host, at, _look(probe, host))

    def close(self) -> None:
        """Nothing is kept open."""


def _look(probe: Probe, host: ProbedHost) -> Sight:
    late = Event()
    try:
        url = _url(probe, host)
        connection = CONNECTIONS[url.scheme](url.hostname or "", url.port, timeout=probe.timeout_seconds)
        with _ended_in_time(connection, probe.timeout_seconds, late):
            seen = _ask(connection, url, probe, host)
        return _too_late(probe) if late.is_set() else seen
    except CannotAsk as error:
        return Reading.NO_ANSWER, str(error)
    except ssl.SSLError as error:
        return Reading.UNHEALTHY, f"TLS failed: {error.reason or error}"
    except (http.client.InvalidURL, ValueError) as error:  # a header or a path that would be two
        return Reading.NO_ANSWER, f"the probe makes no request: {error}"
    except (OSError, http.client.HTTPException) as error:
        if late.is_set():
            return _too_late(probe)
        if isinstance(error, OSError):
            return why_no_connection(error, probe.timeout_seconds)
        return Reading.UNHEALTHY, f"not an HTTP answer: {type(error).__name__}"


def _too_late(probe: Probe) -> Sight:
    return Reading.NO_ANSWER, f"no whole answer within {probe.timeout_seconds} s"


def _url(probe: Probe, host: ProbedHost) -> SplitResult:
    text = filled(needed(probe.url, "url"), host)
    try:
        url = urlsplit(text)
        fits = url.scheme in CONNECTIONS and url.hostname and url.port != 0 and not url.username
    except ValueError:
        fits = False
    if not fits:
        raise CannotAsk(f"{text!r} is not a URL to ask")
    return url


@contextmanager
def _ended_in_time(connection: http.client.HTTPConnection, seconds: int, late: Event) -> Iterator[None]:
    """Connect, and shut the connection when the time is over: a socket's own time-out starts anew with every byte.

    http.client lets go of the socket once an answer has begun that ends with the connection; so it is held here too.
    """
    held: socket | None = None

    def shut() -> None:
        late.set()
        for each in (held, connection.sock):
            if each is not None:
                with suppress(OSError):  # closed in the meantime
                    each.shutdown(SHUT_RDWR)

    timer = Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        connection.connect()
        held = connection.sock
        yield
    finally:
        timer.cancel()
        connection.close()


def _ask(connection: http.client.HTTPConnection, url: SplitResult, probe: Probe, host: ProbedHost) -> Sight:
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    connection.request(probe.method or "GET", target, headers=_headers(probe, host))
    answer = connection.getresponse()
    if not _is_expected(answer.status, probe.expect_status):
        return Reading.UNHEALTHY, f"{_named(answer)}, expected {probe.expect_status or 'below 400'}"
    if probe.expect_sha256 is not None:
        return _fetched(answer, probe.expect_sha256)
    if probe.expect_text is None:
        return Reading.HEALTHY, _named(answer)
    body = answer.read(LARGEST_ANSWER).decode("utf-8", errors="replace")
    if probe.expect_text not in body:
        return Reading.UNHEALTHY, f"{_named(answer)}, but the answer does not hold {probe.expect_text!r}"
    return Reading.HEALTHY, _named(answer)


def _fetched(answer: http.client.HTTPResponse, expected: Digest) -> Sight:
    """Whether the file that is offered is the one that was signed, fetched whole as a handheld would."""
    found = sha256()
    while piece := answer.read(PIECE):
        found.update(piece)
    if found.hexdigest() != expected.hex:
        return Reading.UNHEALTHY, f"{_named(answer)}, but the file is sha256 {found.hexdigest()}"
    return Reading.HEALTHY, f"{_named(answer)}, sha256 as expected"


def _headers(probe: Probe, host: ProbedHost) -> dict[str, str]:
    headers = {name: filled(text, host) for name, text in (probe.headers or {}).items()}
    if probe.user is not None:
        login = b64encode(f"{filled(probe.user, host)}:".encode()).decode("ascii")
        headers["Authorization"] = f"Basic {login}"
    return {"Connection": "close", "User-Agent": "upgrader-probe", **headers}


def _is_expected(status: int, expected: int | None) -> bool:
    return status == expected if expected is not None else status < 400


def _named(answer: http.client.HTTPResponse) -> str:
    """The status with its standard name, never the server's own words; where a redirect leads is told, not followed."""
    known = answer.status in {status.value for status in HTTPStatus}
    name = f"{answer.status} {HTTPStatus(answer.status).phrase}" if known else str(answer.status)
    place = answer.getheader("Location") if 300 <= answer.status < 400 else None
    return f"{name} to {place}" if place else name
