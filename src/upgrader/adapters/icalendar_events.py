"""iCalendar (RFC 5545): the events of a calendar that somebody else keeps, repetitions unrolled, as periods."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events

from upgrader.domain.hospital.calendar import Once

BEFORE, AFTER = timedelta(days=62), timedelta(days=500)
MOST_EVENTS = 5000


def read_events(content: bytes, zone: str, now: datetime) -> list[Once]:
    """Every event from two months before `now` to 500 days after it, on the clocks of `zone`, but for cancelled ones.

    Raises ValueError for what is no calendar, or holds far too many events.
    """
    try:
        calendar = icalendar.Calendar.from_ical(content)
        found = recurring_ical_events.of(calendar).between(now - BEFORE, now + AFTER)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an iCalendar file: {error}"[:200]) from error
    if len(found) > MOST_EVENTS:
        raise ValueError(f"{len(found)} events; {MOST_EVENTS} at most")
    return list(_periods(found, ZoneInfo(zone)))


def _periods(events: list[icalendar.Event], zone: ZoneInfo) -> Iterator[Once]:
    for event in events:
        if str(event.get("STATUS", "")).upper() != "CANCELLED" and event.end > event.start:
            yield Once(_on_the_wall(event.start, zone), _on_the_wall(event.end, zone))


def _on_the_wall(moment: date | datetime, zone: ZoneInfo) -> datetime:
    """A whole day begins at midnight; a time without a zone is meant on our clocks (RFC 5545, 3.3.5)."""
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time())
    return moment.replace(tzinfo=None) if moment.tzinfo is None else moment.astimezone(zone).replace(tzinfo=None)
