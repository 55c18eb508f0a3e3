"""calendar.yml: what a hospital writes becomes rules; workdays are the official ones, events come from .ics files."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from upgrader.adapters.documents import read_calendar
from upgrader.domain.errors import BadInput
from upgrader.domain.hospital.calendar import Calendar, Days, Meaning, Monthly, Once

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")
GOOD = """\
zone: Asia/Shanghai
country: CN
workdays: {on: [2027-02-07], off: [2027-02-08], announced: [2027]}
windows:
  - id: nights
    name: {zh: 夜间维护, en: nightly maintenance}
    daily: {days: [every-day], starts: 23:00, ends: 05:00}
freezes:
  - id: insurance-settlement
    name: {zh: 医保月结, en: insurance settlement}
    groups: [medical-insurance]
    monthly: {first: -2, starts: 00:00, last: 1, ends: 12:00}
  - id: accreditation
    name: {zh: 等级评审, en: accreditation}
    once: {starts: 2026-12-07 00:00, ends: 2026-12-12 00:00}
  - id: audits
    name: {zh: 审计, en: audits}
    icalendar: audits.ics
"""
AUDITS = b"""\
BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//test//EN\r
BEGIN:VEVENT\r
UID:1\r
DTSTAMP:20261101T000000Z\r
DTSTART;TZID=Asia/Shanghai:20261201T200000\r
DTEND;TZID=Asia/Shanghai:20261201T220000\r
RRULE:FREQ=WEEKLY;COUNT=3\r
EXDATE;TZID=Asia/Shanghai:20261208T200000\r
SUMMARY:audit\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:2\r
DTSTAMP:20261101T000000Z\r
DTSTART;VALUE=DATE:20270101\r
DTEND;VALUE=DATE:20270102\r
SUMMARY:closing of the books\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:3\r
DTSTAMP:20261101T000000Z\r
DTSTART:20261224T160000Z\r
DTEND:20261224T170000Z\r
STATUS:CANCELLED\r
END:VEVENT\r
END:VCALENDAR\r
"""


def read(text: str = GOOD, **attachments: bytes) -> Calendar:
    files = {"audits.ics": AUDITS, **attachments}
    return read_calendar(text.encode(), "calendar.yml", attachments=files, now=NOW)


def test_a_calendar_is_read_with_its_windows_and_freezes() -> None:
    calendar = read()

    assert calendar.zone == "Asia/Shanghai"
    assert [(rule.id, rule.meaning) for rule in calendar.rules][:3] == [
        ("nights", Meaning.WINDOW),
        ("insurance-settlement", Meaning.FREEZE),
        ("accreditation", Meaning.FREEZE),
    ]
    assert calendar.rules[1].period == Monthly(-2, time(0), 1, time(12))
    assert calendar.rules[1].groups == {"medical-insurance"}


def test_events_of_others_are_unrolled_and_cancelled_ones_left_out() -> None:
    audits = [rule.period for rule in read().rules if rule.id == "audits"]

    assert audits == [
        Once(datetime(2026, 12, 1, 20), datetime(2026, 12, 1, 22)),
        Once(datetime(2026, 12, 15, 20), datetime(2026, 12, 15, 22)),
        Once(datetime(2027, 1, 1), datetime(2027, 1, 2)),
    ]


# General Office of the State Council, holidays of 2024 to 2026: the Saturdays and Sundays on which people work.
MADE_UP = """2024-02-04 2024-02-18 2024-04-07 2024-04-28 2024-05-11 2024-09-14 2024-09-29 2024-10-12
2025-01-26 2025-02-08 2025-04-27 2025-09-28 2025-10-11 2026-01-04 2026-02-14 2026-02-28 2026-05-09 2026-09-20
2026-10-10"""


@pytest.mark.parametrize("day", MADE_UP.split())
def test_make_up_days_are_workdays(day: str) -> None:
    assert date.fromisoformat(day).weekday() >= 5
    assert read().workdays.is_workday(date.fromisoformat(day))


def test_all_other_days_of_the_week_end_are_rest_days() -> None:
    made_up = {date.fromisoformat(day) for day in MADE_UP.split()}
    days = [date.fromordinal(n) for n in range(date(2024, 1, 1).toordinal(), date(2027, 1, 1).toordinal())]
    workdays = read().workdays

    assert {day for day in days if day.weekday() >= 5 and workdays.is_workday(day)} == made_up


@pytest.mark.parametrize("day", ["2026-01-01", "2026-02-16", "2026-02-23", "2026-04-06", "2026-10-07"])
def test_a_holiday_in_the_week_is_a_rest_day(day: str) -> None:
    assert not read().workdays.is_workday(date.fromisoformat(day))


def test_the_hospital_knows_better_than_the_library() -> None:
    workdays = read().workdays

    assert workdays.is_workday(date(2027, 2, 7))  # a Sunday
    assert not workdays.is_workday(date(2027, 2, 8))  # a Monday


def test_a_year_without_make_up_days_is_provisional_until_somebody_says_otherwise() -> None:
    assert not read().workdays.is_provisional(date(2026, 12, 31))
    assert not read().workdays.is_provisional(date(2027, 1, 1))
    assert read(GOOD.replace(", announced: [2027]", "")).workdays.is_provisional(date(2027, 1, 1))


def test_in_a_country_that_moves_no_workdays_no_year_is_provisional() -> None:
    calendar = read(GOOD.replace("country: CN", "country: DE").replace("Asia/Shanghai", "Europe/Berlin"))

    assert not calendar.workdays.is_provisional(date(2028, 1, 3))
    assert not calendar.workdays.is_workday(date(2026, 12, 25))


@pytest.mark.parametrize(
    ("good", "bad", "place", "code"),
    [
        ("country: CN", "country: XX", "2:10", "wrong-value"),
        ("23:00", "25:00", "7:40", "wrong-form"),
        ("[every-day]", "[]", "7:19", "empty-not-allowed"),
        ("[every-day]", "[payday]", "7:20", "wrong-value"),
        ("first: -2", "first: 0", "12:22", "wrong-form"),
        ("2026-12-12 00:00", "2026-12-06 00:00", "15:44", "closes-before-opens"),
        ("id: accreditation", "id: insurance-settlement", "13:9", "duplicate-value"),
        ("icalendar: audits.ics", "icalendar: others.ics", "18:16", "icalendar-missing"),
        ("icalendar: audits.ics", "icalendar: ../audits.ics", "18:16", "wrong-form"),
        ("    icalendar: audits.ics\n", "", "16:5", "one-key-of"),
        ("zone: Asia/Shanghai", "zone: Asia/Beijing", "1:7", "time-zone-unknown"),
    ],
)
def test_a_mistake_is_told_at_its_place(good: str, bad: str, place: str, code: str) -> None:
    assert good in GOOD
    with pytest.raises(BadInput) as refused:
        read(GOOD.replace(good, bad, 1))

    told = [(f"{problem.line}:{problem.column}", problem.code) for problem in refused.value.problems]
    assert (place, code) in told


@pytest.mark.parametrize(
    "content", [b"", b"hello", AUDITS[:200], b"\xff\xfe" * 40], ids=["empty", "text", "cut", "bytes"]
)
def test_what_is_no_icalendar_is_told(content: bytes) -> None:
    with pytest.raises(BadInput) as refused:
        read(GOOD, **{"audits.ics": content})

    assert [problem.code for problem in refused.value.problems] == ["icalendar-unreadable"]


def test_nights_and_days_are_those_of_the_wall() -> None:
    calendar = read()

    assert calendar.rules[0].period.days == (Days.EVERY_DAY,)  # type: ignore[union-attr] # a daily one
    assert calendar.ask((), datetime(2026, 11, 22, 23, 30, tzinfo=SHANGHAI)).may_run
    assert not calendar.ask((), datetime(2026, 12, 8, 23, 30, tzinfo=SHANGHAI)).may_run
