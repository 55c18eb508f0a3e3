"""Appointments put into and read out of a running exam-scheduling, over its real protocol (CalDAV)."""

import base64
import http.client
from typing import Final

from upgrader.domain.errors import LabFailed

ORDINARY_USER: Final = "probe"
CALENDAR: Final = "examinations"
TIMEOUT_SECONDS: Final = 10.0

EVENT = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//upgrader//lab//EN
BEGIN:VEVENT
UID:{name}
DTSTAMP:20260101T000000Z
DTSTART:20260102T080000Z
DTEND:20260102T083000Z
SUMMARY:{text}
END:VEVENT
END:VCALENDAR
"""


def put_appointment(address: str, port: int, name: str, text: str) -> None:
    """Book one appointment as the ordinary user, or raise LabFailed. Booking it again replaces it.

    `text` is one line without backslashes, commas or semicolons, which calendars escape.
    """
    _ensure_calendar(address, port)
    body = EVENT.format(name=name, text=text).replace("\n", "\r\n").encode()
    status, _ = _ask(address, port, "PUT", _path(name), body)
    if status not in (201, 204):
        raise LabFailed("lab-appointment", name=name, address=address, port=port, status=status)


def read_appointment(address: str, port: int, name: str) -> str:
    """Return the text of a booked appointment, or raise LabFailed."""
    status, body = _ask(address, port, "GET", _path(name))
    if status != 200:
        raise LabFailed("lab-appointment", name=name, address=address, port=port, status=status)
    unfolded = body.decode().replace("\r\n ", "")
    return next(line.removeprefix("SUMMARY:") for line in unfolded.splitlines() if line.startswith("SUMMARY:"))


def log_in(address: str, port: int) -> bool:
    """Whether the ordinary user gets in."""
    return _ask(address, port, "PROPFIND", f"/{ORDINARY_USER}/")[0] == 207


def _ensure_calendar(address: str, port: int) -> None:
    path = f"/{ORDINARY_USER}/{CALENDAR}/"
    if _ask(address, port, "PROPFIND", path)[0] == 404:
        log_in(address, port)  # the first log-in makes the user's own folder
        _ask(address, port, "MKCALENDAR", path)


def _path(name: str) -> str:
    return f"/{ORDINARY_USER}/{CALENDAR}/{name}.ics"


def _ask(address: str, port: int, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """One request as the ordinary user: a name and an empty password."""
    user = base64.b64encode(f"{ORDINARY_USER}:".encode()).decode()
    headers = {"Authorization": f"Basic {user}", "Depth": "0", "Content-Type": "text/calendar; charset=utf-8"}
    connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise LabFailed("lab-appointment", name=path, address=address, port=port, status=error) from error
    finally:
        connection.close()
