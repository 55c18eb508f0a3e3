"""A correction of data: what its statements may look like, what the signers are bound to, and whose word it needs."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import make_host, make_release, make_request, make_rule, make_trust, plan_of
from upgrader.domain.approval.record import plan_facts
from upgrader.domain.approval.trust import Organisation, Row, weaknesses
from upgrader.domain.changes.plan import Plan, read_plan
from upgrader.domain.changes.request import Kind
from upgrader.domain.errors import PreflightFailed, Refused
from upgrader.domain.names import RoleId
from upgrader.domain.releases.correction import (
    LARGEST_STATEMENTS,
    NOT_RUN,
    Correction,
    TableRows,
    read_images,
    read_statements,
)
from upgrader.domain.releases.release import NO_HEALTH, NO_SERVICE, Strategy

TRUST = make_trust()
STATEMENTS = ("UPDATE result SET value = value * 10", "WHERE id <= 3;")
CORRECTION = Correction(
    database="lis",
    tables=(TableRows("public.result", 3), TableRows("public.note", 1)),
    statement_seconds=30,
    lock_seconds=5,
)


def corrected(**changes: Any) -> Plan:
    release = make_release(
        strategy=Strategy.DATA_FIX,
        follows=(NOT_RUN,),
        correction=changes.pop("correction", CORRECTION),
        service=NO_SERVICE,
        health=NO_HEALTH,
    )
    materials = {
        "release": release,
        "request": make_request(kind=Kind.DATA_FIX),
        "statements": STATEMENTS,
        "hosts": [make_host(1, NOT_RUN)],
        **changes,
    }
    return plan_of(**materials)


def test_the_plan_holds_the_statements_and_the_rows_and_reads_back() -> None:
    plan = corrected()

    assert plan.release.correction is not None
    assert plan.release.correction.statements == STATEMENTS
    assert read_plan(plan.to_bytes()) == plan


@pytest.mark.parametrize(
    "changes",
    [
        {"statements": (*STATEMENTS, "-- more")},
        {"correction": replace(CORRECTION, tables=(TableRows("public.result", 4), TableRows("public.note", 1)))},
        {"correction": replace(CORRECTION, database="his")},
        {"correction": replace(CORRECTION, statement_seconds=31)},
        {"correction": replace(CORRECTION, lock_seconds=6)},
    ],
    ids=["statements", "rows", "database", "statement time-out", "lock time-out"],
)
def test_whatever_changes_voids_every_signature(changes: dict[str, Any]) -> None:
    assert corrected(**changes).digest != corrected().digest


def test_every_approval_repeats_how_many_rows_are_touched() -> None:
    assert "public.result 3, public.note 1" in plan_facts(corrected()).release


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.DATA_FIX])
def test_a_correction_goes_by_the_rule_of_corrections_alone(kind: Kind) -> None:
    with pytest.raises(Refused, match="kind-not-of-release"):
        corrected(request=make_request(kind=kind))


def test_the_rule_of_corrections_is_for_corrections_alone() -> None:
    with pytest.raises(Refused, match="kind-not-of-release"):
        plan_of(request=make_request(kind=Kind.DATA_FIX))


def test_it_is_run_once() -> None:
    """A host that has another one noted under this name can't get this one."""
    with pytest.raises(PreflightFailed, match="release-may-not-follow"):
        corrected(hosts=[make_host(1, "1.0")])


def test_without_the_hospital_s_signature_there_is_no_rule_for_it() -> None:
    vendor_role = next(RoleId(role) for role, of in TRUST.roles.items() if of.organisation is Organisation.VENDOR)
    vendor_alone = make_rule(approvals=(Row(vendor_role, 1),), people=1)

    faults = weaknesses(make_trust(rules={"normal": make_rule(), "data-fix": vendor_alone}))

    assert [fault for fault in faults if fault.startswith("rules.data-fix") and "no hospital role" in fault]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "1"),
        (b"  \n\n", "1"),
        (b"SELECT 1;\n\tUPDATE", "2"),
        (b"SELECT 1;\r\n", "1"),
        (b"SELECT 1;\n\xff", "2"),
        ("SELECT '\u202e1'".encode(), "1"),
        ("SELECT 1\u2028, 2".encode(), "1"),
        (b"SELECT 1 \x1b[2K", "1"),
        (b"x" * (LARGEST_STATEMENTS + 1), "1"),
    ],
    ids=["empty", "blank", "tab", "carriage return", "no UTF-8", "right to left", "another line end", "escape", "long"],
)
def test_statements_that_no_signer_could_read_are_refused(content: bytes, line: str) -> None:
    with pytest.raises(Refused, match="statements-unreadable") as refused:
        read_statements(content, "fix.sql")

    assert refused.value.fields["line"] == line


@given(st.binary(max_size=200))
def test_what_is_shown_is_what_runs(content: bytes) -> None:
    try:
        lines = read_statements(content, "fix.sql")
    except Refused:
        return
    assert "\n".join(lines).encode() in (content, content.removesuffix(b"\n"))


def test_rows_of_a_host_are_read_strictly() -> None:
    row = {"table": "public.result", "key": {"id": 1}, "before": {"id": 1}, "after": None}

    (image,) = read_images([row])

    assert (image.table, image.before, image.after) == ("public.result", {"id": 1}, None)
    wrongs: list[object] = [{}, "x", [1], [{**row, "key": 1}], [{**row, "before": "x"}], [{"table": "t"}]]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="not a"):
            read_images(wrong)
