"""The next step over all changes of one request, state by state; and what accepting or closing all of them asks for."""

from collections.abc import Callable

import pytest

from upgrader.domain.changes.joint import JointPart
from upgrader.domain.changes.joint_step import (
    JointState,
    JointStep,
    may_be_accepted,
    may_be_closed,
    needs_no_acceptance,
    next_over,
)
from upgrader.domain.changes.lifecycle import State
from upgrader.domain.names import ChangeId, SystemId, Version

S = State
ASKED, UNDECIDED = "a person had it taken back", "a person decides"

STEPS: dict[tuple[object, ...], tuple[JointStep, int]] = {
    (S.REQUESTED, S.REQUESTED): (JointStep.PLAN, 0),
    (S.PLANNED, S.REQUESTED): (JointStep.PLAN, 1),
    (S.PLANNED, S.NEW): (JointStep.PLAN, 1),  # its journal lies on another computer
    (S.PLANNED, S.PLANNED): (JointStep.SIGN, 0),
    (S.AUTHORIZED, S.AUTHORIZED): (JointStep.APPLY, 0),
    (S.AUTHORIZED, S.PLANNED): (JointStep.SIGN, 1),
    (S.SCHEDULED, S.SCHEDULED): (JointStep.SERVE, 0),
    (S.STABLE, S.SCHEDULED): (JointStep.SERVE, 1),
    (S.APPLYING, S.PLANNED): (JointStep.GO_ON, 0),
    (S.SOAKING, S.PLANNED): (JointStep.GO_ON, 0),
    ((S.SOAKING, UNDECIDED), S.PLANNED): (JointStep.DECIDE, 0),
    (S.STABLE, S.PLANNED): (JointStep.GO_ON_OR_BACK, 1),
    (S.STABLE, S.REQUESTED): (JointStep.PLAN, 1),
    (S.ROLLING_BACK, S.PLANNED): (JointStep.GO_BACK, 0),
    (S.STABLE, S.ROLLING_BACK): (JointStep.GO_BACK, 1),
    (S.STABLE, S.ROLLED_BACK): (JointStep.TAKE_BACK_TOO, 0),
    (S.STABLE, S.STABLE, S.ROLLED_BACK): (JointStep.TAKE_BACK_TOO, 1),
    (S.STABLE, S.ROLLED_BACK, S.ROLLED_BACK): (JointStep.TAKE_BACK_TOO, 0),
    (S.STABLE, S.ROLLED_BACK_IN_PART): (JointStep.TAKE_BACK_TOO, 0),
    (S.STABLE, (S.ROLLED_BACK, ASKED)): (JointStep.ACCEPT_OR_BACK, 0),
    (S.ACCEPTED, (S.ROLLED_BACK, ASKED)): (JointStep.CLOSE, 0),
    (S.STABLE, S.STUCK, S.ROLLED_BACK): (JointStep.PUT_RIGHT, 1),
    (S.STABLE, S.ROLLED_BACK, S.PLANNED): (JointStep.TAKE_BACK_TOO, 0),
    (S.ROLLED_BACK, S.ROLLED_BACK, S.PLANNED): (JointStep.CANCEL, 2),
    (S.CANCELLED, S.PLANNED): (JointStep.CANCEL, 1),
    (S.STABLE, S.STABLE): (JointStep.ACCEPT, 0),
    (S.ACCEPTED, S.STABLE): (JointStep.ACCEPT, 1),
    (S.ACCEPTED, S.ACCEPTED): (JointStep.CLOSE, 0),
    (S.CLOSED, S.ACCEPTED): (JointStep.CLOSE, 1),
    (S.ROLLED_BACK, S.ROLLED_BACK): (JointStep.CLOSE, 0),
    (S.ROLLED_BACK, S.ROLLED_BACK_IN_PART): (JointStep.ACCEPT, 1),
    (S.CLOSED, S.CANCELLED): (JointStep.OVER, 1),
}


def parts(*states: object) -> list[JointState]:
    found = []
    for number, told in enumerate(states, start=1):
        state, more = told if isinstance(told, tuple) else (told, "")
        part = JointPart(ChangeId(f"CHG-2026-{number:04d}"), SystemId("his"), Version("5.1"))
        found.append(JointState(part, state, undecided=more == UNDECIDED, asked=more == ASKED))
    return found


@pytest.mark.parametrize("states", STEPS, ids=str)
def test_the_next_step_is_one_for_all_of_them(states: tuple[object, ...]) -> None:
    step, place = STEPS[states]

    found = next_over(parts(*states))

    assert (found.step, found.change) == (step, f"CHG-2026-{place + 1:04d}")
    assert found.last == f"CHG-2026-{len(states):04d}"


def test_every_step_is_reached_by_some_states() -> None:
    assert {step for step, _ in STEPS.values()} == set(JointStep)


def test_what_can_be_taken_back_begins_behind_what_was_accepted() -> None:
    assert next_over(parts(S.ACCEPTED, S.STABLE, S.PLANNED)).first == "CHG-2026-0002"


@pytest.mark.parametrize(
    ("asks", "states"),
    [
        (may_be_accepted, {S.STABLE, S.ACCEPTED, S.ROLLED_BACK_IN_PART}),
        (needs_no_acceptance, {S.ROLLED_BACK, S.CLOSED, S.CANCELLED}),
        (may_be_closed, {S.ACCEPTED, S.ROLLED_BACK, S.CLOSED}),
    ],
)
def test_what_a_word_on_all_of_them_means_for_each(asks: Callable[[State], bool], states: set[State]) -> None:
    assert {state for state in State if asks(state)} == states
