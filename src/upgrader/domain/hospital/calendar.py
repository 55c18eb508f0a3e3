"""The hospital's calendar: when work may run, when it must not, and whom that concerns.

Every rule is a period that comes back, or comes once, on the clocks of the hospital's time zone. A *window* is when
work may run; a *freeze* is when it must not, whatever window is open. A rule concerns the groups that it names (of
systems, wards, hosts), or everything when it names none. A group with windows of its own
does not share those for everything.
"""

from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
AHEAD = timedelta(days=32)  # so far ahead is looked at a time
HORIZON = timedelta(days=400)  # who finds no opening within this finds none


class Days(StrEnum):
    """On which days a daily period begins."""

    EVERY_DAY = "every-day"
    WORKDAYS = "workdays"
    REST_DAYS = "rest-days"
    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"


WEEK = (Days.MONDAY, Days.TUESDAY, Days.WEDNESDAY, Days.THURSDAY, Days.FRIDAY, Days.SATURDAY, Days.SUNDAY)


@dataclass(frozen=True, slots=True)
class Workdays:
    """On which days people work: Monday to Friday, but for the days `off`, and with the make-up days `on`.

    A year that is not `announced` is provisional: its make-up days are not known yet.
    """

    off: frozenset[date]
    on: frozenset[date]
    announced: frozenset[int]

    def is_workday(self, day: date) -> bool:
        return day in self.on or (day.weekday() < 5 and day not in self.off)

    def is_provisional(self, day: date) -> bool:
        return day.year not in self.announced


@dataclass(frozen=True, slots=True)
class Interval:
    """From `starts` up to, and without, `ends`; in UTC."""

    starts: datetime
    ends: datetime

    def holds(self, at: datetime) -> bool:
        return self.starts <= at < self.ends


@dataclass(frozen=True, slots=True)
class Daily:
    """From one clock time to another on each of the days; past midnight when the end is not after the start."""

    LONGEST = 2 * DAY

    days: tuple[Days, ...]
    starts: time
    ends: time

    def walls(self, first: date, last: date, workdays: Workdays) -> Iterator[tuple[datetime, datetime]]:
        for day in _days(first, last):
            if any(_is_one_of(day, kind, workdays) for kind in self.days):
                after = DAY if self.ends <= self.starts else timedelta()
                yield datetime.combine(day, self.starts), datetime.combine(day + after, self.ends)


@dataclass(frozen=True, slots=True)
class Monthly:
    """From one day of the month to another; -1 is the month's last day. Into the next month when the last day is before
    the first. The 31st of a shorter month is its last day.
    """

    LONGEST = 62 * DAY

    first: int
    starts: time
    last: int
    ends: time

    def walls(self, first: date, last: date, workdays: Workdays) -> Iterator[tuple[datetime, datetime]]:
        month = first.replace(day=1)
        while month <= last:
            following = (month + 32 * DAY).replace(day=1)
            starts = datetime.combine(_day_of(month, self.first), self.starts)
            ends = datetime.combine(_day_of(month, self.last), self.ends)
            if ends <= starts:
                ends = datetime.combine(_day_of(following, self.last), self.ends)
            yield starts, ends
            month = following


@dataclass(frozen=True, slots=True)
class Once:
    """One period, on the clocks of the hospital."""

    LONGEST = DAY  # its own length does not matter: it is found by its end too

    starts: datetime
    ends: datetime

    def walls(self, first: date, last: date, workdays: Workdays) -> Iterator[tuple[datetime, datetime]]:
        if self.starts.date() <= last and self.ends.date() >= first:
            yield self.starts, self.ends


Period = Daily | Monthly | Once


class Meaning(StrEnum):
    WINDOW = "window"
    FREEZE = "freeze"


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarRule:
    """`groups` are those whom it concerns; empty is everything."""

    id: str
    name: Mapping[str, str]
    meaning: Meaning
    groups: frozenset[str]
    period: Period


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether work may run on some groups at an instant, and if not, why.

    `frozen_by` are the freezes that hold; `closed` are the groups with no window open (`*`: those for everything).
    """

    at: datetime
    frozen_by: tuple[CalendarRule, ...]
    closed: tuple[str, ...]
    provisional: bool

    @property
    def may_run(self) -> bool:
        return not (self.frozen_by or self.closed)


@dataclass(frozen=True, slots=True)
class Calendar:
    zone: str
    workdays: Workdays
    rules: tuple[CalendarRule, ...]

    def ask(self, groups: Iterable[str], at: datetime) -> Answer:
        """May work run on hosts of these groups at `at`?"""
        groups = frozenset(groups)
        frozen = tuple(rule for rule in self._freezes(groups) if self._holding(rule, at))
        closed = tuple(
            group for group, windows in self._windows(groups).items() if not any(self._holding(w, at) for w in windows)
        )
        return Answer(at, frozen, closed, self.workdays.is_provisional(at.astimezone(ZoneInfo(self.zone)).date()))

    def open_until(self, groups: Iterable[str], at: datetime, latest: datetime) -> datetime:
        """Until when work that runs at `at` may go on, `latest` at most; `at` itself when it may not run."""
        return max(at, min(latest, self._free_until(frozenset(groups), at, latest)))

    def thaws(self, rule: CalendarRule, at: datetime) -> datetime:
        """When a freeze that holds at `at` ends; `at` when it does not hold."""
        held = self._holding(rule, at)
        return held.ends if held else at

    def next_opening(self, groups: Iterable[str], after: datetime, length: timedelta) -> datetime | None:
        """The first instant from `after` on at which work may run for `length` without a break.

        None when there is no such instant within HORIZON: the calendar leaves no room for this work.
        """
        groups, at, needed = frozenset(groups), after, max(length, SECOND)
        while at <= after + HORIZON:
            free_until = self._free_until(groups, at, at + HORIZON)
            if free_until - at >= needed:
                return at
            at = self._free_from(groups, max(free_until, at))
        return None

    def _free_until(self, groups: frozenset[str], at: datetime, latest: datetime) -> datetime:
        """Until when work may run without a break from `at` on, `latest` at most; `at` itself when it may not run."""
        until = latest
        for rule in self._freezes(groups):
            until = min(until, self._next_start(rule, at, until))
        for windows in self._windows(groups).values():
            until = min(until, self._open_until(windows, at))
        return max(until, at)

    def _free_from(self, groups: frozenset[str], at: datetime) -> datetime:
        """The next instant at which something opens or thaws; work may still be barred by something else then."""
        ends = [held.ends for rule in self._freezes(groups) if (held := self._holding(rule, at))]
        for windows in self._windows(groups).values():
            if not any(self._holding(window, at) for window in windows):
                ends.append(min(self._next_start(window, at, at + HORIZON + DAY) for window in windows))
        return max(ends, default=at + HORIZON + DAY)

    def _open_until(self, windows: Iterable[CalendarRule], at: datetime) -> datetime:
        """The end of the windows that are open at `at`, those that follow without a gap included."""
        until = at
        while held := [interval for window in windows if (interval := self._holding(window, until))]:
            until = max(interval.ends for interval in held)
            if until > at + HORIZON:
                break
        return until

    def _next_start(self, rule: CalendarRule, at: datetime, before: datetime) -> datetime:
        """When the rule next holds: `at` when it does now, `before` when it does not until then."""
        start = at
        while start < before:
            found = [held for held in self._intervals(rule, start, start + AHEAD) if held.ends > at]
            if found:
                return max(at, min(min(held.starts for held in found), before))
            start += AHEAD
        return before

    def _holding(self, rule: CalendarRule, at: datetime) -> Interval | None:
        return next((held for held in self._intervals(rule, at, at) if held.holds(at)), None)

    def _intervals(self, rule: CalendarRule, start: datetime, end: datetime) -> Iterator[Interval]:
        """The rule's periods that may touch the time from `start` to `end`, and some around it."""
        zone = ZoneInfo(self.zone)
        first = (start - rule.period.LONGEST).astimezone(zone).date()
        last = end.astimezone(zone).date() + DAY
        for starts, ends in rule.period.walls(first, last, self.workdays):
            interval = Interval(*(wall.replace(tzinfo=zone).astimezone(UTC) for wall in (starts, ends)))
            if interval.ends > start and interval.starts <= end:
                yield interval

    def _freezes(self, groups: frozenset[str]) -> tuple[CalendarRule, ...]:
        return tuple(
            rule for rule in self.rules if rule.meaning is Meaning.FREEZE and (not rule.groups or rule.groups & groups)
        )

    def _windows(self, groups: frozenset[str]) -> Mapping[str, tuple[CalendarRule, ...]]:
        """For each group that has windows of its own these windows; without any such group those for everything."""
        windows = [rule for rule in self.rules if rule.meaning is Meaning.WINDOW]
        own = {group: tuple(rule for rule in windows if group in rule.groups) for group in sorted(groups)}
        found = {group: rules for group, rules in own.items() if rules}
        general = tuple(rule for rule in windows if not rule.groups)
        return found or ({"*": general} if general else {})


def _days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += DAY


def _is_one_of(day: date, kind: Days, workdays: Workdays) -> bool:
    match kind:
        case Days.EVERY_DAY:
            return True
        case Days.WORKDAYS:
            return workdays.is_workday(day)
        case Days.REST_DAYS:
            return not workdays.is_workday(day)
        case _:
            return WEEK[day.weekday()] is kind


def _day_of(month: date, number: int) -> date:
    length = monthrange(month.year, month.month)[1]
    return month.replace(day=max(1, length + 1 + number) if number < 0 else min(number, length))
