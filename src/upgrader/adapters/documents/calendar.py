"""calendar.yml: the hospital's maintenance windows and freezes, and the days on which it works."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from typing import Annotated

from upgrader.adapters.documents.fields import Bilingual, LocalTime, Zone
from upgrader.adapters.documents.models import Finding, Model, at_least_one, no_two_alike, problem_at, reads
from upgrader.adapters.documents.reading import Document, invalid, read_document
from upgrader.adapters.documents.values import day_of, matching, one_of, whole
from upgrader.adapters.icalendar_events import read_events
from upgrader.adapters.workdays import countries, workdays_of
from upgrader.domain.errors import Problem
from upgrader.domain.hospital.calendar import (
    Calendar,
    CalendarRule,
    Daily,
    Days,
    Meaning,
    Monthly,
    Once,
    Period,
    Workdays,
)

PERIODS = ("daily", "monthly", "once", "icalendar")
AROUND = 3  # years before and after now for which workdays are looked up

RuleId = Annotated[str, reads(matching(r"[a-z0-9][a-z0-9-]{0,62}", "insurance-settlement", str))]
Group = Annotated[str, reads(matching(r"[a-z0-9][a-z0-9_-]{0,62}", "medical-insurance", str))]
Clock = Annotated[time, reads(matching(r"([01]\d|2[0-3]):[0-5]\d", "23:00", time.fromisoformat))]
DayOfMonth = Annotated[int, reads(matching(r"-?([1-9]|[12]\d|3[01])", "1…31, -1", int))]
Country = Annotated[str, reads(matching(r"[A-Z]{2}|none", "CN, none", str))]
IcsFile = Annotated[str, reads(matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,98}\.ics", "audits.ics", str))]
Dates = Annotated[tuple[Annotated[date, reads(day_of)], ...], no_two_alike()]


def read_calendar(content: bytes, file: str, *, attachments: Mapping[str, bytes], now: datetime) -> Calendar:
    """Read a calendar.yml. `attachments` are the .ics files beside it, by name.

    Raises BadInput `document-invalid` with everything that is wrong with it. Years are looked up around `now`, and
    events of .ics files for 500 days from then.
    """
    document = read_document(_Calendar, content, file)
    found = document.model
    problems: list[Problem] = []
    rules = [
        *_rules(document, "windows", Meaning.WINDOW, attachments, now, problems),
        *_rules(document, "freezes", Meaning.FREEZE, attachments, now, problems),
    ]
    if problems:
        raise invalid(file, problems)
    return Calendar(found.zone, found.to_workdays(now), tuple(rules))


class _Daily(Model):
    days: Annotated[tuple[Annotated[Days, reads(one_of(Days))], ...], at_least_one(), no_two_alike()]
    starts: Clock
    ends: Clock


class _Monthly(Model):
    first: DayOfMonth
    starts: Clock
    last: DayOfMonth
    ends: Clock


class _Once(Model):
    starts: LocalTime
    ends: LocalTime

    def findings(self) -> Iterator[Finding]:
        if self.ends <= self.starts:
            yield Finding(("ends",), "closes-before-opens", {"expected": self.starts, "found": self.ends})


class _Rule(Model):
    id: RuleId
    name: Bilingual
    groups: Annotated[tuple[Group, ...], no_two_alike()] = ()
    daily: _Daily | None = None
    monthly: _Monthly | None = None
    once: _Once | None = None
    icalendar: IcsFile | None = None

    def findings(self) -> Iterator[Finding]:
        given = [period for period in PERIODS if getattr(self, period) is not None]
        if len(given) != 1:
            yield Finding((given[1],) if given else (), "one-key-of", {"expected": " | ".join(PERIODS)})

    def periods(self, zone: str, attachments: Mapping[str, bytes], now: datetime) -> list[Period]:
        """The period; of an .ics file one for each event. Raises ValueError, KeyError for a file that is not there."""
        if self.daily:
            return [Daily(self.daily.days, self.daily.starts, self.daily.ends)]
        if self.monthly:
            return [Monthly(self.monthly.first, self.monthly.starts, self.monthly.last, self.monthly.ends)]
        if self.once:
            return [Once(self.once.starts, self.once.ends)]
        return [*read_events(attachments[self.icalendar or ""], zone, now)]


class _Workdays(Model):
    on: Dates = ()
    off: Dates = ()
    announced: Annotated[tuple[Annotated[int, reads(whole(2000, 2199))], ...], no_two_alike()] = ()


class _Calendar(Model):
    zone: Zone
    country: Country
    workdays: _Workdays = _Workdays()
    windows: tuple[_Rule, ...] = ()
    freezes: tuple[_Rule, ...] = ()

    def findings(self) -> Iterator[Finding]:
        if self.country != "none" and self.country not in countries():
            yield Finding(("country",), "wrong-value", {"expected": "ISO 3166: CN | …", "found": self.country})
        for key in ("windows", "freezes"):
            ids = [rule.id for rule in getattr(self, key)]
            for n, id in enumerate(ids):
                if id in ids[:n]:
                    yield Finding((key, n, "id"), "duplicate-value", {"found": id})

    def to_workdays(self, now: datetime) -> Workdays:
        """What the library knows, and over it what the hospital says of itself."""
        years = range(now.year - AROUND, now.year + AROUND + 1)
        known = workdays_of(None if self.country == "none" else self.country, years)
        on, off = frozenset(self.workdays.on), frozenset(self.workdays.off)
        return Workdays((known.off - on) | off, (known.on - off) | on, known.announced | set(self.workdays.announced))


def _rules(
    document: Document[_Calendar],
    key: str,
    meaning: Meaning,
    attachments: Mapping[str, bytes],
    now: datetime,
    problems: list[Problem],
) -> Iterator[CalendarRule]:
    listed: tuple[_Rule, ...] = getattr(document.model, key)
    for number, rule in enumerate(listed):
        try:
            periods = rule.periods(document.model.zone, attachments, now)
        except KeyError:
            fields = {"found": rule.icalendar or ""}
            at = (key, number, "icalendar")
            problems.append(problem_at(document.file, document.root, at, "icalendar-missing", fields))
            continue
        except ValueError as error:
            fields = {"found": rule.icalendar or "", "reason": str(error)}
            at = (key, number, "icalendar")
            problems.append(problem_at(document.file, document.root, at, "icalendar-unreadable", fields))
            continue
        for period in periods:
            yield CalendarRule(
                id=rule.id,
                name=rule.name.as_mapping(),
                meaning=meaning,
                groups=frozenset(rule.groups),
                period=period,
            )
