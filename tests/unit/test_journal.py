"""The journal: a line that was changed, removed, put in or moved is found, and named."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import SIGNED
from upgrader.domain.changes.journal import FIRST, Entry, History, read_history
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, Refused

FACTS: tuple[tuple[Event, dict[str, Any]], ...] = (
    (Event.CHANGE_REQUESTED, {"system": "exam-scheduling", "reason": "门诊排班慢"}),
    (Event.PLAN_MADE, {"plan": "0" * 64, "revision": 1}),
    (Event.GATE_REFUSED, {"code": "approvals-missing", "fields": {"missing": "department-head 1"}}),
    (Event.PLAN_AUTHORIZED, {"plan": "0" * 64, "people": ["wang.fang", "zhao.min"]}),
    (Event.APPLY_STARTED, {}),
    (Event.WAVE_STARTED, {"wave": 0, "hosts": ["host-01"]}),
    (Event.HOST_REPORTED, {"host": "host-01", "outcome": "upgraded", "downtime_ms": 812}),
)


def written(facts: tuple[tuple[Event, dict[str, Any]], ...] = FACTS) -> History:
    history = History()
    for number, (event, data) in enumerate(facts):
        entry = history.following(event, data, at=SIGNED + timedelta(minutes=number), actor="liu.yang")
        history = history.with_entry(entry)
    return history


HISTORY = written()
LINES = [entry.to_line() for entry in HISTORY.entries]


def read(lines: list[bytes]) -> History:
    return read_history(lines, "journal.jsonl")


def test_what_was_written_is_read_back_with_its_head_and_its_state() -> None:
    assert read(LINES) == HISTORY
    assert HISTORY.state is State.APPLYING
    assert HISTORY.head == Digest.of(LINES[-1])


def test_an_empty_journal_is_that_of_a_new_change() -> None:
    assert read([]) == History()
    assert (History().head, History().state) == (FIRST, State.NEW)


def test_each_line_names_the_one_before_it() -> None:
    heads = [FIRST, *(Digest.of(line) for line in LINES)]

    assert [entry.prev for entry in HISTORY.entries] == heads[:-1]
    assert [entry.seq for entry in HISTORY.entries] == list(range(len(LINES)))


def test_a_fact_is_found_by_what_happened() -> None:
    assert [entry.event for entry in HISTORY.of(Event.PLAN_MADE, Event.APPLY_STARTED)] == [
        Event.PLAN_MADE,
        Event.APPLY_STARTED,
    ]
    assert HISTORY.last(Event.WAVE_STARTED, Event.PLAN_MADE) == HISTORY.entries[5]
    assert HISTORY.last(Event.CHANGE_CLOSED) is None


def with_another_byte(data: st.DataObject, line: bytes) -> bytes:
    place = data.draw(st.integers(0, len(line) - 1))
    return line[:place] + bytes([line[place] ^ data.draw(st.integers(1, 255))]) + line[place + 1 :]


@given(st.integers(0, len(LINES) - 2), st.data())
def test_a_changed_byte_is_found_in_its_line_or_by_the_next(number: int, data: st.DataObject) -> None:
    changed = with_another_byte(data, LINES[number])

    with pytest.raises(Integrity) as found:
        read([*LINES[:number], changed, *LINES[number + 1 :]])

    assert int(found.value.fields["line"]) in (number + 1, number + 2)
    assert found.value.fields["file"] == "journal.jsonl"


@given(st.data())
def test_a_changed_byte_in_the_last_line_is_found_or_gives_another_head_than_people_signed(data: st.DataObject) -> None:
    changed = with_another_byte(data, LINES[-1])

    try:
        head = read([*LINES[:-1], changed]).head
    except Integrity:
        return

    assert head != HISTORY.head


@pytest.mark.parametrize("gone", range(len(LINES) - 1))
def test_a_removed_line_is_found(gone: int) -> None:
    with pytest.raises(Integrity) as found:
        read([*LINES[:gone], *LINES[gone + 1 :]])

    assert found.value.code == "journal-chain-broken"
    assert found.value.fields["line"] == str(gone + 1)


def test_a_cut_tail_gives_another_head_than_the_one_that_people_signed() -> None:
    assert read(LINES[:-1]).head != HISTORY.head


@pytest.mark.parametrize("place", range(len(LINES)))
def test_a_line_put_in_is_found(place: int) -> None:
    strange = read(LINES[:place]).following(Event.GATE_REFUSED, {"code": "x"}, at=SIGNED, actor="x").to_line()

    with pytest.raises(Integrity, match="journal-chain-broken"):
        read([*LINES[:place], strange, *LINES[place:]])


@pytest.mark.parametrize("place", range(len(LINES)))
def test_a_line_written_twice_is_found(place: int) -> None:
    with pytest.raises(Integrity, match="journal-chain-broken"):
        read([*LINES[: place + 1], *LINES[place:]])


@given(st.permutations(LINES))
def test_any_other_order_is_found(lines: list[bytes]) -> None:
    if lines == LINES:
        return
    with pytest.raises(Integrity, match="journal-chain-broken"):
        read(lines)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b"not json\n",
        b"\xff\n",
        LINES[0][:-1],
        LINES[0] + b"\n",
        LINES[0].replace(b":", b": "),
        LINES[0].replace(b"change requested", b"change wished"),
        LINES[0].replace(b'"seq":0', b'"seq":0,"seq":0'),
        LINES[0].replace(b'"seq":0', b'"seq":0,"note":"x"'),
        LINES[0].replace("门".encode(), b"\\u95e8"),
        LINES[0].replace(b"2026-", b"26-"),
        LINES[0].replace(b"0" * 64, b"0" * 63),
    ],
    ids=lambda line: repr(line[:20]),
)
def test_a_line_in_any_other_form_is_damaged(line: bytes) -> None:
    with pytest.raises(Integrity) as found:
        read([line])

    assert found.value.code == "journal-line-damaged"
    assert found.value.fields["line"] == "1"


def test_an_illegal_move_is_refused_before_it_is_written() -> None:
    with pytest.raises(Refused) as refusal:
        HISTORY.following(Event.CHANGE_CLOSED, {}, at=SIGNED, actor="x")

    assert refusal.value.code == "change-not-in-state"


def test_a_line_with_the_right_chain_and_another_number_is_found() -> None:
    forged = Entry(len(LINES) + 1, HISTORY.head, SIGNED, "x", Event.GATE_REFUSED, {})

    with pytest.raises(Integrity, match="journal-chain-broken"):
        read([*LINES, forged.to_line()])


def test_an_illegal_move_with_a_whole_chain_is_found_when_it_is_read() -> None:
    forged = Entry(len(LINES), HISTORY.head, SIGNED, "x", Event.CHANGE_CLOSED, {})

    with pytest.raises(Integrity) as found:
        read([*LINES, forged.to_line()])

    assert found.value.code == "journal-order-broken"
    assert found.value.fields["state"] == "applying"


@given(st.lists(st.sampled_from(Event), max_size=12))
def test_whatever_facts_come_what_was_written_can_be_read(facts: list[Event]) -> None:
    history = History()
    for event in facts:
        try:
            entry = history.following(event, {"n": len(history.entries)}, at=SIGNED, actor="x")
        except Refused:
            continue
        history = history.with_entry(entry)

    assert read([entry.to_line() for entry in history.entries]) == history


def test_a_line_that_is_nested_as_deeply_as_no_line_of_ours_is_named_like_any_other_damage() -> None:
    with pytest.raises(Integrity, match="journal-line-damaged"):
        read([b'{"data":' * 100_000 + b"\n"])
