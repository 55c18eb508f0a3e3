"""Who may let a plan run: enough different people, for exactly this plan, now, and never by accident."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import builders
from builders import (
    BOTH,
    DEPARTMENT,
    ENGINEER,
    HEAD,
    INFORMATICIAN,
    INFORMATION,
    NOW,
    OPENS,
    REQUESTER,
    RETIRED,
    SIGNED,
    SITE_ENGINEER,
    TESTER,
    VENDOR_TESTER,
    enough_approvals,
    make_approval,
    make_rule,
    make_test,
    make_trust,
    signed_approval,
    signed_tests,
)
from upgrader.domain.approval.authorization import Authorization, Fault, Signed, Standing, authorize, weigh
from upgrader.domain.approval.record import ApprovalRecord, Decision, Result, TestRecord, TestStage
from upgrader.domain.approval.trust import Row
from upgrader.domain.changes.request import Kind
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused
from upgrader.domain.names import ChangeId, PersonId, SiteId

PLAN = builders.plan_of()
OTHER = Digest.of(b"another plan")
TRUST = make_trust()
TESTS = signed_tests(PLAN)
LATER = SIGNED + timedelta(hours=1)
LATEST = SIGNED + timedelta(hours=2)
TAMPERED = Fault("signature-invalid", {}, tampered=True)

Approval = Signed[ApprovalRecord]


def says(person: str, role: str, decision: Decision = Decision.APPROVE, **changes: Any) -> Approval:
    nonce = Digest.of(f"{person} {role} {decision} {sorted(changes.items())}".encode()).hex[:32]
    return signed_approval(make_approval(PLAN, person, role, **{"decision": decision, "nonce": nonce, **changes}))


def weighed(
    approvals: Sequence[Approval], tests: Sequence[Signed[TestRecord]] = TESTS, now: datetime = NOW
) -> Standing:
    return weigh(PLAN, TRUST, approvals, tests, now)


def decide(
    approvals: Sequence[Approval], tests: Sequence[Signed[TestRecord]] = TESTS, now: datetime = NOW
) -> Authorization:
    return authorize(weighed(approvals, tests, now), applier="li.na", commit="c0ffee", trust_version=1)


def refusal_of(
    approvals: Sequence[Approval], tests: Sequence[Signed[TestRecord]] = TESTS, now: datetime = NOW
) -> Refused:
    with pytest.raises(Refused) as refusal:
        decide(approvals, tests, now)
    return refusal.value


def may_run(approvals: Sequence[Approval]) -> bool:
    standing = weighed(approvals)
    try:
        authorize(standing, applier="li.na", commit="c0ffee", trust_version=1)
    except Refused:
        assert not standing.is_complete
        return False
    assert standing.is_complete
    return True


ENOUGH = list(enough_approvals(PLAN))


def test_enough_different_people_authorize_exactly_this_plan() -> None:
    authorization = decide(ENOUGH)

    assert authorization.plan == PLAN.digest
    assert authorization.people == (INFORMATICIAN, HEAD)
    assert len(authorization.approvals) == 2


def test_more_than_enough_is_enough() -> None:
    assert decide([*ENOUGH, says(BOTH, DEPARTMENT)]).people == (BOTH, INFORMATICIAN, HEAD)


def test_whoever_vouches_for_the_build_in_the_vendors_place_does_not_approve_it() -> None:
    plan = builders.plan_of(release=builders.make_release(packager=HEAD))
    standing = weigh(plan, TRUST, list(enough_approvals(plan)), TESTS, NOW)

    assert [fault.code for _, fault in standing.left_out] == ["packager-signed"]
    assert not standing.is_complete


# -------------------------------------------------------------------------------------- each is one yes that is no yes

NO_YES: dict[str, tuple[Approval, str]] = {
    "the requester signs": (says(REQUESTER, INFORMATION), "requester-signed"),
    "in a role not held": (says(HEAD, INFORMATION), "role-not-held"),
    "a vendor signs for the hospital": (says(TESTER, INFORMATION), "role-not-held"),
    "somebody who left": (says(RETIRED, INFORMATION), "person-not-active"),
    "somebody unknown": (says("wu.gang", INFORMATION), "person-not-active"),
    "run out": (says(INFORMATICIAN, INFORMATION, expires=NOW), "approval-expired"),
    "too long": (says(INFORMATICIAN, INFORMATION, issued=SIGNED - timedelta(days=14)), "approval-too-long"),
    "ends inside the window": (
        says(INFORMATICIAN, INFORMATION, expires=builders.CLOSES - timedelta(seconds=1)),
        "approval-ends-before-window",
    ),
    "from the future": (
        says(INFORMATICIAN, INFORMATION, issued=NOW + timedelta(minutes=6)),
        "approval-from-the-future",
    ),
    "of another plan": (says(INFORMATICIAN, INFORMATION, plan=OTHER), "plan-digest"),
}


@pytest.mark.parametrize(("yes", "code"), NO_YES.values(), ids=NO_YES)
def test_a_yes_that_does_not_count_is_left_out_and_said(yes: Approval, code: str) -> None:
    others = [says(HEAD, DEPARTMENT)]

    standing = weighed([*others, yes])
    refusal = refusal_of([*others, yes])

    assert [(file, fault.code) for file, fault in standing.left_out] == [(yes.file, code)]
    assert not any(fault.tampered for _, fault in standing.left_out)
    assert refusal.code == "approvals-missing"
    assert f"{yes.file} ({code})" in refusal.fields["fell"]


@pytest.mark.parametrize(("yes", "code"), NO_YES.values(), ids=NO_YES)
def test_a_yes_that_does_not_count_does_not_spoil_those_that_do(yes: Approval, code: str) -> None:
    assert decide([*ENOUGH, yes]).people == (INFORMATICIAN, HEAD)


MISSING: dict[str, tuple[Sequence[Approval], str]] = {
    "nobody signed": ([], "information-department 1, department-head 1"),
    "one short": (ENOUGH[:1], "department-head 1"),
    "the other short": (ENOUGH[1:], "information-department 1"),
    "one person in two roles": ([says(BOTH, INFORMATION), says(BOTH, DEPARTMENT)], "department-head 1"),
    "one person twice": ([ENOUGH[0], says(INFORMATICIAN, INFORMATION, issued=LATER)], "department-head 1"),
    "two people in one role": ([ENOUGH[0], says(BOTH, INFORMATION)], "department-head 1"),
}


@pytest.mark.parametrize(("approvals", "missing"), MISSING.values(), ids=MISSING)
def test_too_few_different_people_are_told_who_is_missing(approvals: Sequence[Approval], missing: str) -> None:
    refusal = refusal_of(approvals)

    assert refusal.code == "approvals-missing"
    assert refusal.fields["missing"] == missing


def test_a_rule_may_ask_for_more_people_than_rows() -> None:
    trust = make_trust(rules={"normal": make_rule(people=3)})

    standing = weigh(PLAN, trust, ENOUGH, TESTS, NOW)

    assert (standing.missing, standing.people_missing) == ((), 1)
    with pytest.raises(Refused) as refusal:
        authorize(standing, applier="li.na", commit="c0ffee", trust_version=1)
    assert refusal.value.fields["missing"] == "people 1"


def test_a_new_plan_voids_every_approval_of_the_old_one() -> None:
    revised = replace(PLAN, revision=2)

    standing = weigh(revised, TRUST, ENOUGH, TESTS, NOW)

    assert {fault.code for _, fault in standing.left_out} == {"plan-digest"}
    assert standing.missing == (Row(INFORMATION, 1), Row(DEPARTMENT, 1))


def test_a_clock_that_is_a_little_ahead_is_forgiven() -> None:
    assert may_run([says(INFORMATICIAN, INFORMATION, issued=NOW + timedelta(minutes=5)), ENOUGH[1]])


def test_a_kind_of_change_without_a_rule_is_not_even_weighed() -> None:
    urgent = replace(PLAN, kind=Kind.EMERGENCY)

    with pytest.raises(Refused, match="kind-without-rule"):
        weigh(urgent, TRUST, ENOUGH, TESTS, NOW)


# --------------------------------------------------------------------------- one of these and nothing counts any more

SPOILS: dict[str, tuple[Approval, str]] = {
    "another change": (says(BOTH, DEPARTMENT, change=ChangeId("CHG-2026-0001")), "record-elsewhere"),
    "another site": (says(BOTH, DEPARTMENT, site=SiteId("other-hospital")), "record-elsewhere"),
    "another repository": (says(BOTH, DEPARTMENT, repository="other/upgrades"), "record-elsewhere"),
    "another release in words": (says(BOTH, DEPARTMENT, release="exam-scheduling 3.5.9"), "facts-differ"),
    "another number of hosts": (says(BOTH, DEPARTMENT, hosts="4"), "facts-differ"),
    "another window": (says(BOTH, DEPARTMENT, window="any time"), "facts-differ"),
    "another downtime": (says(BOTH, DEPARTMENT, downtime="0s"), "facts-differ"),
    "a signature that does not hold": (replace(says(BOTH, DEPARTMENT), fault=TAMPERED), "signature-invalid"),
    "a record nobody can read": (Signed("approve_x.json", None), "record-unreadable"),
    "a broken form": (Signed("approve_x.json", None, Fault("record-malformed", {}, tampered=True)), "record-malformed"),
}


@pytest.mark.parametrize(("spoiler", "code"), SPOILS.values(), ids=SPOILS)
def test_a_record_that_was_tampered_with_refuses_all_however_many_have_signed(spoiler: Approval, code: str) -> None:
    refusal = refusal_of([*ENOUGH, spoiler])

    assert refusal.code == code
    assert refusal.fields["file"] == spoiler.file


# ------------------------------------------------------------------------------------------------ no, and taken back

NO = says(BOTH, DEPARTMENT, Decision.REJECT, issued=LATER)


def test_one_no_blocks_however_many_say_yes() -> None:
    refusal = refusal_of([*ENOUGH, NO])

    assert refusal.code == "plan-rejected"
    assert refusal.fields["people"] == BOTH


def test_a_no_and_a_yes_of_one_person_is_a_no() -> None:
    assert not may_run([*ENOUGH, says(HEAD, DEPARTMENT, Decision.REJECT)])


def test_a_no_ends_when_its_own_author_takes_it_back() -> None:
    assert may_run([*ENOUGH, NO, says(BOTH, DEPARTMENT, Decision.WITHDRAW, issued=LATEST)])


def test_nobody_takes_back_the_no_of_somebody_else() -> None:
    other = says(HEAD, DEPARTMENT, Decision.WITHDRAW, issued=SIGNED - timedelta(hours=1))

    assert not may_run([*ENOUGH, NO, other])


def test_a_no_said_after_a_withdrawal_stands() -> None:
    earlier = says(BOTH, DEPARTMENT, Decision.WITHDRAW, issued=SIGNED)

    assert not may_run([*ENOUGH, earlier, NO])


def test_a_yes_that_was_taken_back_is_gone_and_said() -> None:
    back = says(HEAD, DEPARTMENT, Decision.WITHDRAW, issued=LATER)

    standing = weighed([*ENOUGH, back])

    assert [fault.code for _, fault in standing.left_out] == ["approval-withdrawn"]
    assert standing.missing == (Row(DEPARTMENT, 1),)


def test_said_and_taken_back_in_the_same_second_is_taken_back() -> None:
    assert not may_run([*ENOUGH, says(HEAD, DEPARTMENT, Decision.WITHDRAW, issued=SIGNED)])


def test_a_no_of_the_same_second_stands_until_a_later_word_takes_it_back() -> None:
    no = says(HEAD, DEPARTMENT, Decision.REJECT, issued=LATER)

    assert not may_run([*ENOUGH, says(BOTH, DEPARTMENT), no, says(HEAD, DEPARTMENT, Decision.WITHDRAW, issued=LATER)])
    assert may_run([*ENOUGH, says(BOTH, DEPARTMENT), no, says(HEAD, DEPARTMENT, Decision.WITHDRAW, issued=LATEST)])


def test_a_no_stands_when_its_author_has_left() -> None:
    """A new plan ends it; nobody else does."""
    assert not may_run([*ENOUGH, says(RETIRED, DEPARTMENT, Decision.REJECT)])


def test_whoever_took_their_yes_back_may_give_it_again() -> None:
    back = says(HEAD, DEPARTMENT, Decision.WITHDRAW, issued=LATER)
    again = says(HEAD, DEPARTMENT, issued=LATEST)

    assert may_run([*ENOUGH, back, again])


@pytest.mark.parametrize(
    "times",
    [
        {"expires": NOW},
        {"expires": builders.CLOSES + timedelta(days=60)},
        {"expires": builders.CLOSES - timedelta(hours=1)},
        {"issued": NOW + timedelta(minutes=30)},
    ],
    ids=["run out", "too long", "ends early", "a clock ahead"],
)
def test_no_clock_silences_a_no_or_a_word_taken_back(times: dict[str, datetime]) -> None:
    changes = {"issued": LATER, **times}

    assert not may_run([*ENOUGH, says(BOTH, DEPARTMENT, Decision.REJECT, **changes)])
    assert not may_run([*ENOUGH, says(HEAD, DEPARTMENT, Decision.WITHDRAW, **changes)])


def test_the_requester_may_say_no_to_their_own_request() -> None:
    assert not may_run([*ENOUGH, says(REQUESTER, INFORMATION, Decision.REJECT)])


# ------------------------------------------------------------------------------------------------------------- tests


def record(stage: TestStage, **changes: Any) -> Signed[TestRecord]:
    return Signed(f"{stage}.json", make_test(PLAN, stage, **changes))


VENDOR, SITE = record(TestStage.VENDOR), record(TestStage.SITE)
UNTESTED: dict[str, tuple[Sequence[Signed[TestRecord]], str, str]] = {
    "no test": ([], "tests-missing", "vendor-test, site-test"),
    "one test short": ([VENDOR], "tests-missing", "site-test"),
    "one test twice": ([VENDOR, VENDOR], "tests-missing", "site-test"),
    "a test of another release": ([VENDOR, record(TestStage.SITE, release=OTHER)], "tests-missing", "site-test"),
    "a test at another site": (
        [VENDOR, record(TestStage.SITE, site=SiteId("other-hospital"))],
        "tests-missing",
        "site-test",
    ),
    "tested in a role not held": ([VENDOR, record(TestStage.SITE, role=INFORMATION)], "tests-missing", "site-test"),
    "tested by nobody known": (
        [VENDOR, record(TestStage.SITE, person=PersonId("wu.gang"))],
        "tests-missing",
        "site-test",
    ),
    "the vendor tested for the site": (
        [VENDOR, record(TestStage.SITE, person=TESTER, role=VENDOR_TESTER)],
        "tests-missing",
        "site-test",
    ),
    "the engineer tested for the vendor": (
        [record(TestStage.VENDOR, person=ENGINEER, role=SITE_ENGINEER), SITE],
        "tests-missing",
        "vendor-test",
    ),
    "the hospital tested for both": (
        [record(stage, person=HEAD, role=DEPARTMENT) for stage in TestStage],
        "tests-missing",
        "vendor-test, site-test",
    ),
    "a failed test": ([VENDOR, record(TestStage.SITE, result=Result.FAILED)], "test-failed", ""),
    "a failed test beside a passed one": (
        [VENDOR, SITE, record(TestStage.SITE, result=Result.FAILED)],
        "test-failed",
        "",
    ),
    "a forged test": ([VENDOR, SITE, Signed("x.json", None, TAMPERED)], "signature-invalid", ""),
    "a test nobody can read": ([VENDOR, SITE, Signed("x.json", None)], "record-unreadable", ""),
}


@pytest.mark.parametrize(("tests", "code", "missing"), UNTESTED.values(), ids=UNTESTED)
def test_what_was_not_tested_does_not_run_whoever_signs(
    tests: Sequence[Signed[TestRecord]], code: str, missing: str
) -> None:
    refusal = refusal_of(ENOUGH, tests)

    assert refusal.code == code
    assert refusal.fields.get("tests", "") == missing


def test_the_first_reason_is_the_one_to_act_on_first() -> None:
    forged = replace(ENOUGH[0], fault=TAMPERED)

    assert refusal_of([forged, NO], []).code == "signature-invalid"
    assert refusal_of([NO], []).code == "plan-rejected"
    assert refusal_of([], []).code == "tests-missing"
    assert refusal_of([]).code == "approvals-missing"


# -------------------------------------------------------------------------------------------------------- properties

YESES = [
    *ENOUGH,
    says(BOTH, INFORMATION),
    says(BOTH, DEPARTMENT),
    says(HEAD, DEPARTMENT, issued=LATER),
]
ANY_RECORD = st.sampled_from(
    [
        *YESES,
        *(yes for yes, _ in NO_YES.values()),
        *(spoiler for spoiler, _ in SPOILS.values()),
        NO,
        says(HEAD, DEPARTMENT, Decision.REJECT, issued=LATER),
        says(HEAD, DEPARTMENT, Decision.WITHDRAW, issued=LATEST),
        says(BOTH, INFORMATION, Decision.WITHDRAW, issued=LATER),
    ]
)
SOME_RECORDS = st.lists(ANY_RECORD, max_size=6, unique_by=lambda signed: signed.file)
NOT_COUNTED = st.sampled_from([yes for yes, _ in (*NO_YES.values(), *SPOILS.values())])


@given(SOME_RECORDS, NOT_COUNTED)
def test_a_record_that_does_not_count_never_lets_a_plan_run(before: list[Approval], extra: Approval) -> None:
    if may_run([*before, extra]):
        assert may_run(before)


@given(SOME_RECORDS)
def test_a_plan_that_may_run_has_two_different_people_in_the_two_roles(approvals: list[Approval]) -> None:
    if not may_run(approvals):
        return

    counted = [signed.record for signed in weighed(approvals).counted if signed.record]
    pairs = [(one.person, other.person) for one in counted for other in counted]
    roles = {(one.person, one.role) for one in counted}
    assert any(one != other and (one, INFORMATION) in roles and (other, DEPARTMENT) in roles for one, other in pairs)
    assert REQUESTER not in {one.person for one in counted}


@given(st.lists(st.sampled_from(YESES), max_size=5, unique_by=lambda signed: signed.file), st.data())
def test_without_any_one_of_an_exactly_sufficient_set_the_plan_does_not_run(
    approvals: list[Approval], data: st.DataObject
) -> None:
    if not may_run(approvals):
        return
    exact = list(approvals)
    for signed in approvals:
        fewer = [kept for kept in exact if kept is not signed]
        if may_run(fewer):
            exact = fewer

    gone = data.draw(st.sampled_from(exact))

    assert len(exact) == 2
    assert not may_run([kept for kept in exact if kept is not gone])


@given(SOME_RECORDS, st.randoms(use_true_random=False))
def test_the_order_of_the_files_decides_nothing(approvals: list[Approval], random: Any) -> None:
    shuffled = list(approvals)
    random.shuffle(shuffled)

    assert may_run(shuffled) == may_run(approvals)


def test_before_the_window_the_same_people_stand_as_in_it() -> None:
    before = weighed(ENOUGH, now=OPENS - timedelta(days=1))

    assert before.is_complete


def test_the_only_approver_may_not_apply_alone() -> None:
    trust = replace(TRUST, rules={"normal": builders.make_rule(approvals=(Row(INFORMATION, 1),), people=1)})
    standing = weigh(PLAN, trust, [says(INFORMATICIAN, INFORMATION)], TESTS, NOW)

    with pytest.raises(Refused) as refusal:
        authorize(standing, applier=INFORMATICIAN, commit="c0ffee", trust_version=1)

    assert refusal.value.code == "applier-only-approver"
    assert authorize(standing, applier=ENGINEER, commit="c0ffee", trust_version=1).people == (INFORMATICIAN,)
