"""Calendars of others (RFC 5545): each instant is answered as the fields of its clocks say, without any library."""

import random
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from upgrader.adapters.icalendar_events import read_events

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)
NOW = datetime(2026, 5, 1, tzinfo=UTC)
# One event a paragraph: two nights a week, of which two fell out, and one that was moved; the end of the month, over
# midnight; a vendor's night in a country that sets its clocks; every third day, fifty times; a week of whole days; the
# second Saturday until August, on our own clocks; one that was called off.
EVENTS = """\
UID:nights
DTSTART;TZID=Asia/Shanghai:20260106T020000
DTEND;TZID=Asia/Shanghai:20260106T040000
RRULE:FREQ=WEEKLY;BYDAY=TU,TH
EXDATE;TZID=Asia/Shanghai:20260505T020000,20260507T020000

UID:nights
RECURRENCE-ID;TZID=Asia/Shanghai:20260609T020000
DTSTART;TZID=Asia/Shanghai:20260609T050000
DTEND;TZID=Asia/Shanghai:20260609T060000

UID:settlement
DTSTART;TZID=Asia/Shanghai:20260131T220000
DURATION:PT4H
RRULE:FREQ=MONTHLY;BYMONTHDAY=-1

UID:vendor
DTSTART;TZID=Europe/Berlin:20260104T033000
DTEND;TZID=Europe/Berlin:20260104T050000
RRULE:FREQ=WEEKLY;BYDAY=SU

UID:link
DTSTART:20260401T180000Z
DTEND:20260401T193000Z
RRULE:FREQ=DAILY;INTERVAL=3;COUNT=50

UID:holiday
DTSTART;VALUE=DATE:20261001
DTEND;VALUE=DATE:20261008

UID:test
DTSTART:20260110T130000
DTEND:20260110T150000
RRULE:FREQ=MONTHLY;BYDAY=2SA;UNTIL=20260801T000000

UID:off
STATUS:CANCELLED
DTSTART:20260301T000000Z
DTEND:20270601T000000Z"""


def calendar_file() -> bytes:
    made = "BEGIN:VEVENT\nDTSTAMP:20260101T000000Z\n"
    events = "\n".join(f"{made}{one}\nEND:VEVENT" for one in EVENTS.split("\n\n"))
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//\n{events}\nEND:VCALENDAR\n"
    return text.replace("\n", "\r\n").encode()


def holds(at: datetime) -> bool:
    """The second way: whether some event goes on, from the fields of three clocks."""
    here, there, everywhere = (at.astimezone(zone) for zone in (SHANGHAI, BERLIN, UTC))
    day, hour = here.date(), here.hour
    excepted = {date(2026, 5, 5), date(2026, 5, 7), date(2026, 6, 9)}
    third, rest = divmod((everywhere.date() - date(2026, 4, 1)).days, 3)
    return any(
        (
            day.weekday() in (1, 3) and 2 <= hour < 4 and day not in excepted,
            day == date(2026, 6, 9) and hour == 5,
            (day + DAY).day == 1 and hour >= 22,
            day.day == 1 and hour < 2,
            there.weekday() == 6 and time(3, 30) <= there.time() < time(5),
            rest == 0 and 0 <= third < 50 and time(18) <= everywhere.time() < time(19, 30),
            date(2026, 10, 1) <= day < date(2026, 10, 8),
            day.weekday() == 5 and 8 <= day.day <= 14 and hour in (13, 14) and day < date(2026, 8, 1),
        )
    )


def instants(count: int, seed: int) -> list[datetime]:
    """Instants from seven weeks before now to fifteen months after; half of them within a second of a half hour."""
    chance, start = random.Random(seed), NOW - 50 * DAY
    found = []
    for number in range(count):
        at = start + timedelta(seconds=chance.randrange(500 * 86400))
        if number % 2:
            at = at.replace(minute=chance.choice((0, 30)), second=0) + timedelta(seconds=chance.choice((-1, 0, 1)))
        found.append(at)
    return found


def test_ten_thousand_instants_are_in_an_event_exactly_when_the_fields_of_the_clocks_say_so() -> None:
    periods = [(one.starts, one.ends) for one in read_events(calendar_file(), "Asia/Shanghai", NOW)]
    answers = set()
    for at in instants(10_000, seed=5545):
        wall = at.astimezone(SHANGHAI).replace(tzinfo=None)
        found = any(starts <= wall < ends for starts, ends in periods)
        assert found is holds(at), at.isoformat()
        answers.add(found)

    assert answers == {True, False}
