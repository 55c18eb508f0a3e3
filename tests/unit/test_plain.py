"""Stored documents and plain JSON: strict in both directions, and nothing is lost on the way."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import builders
from upgrader.domain import canonical, plain
from upgrader.domain.approval.record import (
    AcceptanceRecord,
    ApprovalRecord,
    Record,
    TestRecord,
    TestStage,
    read_any_record,
    record_name,
    write_record,
)
from upgrader.domain.approval.trust import read_trust
from upgrader.domain.changes.plan import Plan, read_plan
from upgrader.domain.errors import Refused
from upgrader.domain.names import PersonId

PLAN = builders.plan_of()
ACCEPTANCE = AcceptanceRecord(
    format=AcceptanceRecord.FORMAT,
    site=PLAN.site,
    repository=PLAN.repository,
    change=PLAN.change,
    plan=PLAN.digest,
    journal=PLAN.digest,
    result="stable",
    person=builders.HEAD,
    role=builders.DEPARTMENT,
    issued=builders.NOW,
    nonce="0" * 32,
    reason="works",
)
RECORDS: tuple[Record, ...] = (
    builders.make_approval(PLAN, builders.HEAD, builders.DEPARTMENT),
    builders.make_test(PLAN, TestStage.VENDOR),
    builders.make_test(PLAN, TestStage.SITE),
    ACCEPTANCE,
)


def test_a_plan_is_read_back_as_it_was_made() -> None:
    again = read_plan(PLAN.to_bytes())

    assert again == PLAN
    assert again.digest == PLAN.digest


def test_a_trust_file_is_read_back_as_it_was_made() -> None:
    trust = builders.make_trust()

    assert read_trust(trust.to_bytes(), "trust.1.json") == trust


@pytest.mark.parametrize("record", RECORDS, ids=record_name)
def test_a_record_is_read_back_by_the_name_under_which_it_is_kept(record: Record) -> None:
    assert read_any_record(write_record(record), record_name(record)) == record


@given(
    reason=st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=60),
    issued=st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1)),  # hypothesis wants them naive
)
def test_whatever_a_person_says_and_whenever_it_comes_back_unchanged(reason: str, issued: datetime) -> None:
    said = replace(RECORDS[0], reason=reason, issued=issued.replace(microsecond=0, tzinfo=UTC))

    assert read_any_record(write_record(said), record_name(said)) == said


def without(key: str) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        del value[key]

    return change


def with_(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda value: value.update(changes)


WRONG = [
    pytest.param(without("role"), id="a missing key"),
    pytest.param(with_(note="x"), id="an unknown key"),
    pytest.param(with_(hosts=5), id="a number where text belongs"),
    pytest.param(with_(decision=["approve"]), id="a list where a word belongs"),
    pytest.param(with_(decision="maybe"), id="an unknown decision"),
    pytest.param(with_(person="Li Na"), id="a name that is no id"),
    pytest.param(with_(plan="00"), id="half a digest"),
    pytest.param(with_(plan="A" * 64), id="a digest in capitals"),
    pytest.param(with_(issued="2026-11-21 15:00:00Z"), id="another form of time"),
    pytest.param(with_(issued="2026-11-21T15:00:00z"), id="a small z"),
    pytest.param(with_(issued="２０２６-11-21T15:00:00Z"), id="full-width digits"),
    pytest.param(with_(issued="2026-02-30T15:00:00Z"), id="a day that is none"),
    pytest.param(with_(format="upgrader.approval/2"), id="another format"),
]


@pytest.mark.parametrize("change", WRONG)
def test_a_record_that_does_not_fit_is_refused_by_name(change: Callable[[dict[str, Any]], None]) -> None:
    value = plain.to_plain(RECORDS[0])
    change(value)

    with pytest.raises(Refused) as refusal:
        read_any_record(canonical.serialise(value), "approvals/approve_zhao.min_department-head_00000000.json")

    assert refusal.value.code == "record-malformed"


@pytest.mark.parametrize("name", ["notes.json", "approve_x_y_00000000.json.sig", "approve", "plan.json"])
def test_a_file_whose_name_is_no_records_is_not_read_as_one(name: str) -> None:
    with pytest.raises(Refused, match="record-malformed"):
        read_any_record(write_record(RECORDS[0]), name)


def test_a_record_of_one_kind_is_never_read_as_another() -> None:
    approval, test = write_record(RECORDS[0]), write_record(RECORDS[1])

    for content, name in ((approval, record_name(RECORDS[1])), (test, record_name(RECORDS[0]))):
        with pytest.raises(Refused, match="record-malformed"):
            read_any_record(content, name)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("revision", True),
        ("revision", "1"),
        ("hosts", {}),
        ("waves", [["host-01"]]),
        ("kind", "secret"),
        ("release", []),
        ("window", {"opens": "2026-11-21T15:00:00Z", "zone": "UTC"}),
    ],
)
def test_the_first_thing_in_a_plan_that_does_not_fit_is_named(place: str, value: object) -> None:
    content = plain.to_plain(PLAN) | {place: value}

    with pytest.raises(ValueError, match=f"Plan.{place}"):
        plain.from_plain(Plan, content)


def test_what_is_not_there_is_left_out_and_comes_back_as_none() -> None:
    value = plain.to_plain(PLAN)["probes"][0]

    assert "run" not in value
    assert read_plan(PLAN.to_bytes()).probes[0].run is None


@pytest.mark.parametrize("value", [1.5, {1, 2}, object(), b"bytes"])
def test_a_value_that_has_no_plain_form_is_a_mistake_of_ours(value: object) -> None:
    with pytest.raises(TypeError, match="no plain form"):
        plain.to_plain(value)


def test_text_becomes_a_name_only_when_it_is_one() -> None:
    assert PersonId("li.na") == "li.na"
    for text in ("", "Li.na", "li..na", "-li", "li na", "李娜", "li.na\n"):
        with pytest.raises(ValueError, match="person"):
            PersonId(text)


@given(st.text(max_size=24) | st.from_regex(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}[Zz]", fullmatch=True))
def test_an_instant_has_one_spelling(text: str) -> None:
    try:
        read = plain.instant(text)
    except ValueError:
        return

    assert plain.to_plain(read) == text


def test_a_read_record_is_of_the_type_that_was_meant() -> None:
    kinds = [type(read_any_record(write_record(record), record_name(record))) for record in RECORDS]

    assert kinds == [ApprovalRecord, TestRecord, TestRecord, AcceptanceRecord]
