"""The calendar at work: before every wave, for the hosts of that wave, as it stands on the branch at that moment."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import builders
from fakes import Hospital
from joint_hospital import Clone
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.errors import ExitCode, OutsideWindow
from upgrader.domain.hospital.calendar import Calendar, CalendarRule, Daily, Days, Meaning, Once, Workdays
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.planning.calendar import foreseen_end
from upgrader.flow.planning.forecast import outlook

ZONE = "UTC"
WORKDAYS = Workdays(frozenset(), frozenset(), frozenset())
Hook = Callable[[object], None]


def freeze(*groups: str) -> CalendarRule:
    """A freeze of one day around now."""
    now = builders.NOW.replace(tzinfo=None)
    period = Once(now - timedelta(hours=12), now + timedelta(hours=12))
    return CalendarRule(
        id="audit", name={"zh": "审计", "en": "audit"}, meaning=Meaning.FREEZE, groups=frozenset(groups), period=period
    )


def nights_elsewhere() -> CalendarRule:
    """A window of one hour that is not open now."""
    starts = (builders.NOW + timedelta(hours=2)).time()
    ends = (builders.NOW + timedelta(hours=3)).time()
    period = Daily((Days.EVERY_DAY,), starts, ends)
    return CalendarRule(
        id="nights", name={"zh": "夜间", "en": "nights"}, meaning=Meaning.WINDOW, groups=frozenset(), period=period
    )


def post(hospital: Hospital, *rules: CalendarRule) -> None:
    """Put a calendar on the branch."""
    hospital.documents.calendar = Calendar(ZONE, WORKDAYS, rules)
    hospital.branch.add({"calendar.yml": b"..."})


def apply(hospital: Hospital) -> ExitCode:
    return apply_change(hospital.site(), builders.CHANGE, hospital.progress).exit_code


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (freeze(), "calendar-frozen"),
        (freeze("exam-scheduling"), "calendar-frozen"),
        (nights_elsewhere(), "calendar-closed"),
    ],
    ids=["a freeze of everything", "a freeze of this system", "no window open"],
)
def test_nothing_runs_against_the_calendar_and_that_is_written_down(rule: CalendarRule, code: str) -> None:
    hospital = Hospital()
    post(hospital, rule)

    with pytest.raises(OutsideWindow, match=code) as refused:
        apply(hospital)

    assert refused.value.exit_code is ExitCode.OUTSIDE_WINDOW
    assert hospital.fleet.runs == []
    last = hospital.journal.history().last(Event.GATE_REFUSED)
    assert last is not None
    assert last.data["code"] == code


def test_a_freeze_of_another_system_concerns_nobody_here() -> None:
    hospital = Hospital()
    post(hospital, freeze("blood-transfusion"))

    assert apply(hospital) is ExitCode.DONE


def test_a_freeze_that_is_posted_between_two_waves_stops_the_next_and_the_change_goes_on_once_it_is_over() -> None:
    hospital = Hospital()

    def post_it(run: object) -> None:
        hospital.fleet.before_run = lambda run: None
        post(hospital, freeze())

    hospital.fleet.before_run = post_it
    with pytest.raises(OutsideWindow, match="calendar-frozen"):
        apply(hospital)
    assert len(hospital.fleet.runs) == 1
    assert hospital.journal.history().state is State.APPLYING

    post(hospital)
    assert apply(hospital) is ExitCode.DONE


def test_a_freeze_of_a_group_stops_the_wave_that_holds_its_hosts_and_no_other() -> None:
    hospital = Hospital()
    hospital.groups = {"host-04": frozenset({"icu"})}
    post(hospital, freeze("icu"))

    with pytest.raises(OutsideWindow, match="calendar-frozen"):
        apply(hospital)

    assert hospital.fleet.asked_for("upgrade") == [("host-01",), ("host-02", "host-03")]


def test_the_way_back_is_never_frozen() -> None:
    from upgrader.flow.applying.roll_back import roll_back_change

    hospital = Hospital()
    apply(hospital)
    post(hospital, freeze(), nights_elsewhere())

    taken = roll_back_change(hospital.site(), builders.CHANGE, "the ward can't print", hospital.progress)

    assert taken.exit_code is ExitCode.ROLLED_BACK


def test_an_hour_later_the_window_is_open() -> None:
    hospital = Hospital()
    rule = nights_elsewhere()
    post(
        hospital,
        replace(rule, period=Daily((Days.EVERY_DAY,), builders.NOW.time(), (builders.NOW + timedelta(hours=1)).time())),
    )

    assert apply(hospital) is ExitCode.DONE


def test_what_people_are_shown_ends_with_the_hours_of_the_system(tmp_path: Path) -> None:
    hospital, clone = Hospital(), Clone(tmp_path)
    hospital.clock.now = builders.SIGNED
    site = replace(hospital.site(), clone=clone)
    plan = hospital.plan
    assert foreseen_end(site, plan) == plan.window.closes

    (tmp_path / "calendar.yml").touch()
    an_hour = timedelta(hours=1)
    closes = plan.window.closes.replace(tzinfo=None)
    early = Once(closes - an_hour, closes + an_hour)
    hospital.documents.calendar = Calendar(ZONE, WORKDAYS, (replace(freeze(), period=early),))

    assert foreseen_end(site, plan) == plan.window.closes - an_hour
    told = outlook(site, plan)
    assert told is not None
    assert told.ends == plan.window.closes - an_hour
