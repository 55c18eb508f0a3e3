"""The last safe moment: no wave begins that could not be taken back before the window closes."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import builders
from fakes import Hospital
from upgrader.domain.errors import OutsideWindow
from upgrader.domain.forecast import DECLARED, SHORTEST, foretell
from upgrader.domain.journal import History
from upgrader.domain.lifecycle import Event, State
from upgrader.domain.playbook import PlaybookRun
from upgrader.flow.apply import apply_change

LONGEST = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)


def journal(*facts: tuple[Event, timedelta, dict[str, Any]]) -> History:
    """A journal that was authorized and begun, and then tells these facts, each so long after the one before."""
    at, history = builders.SIGNED, History()
    begun = (Event.CHANGE_REQUESTED, Event.PLAN_MADE, Event.PLAN_AUTHORIZED, Event.APPLY_STARTED)
    for event, after, data in (*((event, timedelta(), {}) for event in begun), *facts):
        at += after
        history = history.with_entry(history.following(event, data, at=at, actor="liu.yang"))
    return history


def wave(hosts: int, took: timedelta) -> tuple[tuple[Event, timedelta, dict[str, Any]], ...]:
    return (
        (Event.WAVE_STARTED, timedelta(), {"wave": 0, "hosts": [f"host-{n}" for n in range(hosts)]}),
        (Event.WAVE_JUDGED, took, {"wave": 0, "verdict": "stable"}),
    )


def foretold(here: History, *earlier: History, hosts: int = 10, touched: int = 10) -> tuple[timedelta, timedelta]:
    found = foretell(here, earlier, hosts=hosts, touched=touched, longest=LONGEST)
    return found.wave, found.way_back


def test_of_a_system_that_nobody_has_upgraded_yet_the_declared_time_is_expected() -> None:
    assert foretold(History()) == (DECLARED, DECLARED)


def test_what_this_change_has_shown_counts_before_what_others_have() -> None:
    here, other = journal(*wave(10, 2 * MINUTE)), journal(*wave(10, 9 * MINUTE))

    assert foretold(here, other) == (2 * MINUTE, 2 * MINUTE)
    assert foretold(journal(), other) == (9 * MINUTE, 9 * MINUTE)


def test_a_wave_of_more_hosts_is_expected_to_take_longer_but_never_longer_than_its_limit() -> None:
    canary = journal(*wave(1, MINUTE))

    assert foretold(canary, hosts=5)[0] == 5 * MINUTE
    assert foretold(canary, hosts=100)[0] == LONGEST


def test_a_wave_that_took_no_time_is_not_relied_on() -> None:
    assert foretold(journal(*wave(10, timedelta())))[0] == SHORTEST


def test_a_way_back_that_was_measured_is_expected_again() -> None:
    other = journal(
        *wave(10, MINUTE),
        (Event.ROLLBACK_STARTED, MINUTE, {"because": "asked"}),
        (Event.ROLLBACK_FINISHED, 4 * MINUTE, {"hosts": ["host-0", "host-1"]}),
    )

    assert foretold(journal(), other, touched=2) == (MINUTE, 4 * MINUTE)
    assert foretold(journal(), other, touched=4)[1] == 8 * MINUTE


def test_a_wave_that_was_cut_short_tells_nothing() -> None:
    cut = journal(wave(10, MINUTE)[0], (Event.GATE_REFUSED, 14 * MINUTE, {"code": "x"}))

    assert foretold(cut) == (DECLARED, DECLARED)


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 900)), max_size=5), st.integers(1, 50), st.integers(1, 200)
)
def test_more_to_do_is_never_expected_to_be_done_sooner(took: list[tuple[int, int]], hosts: int, touched: int) -> None:
    here = journal(*(fact for count, seconds in took for fact in wave(count, timedelta(seconds=seconds))))
    less = foretell(here, (), hosts=hosts, touched=touched, longest=LONGEST)
    more = foretell(here, (), hosts=hosts + 1, touched=touched + 1, longest=LONGEST)

    assert less.last_safe_moment(builders.CLOSES) >= more.last_safe_moment(builders.CLOSES)


def test_a_wave_that_could_not_be_taken_back_in_time_is_not_begun() -> None:
    hospital = Hospital()
    hospital.clock.now = builders.CLOSES - 2 * DECLARED + timedelta(seconds=1)

    with pytest.raises(OutsideWindow, match="last-safe-moment-over"):
        apply_change(hospital.site(), builders.CHANGE, hospital.progress)

    assert hospital.fleet.runs == []
    refused = hospital.journal.history().last(Event.GATE_REFUSED)
    assert refused is not None
    assert refused.data["code"] == "last-safe-moment-over"


def test_a_wave_that_takes_three_times_as_long_is_the_last_one_and_nothing_begins_after_it() -> None:
    hospital = Hospital()
    begins: list[object] = []

    def slow(run: PlaybookRun) -> None:
        begins.append(hospital.clock())
        hospital.clock.now += timedelta(minutes=101)

    hospital.fleet.before_run = slow
    with pytest.raises(OutsideWindow, match="last-safe-moment-over"):
        apply_change(hospital.site(), builders.CHANGE, hospital.progress)

    assert hospital.journal.history().state is State.APPLYING
    assert all(at <= builders.CLOSES - LONGEST for at in begins)  # type: ignore[operator] # instants


def test_an_upgrade_is_stopped_when_the_window_closes_and_the_way_back_is_not() -> None:
    hospital = Hospital()
    hospital.clock.now = builders.CLOSES - 2 * DECLARED
    limits: list[tuple[str, int]] = []
    hospital.fleet.before_run = lambda run: limits.append((run.playbook, run.timeout_seconds))

    apply_change(hospital.site(), builders.CHANGE, hospital.progress)

    left = int((2 * DECLARED).total_seconds())
    assert {limit for playbook, limit in limits if "upgrade" in playbook} == {
        min(left, hospital.plan.wave_timeout_seconds)
    }
