"""Arguments become values at the border, once; what does not fit is a usage error with what was expected."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from upgrader.domain.names import ChangeId, Name

N = TypeVar("N", bound=Name)
F = TypeVar("F", bound=Callable[..., Any])
DURATION = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,5})h)?(?:(\d{1,5})m)?(?:(\d{1,5})s)?")
WINDOW = re.compile(r"\s*(.+?)\s*(?:→|->|/|\.\.)\s*(.+?)\s*")
YEARS = range(2000, 3000)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Unfit(click.BadParameter):
    """An argument that does not fit; what was expected is the text `argument.CODE`, in the reader's language."""

    def __init__(self, code: str, /, param_hint: str | None = None, **fields: str) -> None:
        super().__init__(f"{code} {fields}", param_hint=param_hint)
        self.code, self.fields = code, fields

    def told(self, words: str) -> click.BadParameter:
        """The same error in these words."""
        return click.BadParameter(words, ctx=self.ctx, param=self.param, param_hint=self.param_hint)


def read_name(kind: type[N], text: str, param_hint: str | None = None) -> N:
    """Make a Name of an argument. Raises Unfit."""
    try:
        return kind(text)
    except ValueError:
        raise Unfit(kind.__name__.lower(), param_hint, found=text[:80]) from None


def name_of(kind: type[N]) -> Callable[[click.Context, click.Parameter, Any], N | None]:
    """A click callback that makes a Name of an argument."""

    def convert(ctx: click.Context, parameter: click.Parameter, value: Any) -> N | None:
        return None if value is None else read_name(kind, value)

    return convert


def known_changes(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """For the shell: the changes of the site in which the person stands; none outside of a site."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / "upgrader.yml").is_file():
            names = sorted(path.name for path in folder.glob("approvals/*"))
            return [name for name in names if name.startswith(incomplete)]
    return []


def change_argument(*, required: bool = True) -> Callable[[F], F]:
    """The argument CHANGE of most verbs."""
    return click.argument("change", callback=name_of(ChangeId), required=required, shell_complete=known_changes)


def answers(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    """A click callback for `KEY=TEXT`, given as often as there are answers; each key once."""
    given: dict[str, str] = {}
    for answer in value:
        key, sign, text = answer.partition("=")
        if not sign or not key or key in given:
            raise Unfit("answer", found=answer[:80])
        given[key.strip()] = text.strip()
    return given


def duration(ctx: click.Context, parameter: click.Parameter, value: str) -> timedelta:
    """A click callback for `30s`, `5m`, `1h30m`, `3d`."""
    match = DURATION.fullmatch(value)
    if not value or match is None:
        raise Unfit("duration", found=value)
    return _length(match)


def day(ctx: click.Context, parameter: click.Parameter, value: str | None) -> date | None:
    """A click callback for a day such as 2026-11-20."""
    if value is None:
        return None
    try:
        return _written(value, "%Y-%m-%d").date()
    except ValueError:
        raise Unfit("day", found=value) from None


def window(text: str, zone: str, now: datetime) -> tuple[datetime, datetime]:
    """Read `Sat 23:00 → Sun 03:00`, `2026-11-21 23:00 → 2026-11-22 03:00` or `now → +3h` in a zone.

    Raises Unfit. A week day is the next such day from `now` on; the end comes after the start.
    """
    match = WINDOW.fullmatch(text)
    if match is None:
        raise Unfit("window", "--window", found=text)
    opens = _moment(match[1], zone, now.astimezone(ZoneInfo(zone)).replace(microsecond=0))  # requests count seconds
    closes = _moment(match[2], zone, opens)
    if closes <= opens:
        raise Unfit("window-ends-first", "--window", found=text)
    if closes <= now:
        raise Unfit("window-over", "--window", found=text)
    return opens, closes


def deadline(text: str, zone: str, now: datetime) -> datetime:
    """Read `2026-12-05` (the end of that day) or `+14d` in a zone. Raises Unfit."""
    match = DURATION.fullmatch(text.removeprefix("+")) if text.startswith("+") and text != "+" else None
    if match is not None:
        return (now + _length(match)).replace(microsecond=0)
    try:
        day = _written(text, "%Y-%m-%d").replace(tzinfo=ZoneInfo(zone))
    except ValueError:
        raise Unfit("deadline", found=text) from None
    return day + timedelta(days=1)


def past_moment(text: str, zone: str, now: datetime) -> datetime:
    """Read `2026-11-21 23:00` in a zone, in UTC. Raises Unfit, also for a time that is yet to come."""
    try:
        at = _written(text, "%Y-%m-%d %H:%M").replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    except ValueError:
        raise Unfit("past-moment", found=text) from None
    if at > now:
        raise Unfit("yet-to-come", found=text)
    return at


def moment(text: str, zone: str, now: datetime) -> datetime:
    """Read `now`, `+3h`, `2026-12-05 23:00` or `Sat 23:00` in a zone. Raises Unfit."""
    return _moment(text, zone, now.astimezone(ZoneInfo(zone)).replace(microsecond=0)).astimezone(UTC)


def _written(text: str, form: str) -> datetime:
    """A day or time as somebody wrote it, in no zone yet. Raises ValueError, also for a year that nobody can mean."""
    found = datetime.strptime(text, form)
    if found.year not in YEARS:
        raise ValueError(text)
    return found


def _length(match: re.Match[str]) -> timedelta:
    """How long it is what DURATION found."""
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _moment(text: str, zone: str, after: datetime) -> datetime:
    if text == "now":
        return after
    if text.startswith("+"):
        match = DURATION.fullmatch(text[1:])
        if match is not None and text[1:]:
            return after + _length(match)
    for form in ("%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S"):
        try:
            return _written(text, form).replace(tzinfo=ZoneInfo(zone))
        except ValueError:
            continue
    return _next_clock(text, after)


def _next_clock(text: str, after: datetime) -> datetime:
    """`Sat 23:00` or `23:00`: the first such moment after `after`."""
    day, _, clock = text.rpartition(" ")
    match = re.fullmatch(r"(\d{1,2}):(\d{2})", clock)
    wanted = day.strip().lower()[:3]
    if match is None or int(match[1]) > 23 or int(match[2]) > 59 or (wanted and wanted not in DAYS):
        raise Unfit("moment", found=text)
    moment = after.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
    while moment <= after or (wanted and DAYS[moment.weekday()] != wanted):
        moment += timedelta(days=1)
    return moment
