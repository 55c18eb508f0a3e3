"""A change is what its journal says: who was touched, what each host ended as, and what must stop it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NEW, NOW, OLD, make_host, plan_of
from upgrader.domain.changes.change import Change, HostState, breach, view
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.plan import UNKNOWN, Plan
from upgrader.domain.changes.playbook import HostOutcome
from upgrader.domain.releases.release import Thresholds

PLAN = plan_of()
UPGRADED, UNCHANGED, BACK = HostOutcome.UPGRADED, HostOutcome.UNCHANGED, HostOutcome.ROLLED_BACK
FAILED, GONE, NOT_RUN = HostOutcome.FAILED, HostOutcome.UNREACHABLE, HostOutcome.NOT_RUN

Fact = tuple[Event, Mapping[str, Any]]
BEGIN: list[Fact] = [
    (Event.CHANGE_REQUESTED, {}),
    (Event.PLAN_MADE, {"plan": PLAN.digest.hex}),
    (Event.PLAN_AUTHORIZED, {}),
    (Event.APPLY_STARTED, {}),
]
CANARY: Fact = (Event.WAVE_STARTED, {"wave": 0})
SECOND: Fact = (Event.WAVE_STARTED, {"wave": 1})
GOING_BACK: Fact = (Event.ROLLBACK_STARTED, {"because": "wave-unstable"})


def said(host: str, outcome: HostOutcome, current: str = "", **changes: Any) -> Fact:
    data = {"host": host, "outcome": outcome.value, "current": current, "from": "", "detail": "", "downtime_ms": 0}
    return Event.HOST_REPORTED, data | changes


def seen(*facts: Fact, plan: Plan | None = PLAN) -> Change:
    history = History()
    for number, (event, data) in enumerate([*BEGIN, *facts]):
        at = NOW + timedelta(minutes=number)
        history = history.with_entry(history.following(event, data, at=at, actor="liu.yang"))
    return view(history, plan)


def test_before_anything_ran_every_host_is_not_run_and_none_is_touched() -> None:
    change = seen()

    assert change.counts == {NOT_RUN: 5}
    assert change.touched == ()
    assert (change.state, change.plan_digest) == (State.APPLYING, PLAN.digest.hex)


def test_without_a_plan_there_are_no_hosts_to_speak_of() -> None:
    assert seen(CANARY, plan=None).hosts == {}


def test_a_host_is_what_it_last_said() -> None:
    change = seen(CANARY, said("host-01", UPGRADED, NEW, detail="healthy", downtime_ms=812))

    host = change.hosts["host-01"]
    assert (host.outcome, host.installed, host.current, host.downtime_ms) == (UPGRADED, OLD, NEW, 812)
    assert change.counts == {UPGRADED: 1, NOT_RUN: 4}


def test_every_host_of_a_wave_that_was_started_may_have_been_touched() -> None:
    assert seen(CANARY, SECOND).touched == ("host-01", "host-02", "host-03")


def test_what_strangers_say_does_not_count() -> None:
    assert "host-99" not in seen(CANARY, said("host-99", UPGRADED, NEW)).hosts


def test_a_wave_that_starts_again_has_no_verdict_until_it_is_judged_again() -> None:
    judged: Fact = (Event.WAVE_JUDGED, {"wave": 0, "verdict": "stable"})
    finished: Fact = (Event.WAVE_FINISHED, {"wave": 0})

    once = seen(CANARY, finished, judged).waves[0]
    again = seen(CANARY, finished, judged, CANARY).waves[0]

    assert (once.verdict, once.finished is None) == ("stable", False)
    assert (again.verdict, again.finished) == ("", None)


# -------------------------------------------------------------------------------------------- said again after a crash


def test_unchanged_after_a_crash_is_still_upgraded() -> None:
    change = seen(CANARY, said("host-01", UPGRADED, NEW, downtime_ms=812), CANARY, said("host-01", UNCHANGED, NEW))

    assert change.hosts["host-01"].outcome is UPGRADED
    assert change.hosts["host-01"].downtime_ms == 812


def test_a_host_that_we_upgraded_and_never_heard_from_tells_by_the_version_it_came_from() -> None:
    change = seen(CANARY, CANARY, said("host-01", UNCHANGED, NEW, **{"from": OLD}))

    assert change.hosts["host-01"].outcome is UPGRADED


def test_a_host_that_had_the_version_before_is_unchanged() -> None:
    assert seen(CANARY, said("host-01", UNCHANGED, NEW)).hosts["host-01"].outcome is UNCHANGED
    assert seen(CANARY, said("host-01", UNCHANGED, NEW, **{"from": NEW})).hosts["host-01"].outcome is UNCHANGED


# ------------------------------------------------------------------------------------------------------- the way back


@pytest.mark.parametrize(
    ("before", "after", "current", "outcome", "restored"),
    [
        (UPGRADED, BACK, OLD, BACK, True),
        (UPGRADED, UNCHANGED, OLD, BACK, True),  # taken back before the controller died
        (UPGRADED, BACK, NEW, FAILED, False),  # says so, and yet runs the new version
        (UPGRADED, UNCHANGED, NEW, FAILED, False),
        (UPGRADED, BACK, "", FAILED, False),
        (UPGRADED, FAILED, NEW, FAILED, False),
        (UPGRADED, GONE, "", GONE, False),
        (UPGRADED, NOT_RUN, "", NOT_RUN, False),
        (UNCHANGED, NOT_RUN, "", NOT_RUN, False),
        (BACK, UNCHANGED, OLD, BACK, True),
        (FAILED, BACK, OLD, BACK, True),
        (FAILED, FAILED, OLD, FAILED, False),
        (UNCHANGED, UNCHANGED, OLD, UNCHANGED, True),
        (GONE, UNCHANGED, OLD, UNCHANGED, True),
        (GONE, BACK, OLD, BACK, True),
        (GONE, GONE, "", GONE, False),
        (NOT_RUN, UNCHANGED, OLD, UNCHANGED, True),
    ],
)
def test_a_host_is_restored_only_when_it_runs_again_what_it_ran_before(
    before: HostOutcome, after: HostOutcome, current: str, outcome: HostOutcome, restored: bool
) -> None:
    change = seen(CANARY, said("host-01", before, NEW), GOING_BACK, said("host-01", after, current))

    assert change.hosts["host-01"].outcome is outcome
    assert (change.not_restored == ()) is restored
    assert change.stopped_because == "wave-unstable"


def test_a_host_that_never_said_what_it_ran_is_believed() -> None:
    plan = plan_of(hosts=[make_host(1, UNKNOWN)])

    change = seen(CANARY, said("host-01", UPGRADED, NEW), GOING_BACK, said("host-01", BACK, OLD), plan=plan)

    assert change.hosts["host-01"].outcome is BACK


def test_a_touched_host_of_which_the_way_back_heard_nothing_is_not_restored() -> None:
    change = seen(CANARY, said("host-01", UPGRADED, NEW), GOING_BACK)

    assert [host.name for host in change.not_restored] == ["host-01"]


def test_hosts_that_no_wave_reached_are_not_asked_to_be_restored() -> None:
    change = seen(CANARY, said("host-01", UPGRADED, NEW), GOING_BACK, said("host-01", BACK, OLD))

    assert change.not_restored == ()
    assert change.counts == {BACK: 1, NOT_RUN: 4}


# --------------------------------------------------------------------------------------------------------- thresholds

STRICT = Thresholds(failed_in_wave=0, failed_in_all=0, unreachable_in_wave=0)
LENIENT = Thresholds(failed_in_wave=1, failed_in_all=2, unreachable_in_wave=1)


def hosts(*waves: str) -> list[HostState]:
    """One letter a host: u pgraded, n ot changed, b ack, f ailed, g one, - not run."""
    letters = {"u": UPGRADED, "n": UNCHANGED, "b": BACK, "f": FAILED, "g": GONE, "-": NOT_RUN}
    return [
        HostState(f"host-{wave}{place}", wave, letters[letter], OLD, "", "", 0)
        for wave, line in enumerate(waves)
        for place, letter in enumerate(line)
    ]


@pytest.mark.parametrize(
    ("waves", "thresholds", "code"),
    [
        (("u", "uu"), STRICT, None),
        (("n", "nn"), STRICT, None),
        (("u", "uf"), STRICT, "too-many-failed-in-wave"),
        (("u", "ub"), STRICT, "too-many-failed-in-wave"),
        (("u", "u-"), STRICT, "too-many-failed-in-wave"),
        (("u", "ug"), STRICT, "too-many-unreachable"),
        (("u", "uf"), LENIENT, None),
        (("u", "ff"), LENIENT, "too-many-failed-in-wave"),
        (("u", "fb-u"), LENIENT, "too-many-failed-in-wave"),
        (("fu", "uf"), LENIENT, None),
        (("ff", "uf"), LENIENT, "too-many-failed-in-all"),
        (("u", "uug"), LENIENT, None),
        (("u", "ugg"), LENIENT, "too-many-unreachable"),
        (("u", "g"), LENIENT, "too-many-unreachable"),  # all that there is
        (("g", "uu"), STRICT, None),  # judged in its own wave
        (("u", "uu", "---"), STRICT, None),  # not their turn yet
    ],
)
def test_the_thresholds_stop_a_wave(waves: tuple[str, ...], thresholds: Thresholds, code: str | None) -> None:
    assert breach(hosts(*waves), 1, thresholds) == code


def test_a_wave_of_which_no_event_spoke_is_a_failure() -> None:
    assert breach(seen(CANARY).hosts.values(), 0, STRICT) == "too-many-failed-in-wave"


OUTCOMES = st.lists(st.text("unbfg-", min_size=1, max_size=4), min_size=1, max_size=3)


@given(OUTCOMES, st.data())
def test_one_host_worse_never_makes_a_breach_go_away(waves: list[str], data: st.DataObject) -> None:
    wave = len(waves) - 1
    before = hosts(*waves)
    place = data.draw(st.integers(0, len(before) - 1))
    worse = [replace(h, outcome=FAILED) if number == place else h for number, h in enumerate(before)]

    if breach(before, wave, LENIENT) in ("too-many-failed-in-wave", "too-many-failed-in-all"):
        assert breach(worse, wave, LENIENT) is not None
    if breach(worse, wave, STRICT) is None:
        assert breach(before, wave, STRICT) is None
