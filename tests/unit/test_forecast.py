"""The last safe moment: no wave begins that could not be taken back before the window closes."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import builders
from fakes import Break, Hospital, Killed
from upgrader import render
from upgrader.domain.changes.change import view
from upgrader.domain.changes.forecast import ASSUMED, SHORTEST, Forecast, Ground, Work, experience, foretell
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.playbook import PlaybookRun
from upgrader.domain.changes.verdict import Reading
from upgrader.domain.errors import ExitCode, OutsideWindow
from upgrader.domain.hospital.calendar import Calendar, CalendarRule, Daily, Days, Meaning, Workdays
from upgrader.domain.releases.release import Takes
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.applying.roll_back import roll_back_change
from upgrader.flow.planning.forecast import outlook, outlook_of
from upgrader.language import Language, Texts

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


def foretell_after(
    here: History,
    *earlier: History,
    hosts: int = 10,
    touched: int = 10,
    said: tuple[timedelta, timedelta] | tuple[None, None] = (None, None),
) -> Forecast:
    longest_back = -(-touched // 10) * LONGEST
    work = Work(
        hosts=hosts,
        touched=touched,
        longest=LONGEST,
        longest_back=longest_back,
        declared=said[0],
        declared_back=said[1],
    )
    return foretell(experience([here.entries]), experience(history.entries for history in earlier), work)


def foretold(here: History, *earlier: History, hosts: int = 10, touched: int = 10) -> tuple[timedelta, timedelta]:
    found = foretell_after(here, *earlier, hosts=hosts, touched=touched)
    return found.wave, found.way_back


def test_of_a_system_that_nobody_has_upgraded_yet_the_declared_time_is_expected() -> None:
    assert foretold(History()) == (ASSUMED, ASSUMED)


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

    assert foretold(cut) == (ASSUMED, ASSUMED)


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 900)), max_size=5), st.integers(1, 50), st.integers(1, 200)
)
def test_more_to_do_is_never_expected_to_be_done_sooner(took: list[tuple[int, int]], hosts: int, touched: int) -> None:
    here = journal(*(fact for count, seconds in took for fact in wave(count, timedelta(seconds=seconds))))
    less = foretell_after(here, hosts=hosts, touched=touched)
    more = foretell_after(here, hosts=hosts + 1, touched=touched + 1)

    assert less.last_safe_moment(builders.CLOSES) >= more.last_safe_moment(builders.CLOSES)


def test_a_wave_that_could_not_be_taken_back_in_time_is_not_begun() -> None:
    hospital = Hospital()
    hospital.clock.now = builders.CLOSES - 2 * ASSUMED + timedelta(seconds=1)

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


def test_a_canary_tells_less_of_a_large_wave_than_a_large_wave_does() -> None:
    here = journal(*wave(1, MINUTE), *wave(50, 3 * MINUTE))

    assert foretold(here, hosts=50, touched=51) == (3 * MINUTE, timedelta(minutes=3, seconds=3.6))
    assert foretold(here, hosts=100, touched=151)[0] == 6 * MINUTE


def test_a_way_back_of_more_than_a_wave_is_expected_to_take_longer_than_the_wave() -> None:
    assert foretold(journal(*wave(10, MINUTE)), hosts=10, touched=70)[1] == 7 * MINUTE
    assert foretold(History(), hosts=10, touched=70)[1] == 7 * ASSUMED


def test_what_the_release_declares_counts_until_journals_tell() -> None:
    said = (2 * MINUTE, 3 * MINUTE)

    assert foretell_after(History(), said=said).wave_ground is Ground.DECLARED
    assert foretell_after(History(), said=said).way_back == 3 * MINUTE
    assert foretell_after(journal(*wave(10, 6 * MINUTE)), said=said).wave == 6 * MINUTE


@pytest.mark.parametrize("event", [Event.ROLLBACK_FINISHED, Event.ROLLBACK_INCOMPLETE])
def test_a_way_back_counts_for_all_hosts_that_it_was_to_take_back_and_not_at_all_when_it_was_cut_short(
    event: Event,
) -> None:
    begun = (Event.ROLLBACK_STARTED, MINUTE, {"because": "asked"})
    whole = journal(*wave(10, MINUTE), begun, (event, 4 * MINUTE, {"hosts": ["host-0"], "touched": 8, "seconds": 120}))
    cut = journal(*wave(10, MINUTE), begun, (event, 600 * MINUTE, {"hosts": ["host-0"], "touched": 8}))

    assert foretold(journal(), whole, touched=8)[1] == 2 * MINUTE
    assert foretold(journal(), cut, touched=8)[1] == MINUTE


def test_what_a_release_declares_for_a_host_is_reserved_for_all_of_them() -> None:
    hospital = Hospital(release=builders.make_release(takes=Takes(upgrade_seconds=600, rollback_seconds=1200)))
    hospital.clock.now = builders.CLOSES - timedelta(seconds=1800)  # and some seconds for the probes

    with pytest.raises(OutsideWindow, match="last-safe-moment-over"):
        apply_change(hospital.site(), builders.CHANGE, hospital.progress)


def test_every_wave_shows_its_length_the_way_back_and_its_last_safe_moment() -> None:
    hospital = Hospital(release=builders.make_release(takes=Takes(upgrade_seconds=600, rollback_seconds=1200)))
    plan, site = hospital.plan, hospital.site()

    expected = outlook(site, plan)

    assert expected is not None
    assert list(expected.waves) == [wave.number for wave in plan.waves]
    for number, one in expected.waves.items():
        assert (one.wave_ground, one.back_ground) == (Ground.DECLARED, Ground.DECLARED)
        assert one.way_back >= timedelta(seconds=1200)
        assert expected.last_safe_moment(number) == plan.window.closes - one.wave - one.way_back
    assert expected.begin_by == plan.window.closes - expected.length - expected.way_back
    shown = " ".join(render.outlook(expected, plan.window.zone, Texts(Language.EN)))
    assert f"{expected.last_safe_moment(0).astimezone(ZoneInfo(plan.window.zone)):%Y-%m-%d %H:%M}" in shown
    assert all(len(line) <= 80 for line in render.outlook(expected, plan.window.zone, Texts(Language.EN)))


def test_waves_that_are_over_and_windows_that_are_closed_are_not_foretold() -> None:
    hospital = Hospital()
    site, plan, history = hospital.site(), hospital.plan, History()
    for event in (Event.CHANGE_REQUESTED, Event.PLAN_MADE):
        data = {"plan": plan.digest.hex}
        history = history.with_entry(history.following(event, data, at=builders.SIGNED, actor="liu.yang"))

    before = outlook_of(site, plan, history, view(history, plan))
    hospital.clock.now = plan.window.closes
    after = outlook_of(site, plan, history, view(history, plan))

    assert before is not None
    assert after is None
    assert outlook(site, plan, but=[wave.number for wave in plan.waves]) is None


def limits_of(hospital: Hospital) -> list[tuple[str, int]]:
    """The playbooks that run from now on, and after how many seconds each would be stopped."""
    limits: list[tuple[str, int]] = []
    hospital.fleet.before_run = lambda run: limits.append((run.playbook.split("/")[-1], run.timeout_seconds))
    return limits


def test_an_upgrade_is_stopped_while_there_is_time_for_the_way_back() -> None:
    hospital = Hospital()
    hospital.clock.now = builders.CLOSES - 2 * ASSUMED
    limits = limits_of(hospital)

    apply_change(hospital.site(), builders.CHANGE, hospital.progress)

    probing = 3  # asked twice, a second apart
    assert limits[0] == ("upgrade.yml", (2 * ASSUMED - ASSUMED).seconds - probing)


def test_the_way_back_that_nobody_asked_for_is_stopped_when_the_window_closes_and_names_who_is_left() -> None:
    hospital = Hospital()
    hospital.fleet.hosts["host-01"].breaks = Break.MUTE  # as one that was not reached in time
    hospital.prober.seen["host-01"] = Reading.UNHEALTHY
    hospital.clock.now = builders.CLOSES - 3 * ASSUMED
    limits = limits_of(hospital)

    applied = apply_change(hospital.site(), builders.CHANGE, hospital.progress)

    assert limits[-1] == ("rollback.yml", (3 * ASSUMED).seconds)
    assert applied.exit_code is ExitCode.ROLLBACK_INCOMPLETE
    left = hospital.journal.history().last(Event.ROLLBACK_INCOMPLETE)
    assert left is not None
    assert left.data["hosts"] == ["host-01"]

    hospital.fleet.hosts["host-01"].breaks = None
    hospital.clock.now = builders.CLOSES + timedelta(hours=1)
    taken = roll_back_change(hospital.site(), builders.CHANGE, "the ward wants it back", hospital.progress)
    assert taken.exit_code is ExitCode.ROLLED_BACK  # a person may, at any time
    assert limits[-1] == ("rollback.yml", hospital.plan.wave_timeout_seconds)


def die(run: PlaybookRun) -> None:
    raise Killed


def test_a_way_back_that_was_cut_short_is_not_gone_on_with_after_the_window() -> None:
    hospital = Hospital()
    hospital.prober.seen["host-01"] = Reading.UNHEALTHY
    hospital.fleet.before_run = lambda run: die(run) if "rollback" in run.playbook else None
    with pytest.raises(Killed):
        apply_change(hospital.site(), builders.CHANGE, hospital.progress)
    hospital.locks.held.clear()
    runs = len(hospital.fleet.runs)
    hospital.clock.now = builders.CLOSES

    applied = apply_change(hospital.site(), builders.CHANGE, hospital.progress)

    assert applied.exit_code is ExitCode.ROLLBACK_INCOMPLETE
    assert [host.name for host in applied.change.not_restored] == ["host-01"]
    assert len(hospital.fleet.runs) == runs


def test_a_wave_that_a_crash_cut_short_goes_back_when_it_can_not_come_to_its_end_in_time() -> None:
    hospital = Hospital()
    hospital.fleet.before_run = die
    with pytest.raises(Killed):
        apply_change(hospital.site(), builders.CHANGE, hospital.progress)
    hospital.locks.held.clear()
    hospital.fleet.before_run = lambda run: None
    hospital.clock.now = builders.CLOSES - 2 * ASSUMED + timedelta(seconds=1)

    applied = apply_change(hospital.site(), builders.CHANGE, hospital.progress)

    assert (applied.exit_code, applied.because) == (ExitCode.ROLLED_BACK, "last-safe-moment-over")
    assert hospital.fleet.asked_for("upgrade") == []


def test_the_night_of_the_calendar_ends_a_wave_as_the_window_does() -> None:
    hospital = Hospital()
    at = builders.NOW + 2 * ASSUMED - timedelta(seconds=1)
    night = CalendarRule(
        id="nights",
        name={"zh": "夜间", "en": "nights"},
        meaning=Meaning.WINDOW,
        groups=frozenset(),
        period=Daily((Days.EVERY_DAY,), builders.OPENS.time(), at.time()),
    )
    hospital.documents.calendar = Calendar("UTC", Workdays(frozenset(), frozenset(), frozenset()), (night,))
    hospital.branch.add({"calendar.yml": b"..."})

    with pytest.raises(OutsideWindow, match="last-safe-moment-over") as refused:
        apply_change(hospital.site(), builders.CHANGE, hospital.progress)

    assert refused.value.fields["closes"] == f"{at.astimezone(ZoneInfo('Asia/Shanghai')):%H:%M}"
    assert hospital.fleet.runs == []
