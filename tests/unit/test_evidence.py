"""The statement over a bundle: one spelling, closed, and refused when it is not ours."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from upgrader.domain.changes.request import Kind
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity
from upgrader.domain.names import ChangeId, PersonId, SiteId, SystemId, Version
from upgrader.domain.papers.evidence import (
    CLOSURE_FORMAT,
    Closure,
    Ending,
    EvidenceName,
    make_statement,
    read_statement,
)

CLOSURE = Closure(
    format=CLOSURE_FORMAT,
    site=SiteId("renmin-hospital"),
    repository="renmin-hospital/upgrades",
    change=ChangeId("CHG-2026-0142"),
    kind=Kind.NORMAL,
    system=SystemId("exam-scheduling"),
    version=Version("3.5.10"),
    plan=Digest.of(b"plan"),
    journal=Digest.of(b"journal"),
    entries=31,
    ending=Ending.COMPLETED,
    hosts={"upgraded": 3},
    trust_version=2,
    closed=datetime(2026, 11, 25, 8, 30, tzinfo=UTC),
    closed_by=PersonId("zhao.min"),
    upgrader="0.1.0",
)
FILES = {"plan.json": Digest.of(b"plan"), "journal.jsonl": Digest.of(b"journal")}


def test_a_statement_is_read_back_as_it_was_made() -> None:
    statement = make_statement(CLOSURE, FILES)

    again = read_statement(statement.to_bytes())

    assert again == statement
    assert again.to_bytes() == statement.to_bytes()


def test_it_is_an_in_toto_statement_with_every_file_as_a_subject_in_order() -> None:
    content = make_statement(CLOSURE, FILES).to_bytes().decode()

    assert '"_type": "https://in-toto.io/Statement/v1"' in content
    assert '"predicateType": "urn:upgrader:evidence:v1"' in content
    assert content.index("journal.jsonl") < content.index("plan.json")


def test_the_order_in_which_files_are_given_does_not_matter() -> None:
    assert make_statement(CLOSURE, FILES) == make_statement(CLOSURE, dict(reversed(FILES.items())))


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"../plan.json": Digest.of(b"")},
        {"/plan.json": Digest.of(b"")},
        {"runs//a.txt": Digest.of(b"")},
        {"runs/../a.txt": Digest.of(b"")},
        {"计划.json": Digest.of(b"")},
        {"a" * 135: Digest.of(b"")},
        {"statement.json": Digest.of(b"")},
        {"statement.json.sig": Digest.of(b"")},
        {"plan.json": Digest.of(b""), "Plan.json": Digest.of(b"")},
    ],
    ids=lambda files: ",".join(files)[:20] or "no files",
)
def test_what_has_no_place_in_a_bundle_is_not_stated(files: dict[str, Digest]) -> None:
    with pytest.raises(ValueError, match=r"."):
        make_statement(CLOSURE, files)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"in-toto.io/Statement/v1", b"in-toto.io/Statement/v2"),
        (b"urn:upgrader:evidence:v1", b"urn:upgrader:evidence:v2"),
        (b"upgrader.closure/1", b"upgrader.closure/9"),
        (b'"sha256"', b'"sha512"'),
        (b'"name": "plan.json"', b'"name": "/lan.json"'),
        (b'"ending": "completed"', b'"ending": "wonderful"'),
        (b'"ending": "completed"', b'"ending": "completed", "note": "x"'),
        (b"{\n", b"{ \n"),
        (b"}\n", b"}\n\n"),
        (b"plan.json", b"journal.jsonl"),
    ],
)
def test_any_other_form_is_refused(old: bytes, new: bytes) -> None:
    content = make_statement(CLOSURE, FILES).to_bytes()
    assert old in content

    with pytest.raises(Integrity) as refusal:
        read_statement(content.replace(old, new, 1))

    assert refusal.value.code == "evidence-statement"
    assert refusal.value.fields["file"] == "statement.json"


@pytest.mark.parametrize("content", [b"", b"[]\n", b"{}\n", b"\xff", b'{\n  "subject": 3\n}\n'])
def test_what_is_no_statement_is_refused(content: bytes) -> None:
    with pytest.raises(Integrity):
        read_statement(content)


def test_a_closure_with_another_outcome_is_another_statement() -> None:
    other = replace(CLOSURE, ending=Ending.ROLLED_BACK)

    assert make_statement(other, FILES).to_bytes() != make_statement(CLOSURE, FILES).to_bytes()


def test_the_longest_name_still_fits_a_tar() -> None:
    assert EvidenceName("a" * 34 + "/" + "b" * 99)
