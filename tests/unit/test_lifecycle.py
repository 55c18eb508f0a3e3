"""The one table of a change's life: whole, with real ends, and printed in the documents as it is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrader.domain.changes.lifecycle import (
    ENDS,
    MOVES,
    TRANSITIONS,
    Event,
    State,
    Work,
    advance,
    as_markdown,
    legal,
    may,
    work_left,
)
from upgrader.domain.errors import Refused

DOCUMENT = Path(__file__).parents[2] / "docs" / "lifecycle.md"
CHANGED_HOSTS = {
    *(State.APPLYING, State.SOAKING, State.STABLE),
    *(State.ROLLING_BACK, State.STUCK, State.ROLLED_BACK_IN_PART),
}


def reachable_from(start: State) -> set[State]:
    found, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        after = {state for (before, _), state in TRANSITIONS.items() if before is here}
        waiting += after - found
        found |= after
    return found


def test_every_state_can_be_reached() -> None:
    assert reachable_from(State.NEW) == set(State)


@pytest.mark.parametrize("state", State)
def test_from_every_state_there_is_a_way_to_an_end(state: State) -> None:
    assert reachable_from(state) & ENDS


@pytest.mark.parametrize("state", State)
def test_only_an_end_has_no_way_out(state: State) -> None:
    """What is closed may still hear of late hosts; that leads nowhere else."""
    leads_to = {TRANSITIONS[state, event] for event in legal(state)}
    assert (leads_to <= {state}) == (state in ENDS)


def test_nothing_leads_back_to_before_the_first_fact() -> None:
    assert State.NEW not in TRANSITIONS.values()


@pytest.mark.parametrize("state", sorted(CHANGED_HOSTS))
def test_a_change_that_touched_hosts_ends_accepted_or_taken_back_and_is_never_cancelled(state: State) -> None:
    assert not may(state, Event.CHANGE_CANCELLED)
    assert State.CANCELLED not in reachable_from(state)
    assert State.AUTHORIZED not in reachable_from(state)


def test_what_was_rolled_back_is_never_applied_again() -> None:
    assert reachable_from(State.ROLLED_BACK) == {State.ROLLED_BACK, State.CLOSED}


def test_a_change_that_could_not_be_taken_back_whole_is_closed_only_once_the_hospital_has_accepted_that() -> None:
    after = {TRANSITIONS[State.ROLLED_BACK_IN_PART, event] for event in legal(State.ROLLED_BACK_IN_PART)}

    assert after == {State.ROLLED_BACK_IN_PART, State.ROLLING_BACK, State.ACCEPTED}


def test_apply_starts_only_what_was_authorized() -> None:
    assert [state for state in State if may(state, Event.APPLY_STARTED)] == [State.AUTHORIZED]


def test_the_way_back_is_open_from_the_first_wave_until_acceptance() -> None:
    open_from = {state for state in State if may(state, Event.ROLLBACK_STARTED)}

    assert open_from == {State.APPLYING, State.SOAKING, State.STABLE, State.STUCK, State.ROLLED_BACK_IN_PART}


def test_events_are_facts_in_the_past_tense_and_each_has_its_own_words() -> None:
    past = {"made", "found", "incomplete", "withdrawn"}

    assert len({event.value for event in Event}) == len(Event)
    for event in Event:
        assert any(word.endswith("ed") or word in past for word in event.split()), event


@pytest.mark.parametrize("event", sorted(set(Event) - MOVES))
def test_a_fact_that_moves_nothing_leaves_every_state_as_it_is(event: Event) -> None:
    assert all(advance(state, event) is state for state in State)


@given(st.sampled_from(State), st.sampled_from(sorted(MOVES)))
def test_a_move_follows_the_table_or_is_refused_with_what_would_be_legal(state: State, event: Event) -> None:
    if may(state, event):
        assert advance(state, event) is TRANSITIONS[state, event]
        return
    with pytest.raises(Refused) as refusal:
        advance(state, event)
    assert refusal.value.code == "change-not-in-state"
    assert refusal.value.fields["legal"] == ", ".join(legal(state))


def test_apply_finds_work_where_hosts_wait_and_nowhere_else() -> None:
    assert {state: work_left(state) for state in State if work_left(state) is not Work.NOTHING} == {
        State.PLANNED: Work.START,
        State.AUTHORIZED: Work.START,
        State.SCHEDULED: Work.START,
        State.APPLYING: Work.GO_ON,
        State.ROLLING_BACK: Work.GO_BACK,
        State.STUCK: Work.GO_BACK,
    }


def test_the_document_shows_the_table_as_it_is() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == as_markdown(), "run `make docs`"
