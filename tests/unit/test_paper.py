"""A word on paper counts only where the policy says so, attested by somebody else, and never carries a change alone."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import builders
from builders import (
    BOTH,
    CLOSES,
    DEPARTMENT,
    HEAD,
    INFORMATICIAN,
    INFORMATION,
    NOW,
    REQUESTER,
    SIGNED,
    make_approval,
    make_person,
    make_role,
    make_rule,
    make_trust,
    signed_approval,
    signed_tests,
)
from upgrader.domain import plain
from upgrader.domain.approval.authorization import Signed, Standing, authorize, weigh
from upgrader.domain.approval.record import (
    NAMESPACES,
    ApprovalRecord,
    Decision,
    PaperRecord,
    ScanType,
    hand_of,
    read_any_record,
    record_name,
    scan_name,
    write_record,
)
from upgrader.domain.approval.trust import Organisation, PaperRule, Person, Role, Row, Trust, read_trust, weaknesses
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused
from upgrader.domain.names import ChangeId, PersonId, RoleId, SiteId
from upgrader.domain.papers.paper import LARGEST_SCAN, PlanCode, check_codes, check_scan, scan_type

CUSTODIANS = Role(name={"zh": "表单保管人", "en": "Form custodian"}, organisation=Organisation.HOSPITAL)
PLAN = builders.plan_of()
CODE = PlanCode.of(PLAN)
SCAN = b"%PDF-1.7 a form with two signatures"
CUSTODY = RoleId("form-custodian")
CUSTODIAN, KEEPER = PersonId("he.ping"), PersonId("qian.duo")
ON_PAPER = PersonId("gao.yuan")  # signs on paper only: a department head without a key
LATER = SIGNED + timedelta(hours=1)


def trust_with(people: Sequence[Person] = (), **changes: Any) -> Trust:
    usual = make_trust()
    keyless = replace(make_person(ON_PAPER, Organisation.HOSPITAL, DEPARTMENT), keys=())
    custodians = (
        make_person(CUSTODIAN, Organisation.HOSPITAL, CUSTODY, INFORMATION),
        make_person(KEEPER, Organisation.HOSPITAL, CUSTODY),
    )
    fields: dict[str, Any] = {
        "roles": {**usual.roles, CUSTODY: make_role("申请单保管人", "custodian of forms", Organisation.HOSPITAL)},
        "people": people or (*usual.people, keyless, *custodians),
        "paper": PaperRule(CUSTODY, (DEPARTMENT,)),
    }
    return replace(usual, **{**fields, **changes})


TRUST = trust_with()


def paper(person: str = ON_PAPER, role: str = DEPARTMENT, custodian: str = CUSTODIAN, **changes: Any) -> PaperRecord:
    own = make_approval(PLAN, person, role)
    fields = {name: getattr(own, name) for name in ApprovalRecord.__dataclass_fields__}
    attested: dict[str, Any] = {
        "format": PaperRecord.FORMAT,
        "custodian": PersonId(custodian),
        "custodian_role": CUSTODY,
        "scan": Digest.of(SCAN),
        "scan_type": ScanType.PDF,
        "nonce": Digest.of(f"{person} {role} {custodian} {sorted(changes.items())}".encode()).hex[:32],
    }
    return PaperRecord(**{**fields, **attested, **changes})


def on_paper(*arguments: str, **changes: Any) -> Signed[ApprovalRecord]:
    return signed_approval(paper(*arguments, **changes))


def by_key(person: str, role: str, **changes: Any) -> Signed[ApprovalRecord]:
    return signed_approval(make_approval(PLAN, person, role, **changes))


INFORMED = by_key(INFORMATICIAN, INFORMATION)


def weighed(*approvals: Signed[ApprovalRecord], trust: Trust = TRUST) -> Standing:
    return weigh(PLAN, trust, approvals, signed_tests(PLAN), NOW)


def refusal_of(*approvals: Signed[ApprovalRecord], trust: Trust = TRUST, applier: str = "liu.yang") -> str:
    standing = weighed(*approvals, trust=trust)
    with pytest.raises(Refused) as refusal:
        authorize(standing, applier=applier, commit="c0ffee", trust_version=1)
    return refusal.value.code


def left_out(standing: Standing) -> list[str]:
    return [fault.code for _, fault in standing.left_out]


def test_one_signs_on_paper_and_one_with_a_key() -> None:
    standing = weighed(INFORMED, on_paper())

    assert standing.is_complete
    assert authorize(standing, applier="liu.yang", commit="c0ffee", trust_version=1).people == (ON_PAPER, INFORMATICIAN)


NO_YES: dict[str, tuple[Signed[ApprovalRecord], str]] = {
    "a role without paper": (on_paper(BOTH, INFORMATION), "paper-not-allowed"),
    "attested by somebody without the role": (on_paper(ON_PAPER, DEPARTMENT, INFORMATICIAN), "paper-not-custodian"),
    "attested by a stranger": (on_paper(ON_PAPER, DEPARTMENT, "sun.wu"), "paper-not-custodian"),
    "attested in another role": (on_paper(custodian_role=INFORMATION), "paper-not-custodian"),
    "attested by who is no longer active": (on_paper(ON_PAPER, DEPARTMENT, builders.RETIRED), "paper-not-custodian"),
    "a yes without a scan": (on_paper(scan=None, scan_type=None), "paper-without-scan"),
    "the requester's own": (on_paper(REQUESTER, DEPARTMENT), "role-not-held"),
    "in a role that the signer does not hold": (on_paper(INFORMATICIAN, DEPARTMENT), "role-not-held"),
    "for another plan": (on_paper(plan=Digest.of(b"other")), "plan-digest"),
    "of a past week": (on_paper(issued=SIGNED, expires=NOW), "approval-expired"),
}


@pytest.mark.parametrize(("yes", "code"), NO_YES.values(), ids=NO_YES)
def test_a_paper_that_does_not_count_is_left_out_and_said(yes: Signed[ApprovalRecord], code: str) -> None:
    standing = weighed(INFORMED, yes)

    assert left_out(standing) == [code]
    assert not standing.is_complete


def test_without_a_word_on_paper_in_the_policy_no_paper_counts() -> None:
    standing = weighed(INFORMED, on_paper(), trust=replace(TRUST, paper=None))

    assert left_out(standing) == ["paper-not-allowed"]


def test_nobody_attests_their_own_signature() -> None:
    people = (*TRUST.people, make_person(PersonId("wu.di"), Organisation.HOSPITAL, CUSTODY, DEPARTMENT))

    standing = weighed(INFORMED, on_paper("wu.di", DEPARTMENT, "wu.di"), trust=trust_with(people))

    assert left_out(standing) == ["paper-own-word"]


def test_the_requester_attests_nothing_under_their_own_request() -> None:
    people = tuple(
        make_person(REQUESTER, Organisation.HOSPITAL, CUSTODY) if person.id == REQUESTER else person
        for person in TRUST.people
    )

    standing = weighed(INFORMED, on_paper(ON_PAPER, DEPARTMENT, REQUESTER), trust=trust_with(people))

    assert left_out(standing) == ["paper-by-requester"]


def test_the_custodian_who_approves_leaves_the_paper_to_another() -> None:
    own = by_key(CUSTODIAN, INFORMATION)

    assert left_out(weighed(own, on_paper())) == ["paper-custodian-approved"]
    assert weighed(own, on_paper(ON_PAPER, DEPARTMENT, KEEPER)).is_complete


def test_paper_alone_authorizes_nothing() -> None:
    all_on_paper = trust_with(paper=PaperRule(CUSTODY, (DEPARTMENT, INFORMATION)))
    papers = (on_paper(), on_paper(INFORMATICIAN, INFORMATION))

    assert not weighed(*papers, trust=all_on_paper).is_complete
    assert refusal_of(*papers, trust=all_on_paper) == "paper-alone"


def test_whoever_attested_and_applies_is_not_enough_with_one_signer_of_their_own() -> None:
    """The applier's own key under the one approval: paper of another person does not make a second pair of hands."""
    one = replace(TRUST, rules={"normal": make_rule(approvals=(Row(INFORMATION, 1),), people=1)})

    assert refusal_of(INFORMED, trust=one, applier=INFORMATICIAN) == "applier-only-approver"


# ------------------------------------------------------------------------------------------- words that are taken back


def test_a_yes_on_paper_is_taken_back_by_its_custodian_for_its_author() -> None:
    withdrawal = on_paper(decision=Decision.WITHDRAW, scan=None, scan_type=None, issued=LATER)

    assert left_out(weighed(INFORMED, on_paper(), withdrawal)) == ["approval-withdrawn"]


def test_a_no_on_paper_outlives_the_custodian_who_wrote_it_down() -> None:
    gone = tuple(replace(person, active=person.active and person.id != CUSTODIAN) for person in TRUST.people)
    no = on_paper(decision=Decision.REJECT, scan=None, scan_type=None)

    assert weighed(INFORMED, by_key(HEAD, DEPARTMENT), no, trust=trust_with(gone)).rejected_by == (ON_PAPER,)
    assert left_out(weighed(INFORMED, on_paper(), trust=trust_with(gone))) == ["paper-not-custodian"]


def test_a_no_on_paper_blocks_without_a_scan() -> None:
    no = on_paper(decision=Decision.REJECT, scan=None, scan_type=None, issued=LATER)

    assert refusal_of(INFORMED, by_key(HEAD, DEPARTMENT), no) == "plan-rejected"


@pytest.mark.parametrize(
    ("no", "back", "lifted"),
    [
        ("paper", {}, True),
        ("paper", {"scan": None, "scan_type": None}, False),
        ("key", {}, False),
    ],
    ids=["paper by paper", "paper by hearsay", "a key's by paper"],
)
def test_a_no_is_lifted_on_paper_only_where_it_was_said_on_paper(
    no: str, back: dict[str, Any], *, lifted: bool
) -> None:
    said = {"decision": Decision.REJECT}
    rejection = by_key(HEAD, DEPARTMENT, **said) if no == "key" else on_paper(HEAD, DEPARTMENT, **said)
    withdrawal = on_paper(HEAD, DEPARTMENT, decision=Decision.WITHDRAW, issued=LATER, **back)

    assert weighed(INFORMED, by_key(BOTH, DEPARTMENT), rejection, withdrawal).is_complete is lifted


# ----------------------------------------------------------------------------------------------- the record, the policy


def test_a_paper_record_is_its_own_kind_under_its_own_namespace() -> None:
    record = paper()

    again = read_any_record(write_record(record), record_name(record))

    assert again == record
    assert type(again) is PaperRecord
    assert NAMESPACES[PaperRecord] not in {NAMESPACES[kind] for kind in NAMESPACES if kind is not PaperRecord}
    assert hand_of(record) == CUSTODIAN
    assert scan_name(record) == record_name(record).replace(".json", ".pdf")


def test_a_withdrawal_without_a_scan_is_read_back_too() -> None:
    record = paper(decision=Decision.WITHDRAW, scan=None, scan_type=None)

    assert read_any_record(write_record(record), record_name(record)) == record
    assert b"scan" not in write_record(record)


def test_a_trust_file_without_paper_says_nothing_of_it() -> None:
    assert b"paper" not in make_trust().to_bytes()
    assert read_trust(TRUST.to_bytes(), "trust.1.json") == TRUST


WEAK: dict[str, tuple[Trust, str]] = {
    "no role on paper": (trust_with(paper=PaperRule(CUSTODY, ())), "paper.roles: empty"),
    "the custodian's own role on paper": (trust_with(paper=PaperRule(CUSTODY, (CUSTODY,))), "attests paper"),
    "a vendor's role on paper": (trust_with(paper=PaperRule(CUSTODY, (builders.VENDOR_TESTER,))), "not a role of the"),
    "a custodian of the vendor": (trust_with(paper=PaperRule(builders.VENDOR_TESTER, (DEPARTMENT,))), "not a role of"),
    "nobody to attest": (
        trust_with(tuple(person for person in TRUST.people if CUSTODY not in person.roles)),
        "nobody active with a key",
    ),
    "nobody with a key": (
        trust_with(
            tuple(replace(p, keys=p.keys if p.id == KEEPER else ()) for p in TRUST.people),
            paper=PaperRule(CUSTODY, (DEPARTMENT, INFORMATION)),
        ),
        "paper alone never",
    ),
    "acceptance on paper": (
        trust_with(tuple(replace(p, keys=() if DEPARTMENT in p.roles else p.keys) for p in TRUST.people)),
        "acceptance: not enough",
    ),
}


@pytest.mark.parametrize(("trust", "fault"), WEAK.values(), ids=WEAK)
def test_a_policy_under_which_paper_protects_nobody_is_refused(trust: Trust, fault: str) -> None:
    assert [told for told in weaknesses(trust) if fault in told]


def test_a_person_without_a_key_fills_a_row_where_paper_is_enough() -> None:
    only_on_paper = tuple(
        replace(p, active=p.active and (p.id == ON_PAPER or DEPARTMENT not in p.roles)) for p in TRUST.people
    )
    accepts = make_rule(acceptance=(Row(INFORMATION, 1),))

    assert weaknesses(trust_with(only_on_paper, rules={"normal": accepts})) == []


# --------------------------------------------------------------------------------------------------- the code, the scan


def test_the_code_names_site_change_revision_and_plan() -> None:
    assert str(CODE) == f"upgrader:1:renmin-hospital:CHG-2026-0142:1:{PLAN.digest.hex}"
    check_codes([str(CODE), str(CODE), "https://archive.example/7"], PLAN, "scan.pdf")


NOT_THIS: dict[str, tuple[list[str], str]] = {
    "nothing": ([], "scan-without-code"),
    "an archive's own code only": (["https://archive.example/7"], "scan-without-code"),
    "two forms": ([str(CODE), str(replace(CODE, revision=2))], "scan-codes-differ"),
    "another hospital": ([str(replace(CODE, site=SiteId("xiehe")))], "scan-other-change"),
    "another change": ([str(replace(CODE, change=ChangeId("CHG-2026-0143")))], "scan-other-change"),
    "another revision": ([str(replace(CODE, revision=2))], "scan-other-plan"),
    "another plan": ([str(replace(CODE, plan=Digest.of(b"other")))], "scan-other-plan"),
    "a version of the code from the future": ([str(CODE).replace(":1:", ":2:", 1)], "scan-code-unknown"),
    "a digest cut short": ([str(CODE)[:-1]], "scan-code-unknown"),
    "a revision with a nought before it": (
        [str(CODE).replace(":1:sha", ":01:sha").replace("0142:1", "0142:01")],
        "scan-code-unknown",
    ),
}


@pytest.mark.parametrize(("texts", "code"), NOT_THIS.values(), ids=NOT_THIS)
def test_a_scan_of_anything_else_is_refused(texts: list[str], code: str) -> None:
    with pytest.raises(Refused) as refusal:
        check_codes(texts, PLAN, "scan.pdf")

    assert refusal.value.code == code


@given(st.text(max_size=120) | st.text(max_size=100).map(lambda text: f"upgrader:1:{text}"))
def test_a_code_has_one_spelling(text: str) -> None:
    try:
        code = PlanCode.parse(text)
    except ValueError:
        return

    assert str(code) == text


def test_a_scan_is_known_by_its_bytes_and_has_a_size() -> None:
    assert scan_type(SCAN, "x") is ScanType.PDF
    assert scan_type(b"\xff\xd8\xff\xe0", "x") is ScanType.JPEG
    for content, code in (
        (b"", "scan-not-readable"),
        (b"MZ\x90", "scan-not-readable"),
        (b"%PDF-" + bytes(LARGEST_SCAN), "scan-too-large"),
    ):
        with pytest.raises(Refused) as refusal:
            scan_type(content, "x")
        assert refusal.value.code == code


RECORD = paper()
PATH = f"approvals/{PLAN.change}/{record_name(RECORD)}"
BESIDE = PATH.replace(".json", ".pdf")
OTHER_SCANS: dict[str, dict[str, bytes]] = {
    "none": {},
    "another": {BESIDE: b"%PDF-1.7 another form"},
    "one more": {BESIDE: SCAN, BESIDE.replace(".pdf", ".png"): b"\x89PNG"},
    "the same under another ending": {BESIDE.replace(".pdf", ".png"): SCAN},
}


@pytest.mark.parametrize("files", OTHER_SCANS.values(), ids=OTHER_SCANS)
def test_beside_a_record_lies_exactly_the_scan_that_it_names(files: dict[str, bytes]) -> None:
    check_scan(RECORD, PATH, {PATH: b"", BESIDE: SCAN})

    with pytest.raises(Refused) as refusal:
        check_scan(RECORD, PATH, files)

    assert refusal.value.code == "paper-scan-differs"


def test_a_record_without_a_scan_has_none_beside_it() -> None:
    record = paper(decision=Decision.WITHDRAW, scan=None, scan_type=None)
    path = f"approvals/{PLAN.change}/{record_name(record)}"

    check_scan(record, path, {path: b""})
    with pytest.raises(Refused):
        check_scan(record, path, {path.replace(".json", ".pdf"): SCAN})


def test_the_facts_of_a_paper_record_are_those_of_the_plan() -> None:
    assert plain.to_plain(paper())["window"] == plain.to_plain(make_approval(PLAN, HEAD, DEPARTMENT))["window"]
    assert refusal_of(INFORMED, on_paper(hosts="1")) == "facts-differ"
    assert paper().expires == CLOSES
