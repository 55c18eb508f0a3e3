"""Demands: due by Chinese working days, make-up days and holidays counted as they are."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

import builders
from fakes import MemoryJournal
from upgrader.adapters.documents import read_request, write_request
from upgrader.adapters.workdays import workdays_of
from upgrader.domain.changes.change import view
from upgrader.domain.changes.demand import Deadline, Demand, DemandKind, deadline_of, demand_of, fulfilled_at
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.errors import BadInput
from upgrader.language import Language, Texts
from upgrader.render import deadline

CHINA = workdays_of("CN", range(2025, 2029))
SHANGHAI = "Asia/Shanghai"


def at(day: str, hour: int = 12) -> datetime:
    return datetime.fromisoformat(f"{day}T{hour:02}:00:00+08:00").astimezone(UTC)


def found(demand: Demand, now: str, met: str | None = None) -> Deadline:
    return deadline_of(demand, CHINA, at(met) if met else None, at(now), SHANGHAI)


@pytest.mark.parametrize(
    ("kind", "since", "days", "due"),
    [
        (DemandKind.URGENT_DEFECT, "2026-09-18", 1, "2026-09-20"),  # Friday; Sunday 20 September is a make-up day
        (DemandKind.URGENT_DEFECT, "2026-09-30", 1, "2026-10-08"),  # the day before the National Day holiday
        (DemandKind.DEFECT, "2026-09-28", 5, "2026-10-10"),  # over the holiday; Saturday the 10th is worked
        (DemandKind.DEFECT, "2026-11-16", 3, "2026-11-19"),
        (
            DemandKind.MODIFICATION,
            "2026-01-12",
            30,
            "2026-02-28",
        ),  # over Spring Festival; Saturday the 28th is worked
    ],
)
def test_a_demand_is_due_by_the_working_days_that_china_works(
    kind: DemandKind, since: str, days: int, due: str
) -> None:
    assert found(Demand(kind, date.fromisoformat(since), days), since).due == date.fromisoformat(due)


def by_hand(since: date, days: int) -> date:
    """Counted otherwise: the n-th element of all working days after it."""
    after = (since + timedelta(days=n) for n in range(1, 200))
    return [day for day in after if CHINA.is_workday(day)][days - 1]


@pytest.mark.parametrize("days", [15, 27, 45])
def test_the_count_agrees_with_another_one_for_every_day_of_a_year(days: int) -> None:
    for n in range(365):
        since = date(2026, 1, 1) + timedelta(days=n)
        demand = Demand(DemandKind.MODIFICATION, since, days)
        assert found(demand, since.isoformat()).due == by_hand(since, days)


def test_it_is_overdue_the_day_after_and_counts_working_days_only() -> None:
    demand = Demand(DemandKind.DEFECT, date(2026, 11, 16), 3)  # due Thursday the 19th

    assert not found(demand, "2026-11-19").is_overdue
    assert (found(demand, "2026-11-20").is_overdue, found(demand, "2026-11-20").late) == (True, 1)
    assert found(demand, "2026-11-23").late == 2  # over a week-end
    assert found(demand, "2026-11-16").left == 3


def test_what_was_met_is_late_by_the_day_on_which_it_was_met_and_never_overdue() -> None:
    demand = Demand(DemandKind.DEFECT, date(2026, 11, 16), 3)

    late, timely = found(demand, "2026-12-31", met="2026-11-20"), found(demand, "2026-12-31", met="2026-11-19")

    assert (late.late, late.is_overdue) == (1, False)
    assert (timely.late, timely.is_overdue) == (0, False)


def test_midnight_is_that_of_the_hospital() -> None:
    demand = Demand(DemandKind.DEFECT, date(2026, 11, 16), 3)

    assert found(demand, "2026-11-19", met="2026-11-19").late == 0
    assert deadline_of(demand, CHINA, None, at("2026-11-20", hour=0), SHANGHAI).is_overdue  # 16:00 of the 19th in UTC


def test_a_year_that_is_not_announced_is_said_to_be_provisional() -> None:
    assert not found(Demand(DemandKind.DEFECT, date(2026, 11, 16), 3), "2026-11-16").provisional
    assert found(Demand(DemandKind.MODIFICATION, date(2026, 12, 1), 45), "2026-12-01").provisional


@pytest.mark.parametrize(
    ("kind", "days"),
    [
        (DemandKind.URGENT_DEFECT, 2),
        (DemandKind.DEFECT, 6),
        (DemandKind.MODIFICATION, 14),
        (DemandKind.MODIFICATION, 46),
    ],
)
def test_no_kind_takes_more_or_fewer_days_than_the_hospital_grants(kind: DemandKind, days: int) -> None:
    with pytest.raises(ValueError, match="working days"):
        Demand(kind, date(2026, 11, 16), days)
    text = write_request(builders.make_request(demand=Demand(DemandKind.MODIFICATION, date(2026, 11, 16), 20)))
    wrong = text.replace("kind: modification", f"kind: {kind}").replace("working_days: 20", f"working_days: {days}")
    with pytest.raises(BadInput):
        read_request(wrong.encode(), "request.yml")


def test_the_request_keeps_it_and_reads_it_back() -> None:
    request = builders.make_request(demand=Demand(DemandKind.URGENT_DEFECT, date(2026, 11, 20), 1))

    assert read_request(write_request(request).encode(), "request.yml") == request


def test_the_journal_says_what_was_demanded_and_when_it_was_met() -> None:
    demand = Demand(DemandKind.DEFECT, date(2026, 11, 16), 5)
    request = builders.make_request(demand=demand)
    journal = MemoryJournal()
    journal.write(Event.CHANGE_REQUESTED, request.as_data(), at=builders.SIGNED, actor=builders.REQUESTER)

    history = journal.history()

    assert demand_of(history) == demand
    assert view(history, None).demand == demand
    assert fulfilled_at(history) is None
    assert "demand" not in replace(request, demand=None).as_data()


def test_a_deadline_is_told_in_one_line_in_both_languages() -> None:
    late = found(Demand(DemandKind.DEFECT, date(2026, 11, 16), 3), "2026-11-23")

    assert deadline(late, Texts(Language.EN)) == (
        "✗ defect, 3 working days from 2026-11-16: due 2026-11-19; overdue by 2 working days"
    )
    assert "已逾期 2 个工作日" in deadline(late, Texts(Language.ZH))
