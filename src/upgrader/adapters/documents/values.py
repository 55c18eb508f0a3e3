"""What may stand in one field: readers that turn the text of a person into one of our values.

A reader gets the node, and gives the value or raises `wrong(code, …)`. What a field should look like is shown by an
example or a range, never by a sentence, so that it reads the same in every language. No pydantic here: the settings of
the site are read on every command, and pydantic takes longer to import than the rest of it takes to answer.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from upgrader.adapters.documents.durations import read_duration, write_duration
from upgrader.adapters.documents.public_keys import read_public_key
from upgrader.adapters.documents.yaml_nodes import Text, describe
from upgrader.domain import plain
from upgrader.domain.names import Name

E = TypeVar("E", bound=StrEnum)
V = TypeVar("V")

EARLIEST, LATEST = date(2000, 1, 1), date(2199, 12, 31)
INSIDE = re.compile(r"[A-Za-z0-9_@+][A-Za-z0-9._@+-]*|\.[A-Za-z0-9_@+][A-Za-z0-9._@+-]*")
ARGUMENT = re.compile(r"[A-Za-z0-9._/@+:=,-]+")
WHOLE = re.compile(r"0|[1-9][0-9]{0,14}")
ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{0,60}")


class Wrong(ValueError):
    """A value does not fit its field; it becomes a problem with this code at the place of the value."""

    def __init__(self, code: str, fields: Mapping[str, str]) -> None:
        super().__init__(code)
        self.code = code
        self.fields = fields


def wrong(code: str, **fields: object) -> Wrong:
    """The error for a reader to raise."""
    return Wrong(code, {name: str(value) for name, value in fields.items()})


def text(node: object) -> str:
    """One line of text that says something."""
    if not isinstance(node, Text):
        raise wrong("wrong-type", expected='"…"', found=describe(node))
    if not node.written or not node.strip():
        raise wrong("empty-not-allowed")
    return str(node)


def matching(pattern: str, example: str, make: Callable[[str], V]) -> Callable[[object], V]:
    """A reader for a text of one form; `make` may refuse with ValueError too."""
    form = re.compile(pattern, re.ASCII)

    def read(node: object) -> V:
        found = text(node)
        try:
            if form.fullmatch(found):
                return make(found)
        except ValueError:
            pass
        raise wrong("wrong-form", expected=example, found=describe(found))

    return read


def named(kind: type[Name], example: str) -> Callable[[object], Name]:
    return matching(r".+", example, kind)


def prose(longest: int) -> Callable[[object], str]:
    def read(node: object) -> str:
        found = text(node)
        if len(found) > longest:
            raise wrong("text-too-long", expected=longest, found=len(found))
        return found

    return read


def whole(least: int, most: int) -> Callable[[object], int]:
    """A reader for a whole number in plain digits."""

    def read(node: object) -> int:
        found = text(node)
        if not WHOLE.fullmatch(found):
            raise wrong("wrong-type", expected="123", found=describe(found))
        if not least <= int(found) <= most:
            raise wrong("wrong-value", expected=f"{least}…{most}", found=found)
        return int(found)

    return read


def seconds(least: int, most: int) -> Callable[[object], int]:
    """A reader for a duration, in seconds."""

    def read(node: object) -> int:
        found = text(node)
        try:
            length = read_duration(found)
        except ValueError:
            raise wrong("wrong-form", expected="30s, 5m, 2h, 1h30m, 3d", found=describe(found)) from None
        if not least <= length <= most:
            expected = f"{write_duration(least)}…{write_duration(most)}"
            raise wrong("wrong-value", expected=expected, found=found)
        return length

    return read


def one_of(kind: type[E]) -> Callable[[object], E]:
    def read(node: object) -> E:
        found = text(node)
        if found not in set(kind):
            raise wrong("wrong-value", expected=" | ".join(kind), found=describe(found))
        return kind(found)

    return read


def yes_or_no(node: object) -> bool:
    found = text(node)
    if found not in ("true", "false"):
        raise wrong("wrong-value", expected="true | false", found=describe(found))
    return found == "true"


def inside(node: object) -> str:
    """The path of a file inside the build: relative, never upwards."""
    found = text(node)
    if len(found) > 200 or not all(INSIDE.fullmatch(part) for part in found.split("/")):
        raise wrong("path-not-allowed", expected="etc/exam-scheduling.conf", found=describe(found))
    return found


def inside_command(node: object) -> str:
    """A program inside the build, and its arguments, in plain characters: no shell has anything to read in it."""
    found = text(node)
    program, *arguments = found.split(" ")
    inside(Text(program, node.place, written=bool(program)) if isinstance(node, Text) else node)
    if len(found) > 300 or not all(ARGUMENT.fullmatch(argument) for argument in arguments):
        raise wrong("wrong-form", expected="bin/health --timeout=10", found=describe(found))
    return found


def day(node: object) -> str:
    found = text(node)
    _date(found)
    return found


def day_of(node: object) -> date:
    """A day of the calendar: 2026-10-12."""
    return _date(text(node))


def instant(node: object) -> datetime:
    """A day (its first instant, UTC) or an instant such as 2027-11-22T00:00:00Z."""
    found = text(node)
    if len(found) == 10:
        at = _date(found)
        return datetime(at.year, at.month, at.day, tzinfo=UTC)
    try:
        moment = plain.instant(found)
    except ValueError:
        raise wrong("wrong-form", expected="2027-11-22", found=describe(found)) from None
    _date(found[:10])
    return moment


def local_time(node: object) -> datetime:
    """A time on the wall clock, without a zone yet: 2026-11-21 23:00, with seconds if need be."""
    found = text(node)
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", found, re.ASCII):
            raise ValueError(found)
        moment = datetime.fromisoformat(found)
    except ValueError:
        raise wrong("wrong-form", expected="2026-11-21 23:00", found=describe(found)) from None
    _date(found[:10])
    return moment


def zone(node: object) -> str:
    """The name of a time zone that this computer's database knows."""
    found = text(node)
    try:
        if not ZONE.fullmatch(found):
            raise ValueError(found)
        ZoneInfo(found)
    except (ValueError, ZoneInfoNotFoundError, OSError):
        raise wrong("time-zone-unknown", expected="Asia/Shanghai", found=describe(found)) from None
    return found


def public_key(node: object) -> str:
    """An OpenSSH public key as `type base64`."""
    key = read_public_key(text(node))
    if isinstance(key, str):
        return key
    raise wrong(key.code, **key.fields)


def _date(found: str) -> date:
    try:
        at = date.fromisoformat(found)
    except ValueError:
        raise wrong("wrong-form", expected="2026-10-12", found=describe(found)) from None
    if len(found) != 10 or not EARLIEST <= at <= LATEST:
        raise wrong("wrong-value", expected=f"{EARLIEST}…{LATEST}", found=found)
    return at
