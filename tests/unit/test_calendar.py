"""The calendar: every answer agrees with a second, slower way to find it, for instants of three years."""

import random
from calendar import monthrange
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from upgrader.domain.hospital.calendar import (
    WEEK,
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

SHANGHAI = ZoneInfo("Asia/Shanghai")
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
# The spring festival of 2026 with one make-up Saturday, as the State Council announced it.
WORKDAYS = Workdays(
    off=frozenset(date(2026, 2, 16) + n * DAY for n in range(5)),
    on=frozenset({date(2026, 2, 14), date(2026, 2, 28)}),
    announced=frozenset({2026}),
)


def rule(id: str, meaning: Meaning, period: Period, *groups: str) -> CalendarRule:
    return CalendarRule(id=id, name={"zh": id, "en": id}, meaning=meaning, groups=frozenset(groups), period=period)


def window(id: str, period: Period, *groups: str) -> CalendarRule:
    return rule(id, Meaning.WINDOW, period, *groups)


def freeze(id: str, period: Period, *groups: str) -> CalendarRule:
    return rule(id, Meaning.FREEZE, period, *groups)


NIGHTS = window("nights", Daily((Days.EVERY_DAY,), time(23), time(5)))
WEEKEND = window("weekend", Daily((Days.REST_DAYS,), time(8), time(20)))
EMERGENCY = window("small hours", Daily((Days.TUESDAY, Days.THURSDAY), time(2), time(4)), "emergency")
SHIFTS = freeze("shift change", Daily((Days.WORKDAYS,), time(7, 30), time(8, 30)), "wards")
SETTLEMENT = freeze("insurance settlement", Monthly(-2, time(0), 1, time(12)), "insurance")
INVENTORY = freeze("stock taking", Monthly(31, time(6), 31, time(22)), "pharmacy")
AUDIT = freeze("audit", Once(datetime(2026, 5, 11, 8), datetime(2026, 5, 13, 18)))
CALENDAR = Calendar("Asia/Shanghai", WORKDAYS, (NIGHTS, WEEKEND, EMERGENCY, SHIFTS, SETTLEMENT, INVENTORY, AUDIT))
GROUPS = ((), ("emergency",), ("wards",), ("insurance", "emergency"), ("pharmacy", "wards"), ("unknown",))


def holds(period: Period, wall: datetime) -> bool:
    """The second way: from the fields of one time on the wall, without any interval."""
    match period:
        case Once():
            return period.starts <= wall < period.ends
        case Daily() if period.starts < period.ends:
            return begins(period, wall.date()) and period.starts <= wall.time() < period.ends
        case Daily():
            late = begins(period, wall.date()) and wall.time() >= period.starts
            return late or (begins(period, wall.date() - DAY) and wall.time() < period.ends)
        case Monthly():
            first, last = (
                (number_in(month, period.first), number_in(month, period.last)) for month in (wall.date(), wall.date())
            )
            here = (wall.day, wall.time())
            starts, ends = (first[0], period.starts), (last[1], period.ends)
            return starts <= here < ends if starts < ends else here >= starts or here < ends


def number_in(month: date, number: int) -> int:
    length = monthrange(month.year, month.month)[1]
    return length + 1 + number if number < 0 else min(number, length)


def begins(period: Daily, day: date) -> bool:
    works = day in WORKDAYS.on or (day.isoweekday() <= 5 and day not in WORKDAYS.off)
    known = {Days.EVERY_DAY: True, Days.WORKDAYS: works, Days.REST_DAYS: not works}
    return any(known.get(kind, WEEK[day.weekday()] is kind) for kind in period.days)


def expected(groups: Iterable[str], at: datetime) -> bool:
    wall, asked = at.astimezone(SHANGHAI).replace(tzinfo=None), set(groups)
    if any(
        f.meaning is Meaning.FREEZE and holds(f.period, wall) and (not f.groups or f.groups & asked)
        for f in CALENDAR.rules
    ):
        return False
    if "emergency" in asked:
        return holds(EMERGENCY.period, wall)
    return holds(NIGHTS.period, wall) or holds(WEEKEND.period, wall)


def instants(count: int, seed: int) -> list[datetime]:
    """Instants of three years, a third of them within two minutes of a full or half hour, where rules begin and end."""
    chance = random.Random(seed)
    start = datetime(2025, 6, 1, tzinfo=UTC)
    found = []
    for number in range(count):
        at = start + timedelta(seconds=chance.randrange(3 * 365 * 86400))
        if number % 3 == 0:
            at = at.replace(minute=chance.choice((0, 30)), second=0) + chance.choice((-1, 0, 1)) * MINUTE
        found.append(at)
    return found


def test_ten_thousand_instants_are_answered_as_the_fields_of_the_clock_say() -> None:
    for number, at in enumerate(instants(10_000, seed=142)):
        groups = GROUPS[number % len(GROUPS)]
        assert CALENDAR.ask(groups, at).may_run is expected(groups, at), (groups, at.astimezone(SHANGHAI))


@pytest.mark.parametrize("groups", GROUPS, ids=lambda groups: "+".join(groups) or "everything")
@pytest.mark.parametrize("minutes", [1, 90, 300])
def test_the_next_opening_is_the_first_minute_from_which_all_minutes_are_open(
    groups: tuple[str, ...], minutes: int
) -> None:
    for at in instants(8, seed=minutes):
        at = at.replace(second=0)
        found = CALENDAR.next_opening(groups, at, minutes * MINUTE)
        if found is None:
            assert "emergency" in groups
            assert minutes > 120
            continue
        minute, run = at, 0
        while run < minutes:  # the second way: minute by minute
            run = run + 1 if expected(groups, minute) else 0
            minute += MINUTE
            assert minute < at + timedelta(days=60)
        assert found == minute - minutes * MINUTE, (groups, at.astimezone(SHANGHAI))


def test_an_answer_names_every_freeze_and_every_group_that_is_closed() -> None:
    answer = CALENDAR.ask(("insurance", "emergency"), datetime(2026, 4, 29, 12, tzinfo=SHANGHAI))

    assert [rule.id for rule in answer.frozen_by] == ["insurance settlement"]
    assert answer.closed == ("emergency",)


def test_a_make_up_saturday_is_a_workday_and_a_holiday_is_none() -> None:
    shift = datetime(2026, 2, 14, 8, tzinfo=SHANGHAI)  # a Saturday on which people work
    festival = datetime(2026, 2, 17, 8, tzinfo=SHANGHAI)  # a Tuesday on which nobody does

    assert [rule.id for rule in CALENDAR.ask(("wards",), shift).frozen_by] == ["shift change"]
    assert CALENDAR.ask(("wards",), festival).may_run


def test_a_year_that_nobody_has_announced_is_provisional() -> None:
    assert not CALENDAR.ask((), datetime(2026, 12, 31, 12, tzinfo=SHANGHAI)).provisional
    assert CALENDAR.ask((), datetime(2027, 1, 1, 12, tzinfo=SHANGHAI)).provisional


def test_windows_that_meet_are_one() -> None:
    meeting = Calendar(
        "Asia/Shanghai",
        WORKDAYS,
        (
            window("a", Daily((Days.EVERY_DAY,), time(22), time(0))),
            window("b", Daily((Days.EVERY_DAY,), time(0), time(3))),
        ),
    )
    noon = datetime(2026, 6, 1, 12, tzinfo=SHANGHAI)

    assert meeting.next_opening((), noon, timedelta(hours=5)) == datetime(2026, 6, 1, 22, tzinfo=SHANGHAI)
    assert meeting.next_opening((), noon, timedelta(hours=5, seconds=1)) is None


def test_without_any_rule_work_may_always_run() -> None:
    empty = Calendar("Asia/Shanghai", WORKDAYS, ())
    now = datetime(2026, 6, 1, 12, tzinfo=UTC)

    assert empty.ask(("lis",), now).may_run
    assert empty.next_opening(("lis",), now, timedelta(hours=8)) == now


def test_a_day_on_which_clocks_are_set_forward_has_its_night_window_all_the_same() -> None:
    berlin = Calendar("Europe/Berlin", WORKDAYS, (NIGHTS,))
    zone = ZoneInfo("Europe/Berlin")

    assert berlin.ask((), datetime(2026, 3, 29, 3, 30, tzinfo=zone)).may_run
    opening = berlin.next_opening((), datetime(2026, 3, 28, 12, tzinfo=zone), timedelta(hours=5))
    assert opening == datetime(2026, 3, 28, 23, tzinfo=zone)  # five hours long that night
    assert berlin.next_opening((), opening, timedelta(hours=6)) == datetime(2026, 3, 29, 23, tzinfo=zone)
