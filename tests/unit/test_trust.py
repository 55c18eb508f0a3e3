"""The trust file: rules that would protect nobody are refused when they are loaded, and people fill one place each."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import builders
from builders import (
    DEPARTMENT,
    INFORMATION,
    VENDOR_TESTER,
    make_emergency,
    make_key,
    make_person,
    make_rule,
    make_trust,
)
from upgrader.domain.approval.trust import (
    Organisation,
    Person,
    Root,
    Row,
    Rule,
    Trust,
    read_trust,
    shortages,
    unfilled,
    weaknesses,
)
from upgrader.domain.changes.request import Kind
from upgrader.domain.errors import Refused
from upgrader.domain.names import PersonId, RoleId

PEOPLE = make_trust().people
ROOT = ("ssh-ed25519 one", "ssh-ed25519 two")


def with_rule(**changes: Any) -> dict[str, Any]:
    return {"rules": {"normal": make_rule(**changes)}}


def with_emergency(**changes: Any) -> dict[str, Any]:
    return {"rules": {"normal": make_rule(), "emergency": make_emergency(**changes)}}


def with_person(person: Person) -> dict[str, Any]:
    return {"people": (*PEOPLE, person)}


def without_keys(*ids: PersonId) -> dict[str, Any]:
    return {"people": tuple(replace(p, keys=() if p.id in ids else p.keys) for p in PEOPLE)}


NEW_PERSON = PersonId("wu.gang")


def with_packager(person: PersonId) -> dict[str, Any]:
    (vendor,) = make_trust().vendors
    return {"vendors": (replace(vendor, packagers=(person,)),)}


WEAK: dict[str, tuple[dict[str, Any], str]] = {
    "no root signature is needed": ({"root": Root(0, ROOT)}, "root: the threshold"),
    "a negative threshold": ({"root": Root(-1, ROOT)}, "root: the threshold"),
    "more root signatures than keys": ({"root": Root(3, ROOT)}, "root: the threshold"),
    "one root key written twice": ({"root": Root(2, (ROOT[0], ROOT[0]))}, "root: the threshold"),
    "no root keys": ({"root": Root(1, ())}, "root: the threshold"),
    "no rules": ({"rules": {}}, "there is no rule"),
    "one id for two people": (with_person(PEOPLE[0]), "an id stands twice"),
    "one key for two people": (
        with_person(replace(make_person(NEW_PERSON, Organisation.HOSPITAL), keys=PEOPLE[0].keys)),
        "li.na and wu.gang have the same key",
    ),
    "one key under another comment": (
        with_person(
            replace(
                make_person(NEW_PERSON, Organisation.HOSPITAL),
                keys=(replace(PEOPLE[0].keys[0], public="ssh-ed25519 lina other-comment"),),
            )
        ),
        "li.na and wu.gang have the same key",
    ),
    "a vendor with a person's key": (
        {"vendors": (replace(make_trust().vendors[0], keys=PEOPLE[0].keys),)},
        "li.na and kangjian-software have the same key",
    ),
    "a role that nobody defined": (
        with_person(make_person(NEW_PERSON, Organisation.HOSPITAL, RoleId("owner"))),
        "not in roles",
    ),
    "a vendor's person in a hospital role": (
        with_person(make_person(NEW_PERSON, Organisation.VENDOR, INFORMATION)),
        "may not hold the hospital role",
    ),
    "an engineer in a hospital role": (
        with_person(make_person(NEW_PERSON, Organisation.MAINTENANCE, DEPARTMENT)),
        "may not hold the hospital role",
    ),
    "a stranger vouches for a vendor": (with_packager(NEW_PERSON), "is not in people"),
    "the hospital vouches for a vendor": (with_packager(builders.HEAD), "of the hospital and may not vouch"),
    "a kind that does not exist": ({"rules": {"urgent": make_rule()}}, "not a kind of change"),
    "nobody approves": (with_rule(approvals=()), "approvals: empty"),
    "nobody accepts": (with_rule(acceptance=()), "acceptance: empty"),
    "a row of nobody": (with_rule(approvals=(Row(INFORMATION, 0), Row(DEPARTMENT, 1))), "approvals: a count below 1"),
    "acceptance by nobody": (with_rule(acceptance=(Row(DEPARTMENT, 0),)), "acceptance: a count below 1"),
    "an unknown role approves": (with_rule(approvals=(Row(RoleId("owner"), 1),)), "unknown role owner"),
    "more people than there are": (with_rule(approvals=(Row(DEPARTMENT, 3),), people=3), "not enough active people"),
    "people without keys": (without_keys(builders.HEAD, builders.BOTH), "not enough active people"),
    "no hospital role approves": (
        with_rule(approvals=(Row(VENDOR_TESTER, 1),), people=1),
        "nothing may change without the hospital",
    ),
    "one person could meet two rows": (with_rule(people=1), "one person could meet two rows alone"),
    "an emergency without a debt": (with_emergency(debt_hours=None), "debt_hours: must be between 1 and 168"),
    "an emergency with a debt of a month": (with_emergency(debt_hours=720), "debt_hours: must be between 1 and 168"),
    "an emergency at any time": (with_emergency(window_hours=None), "window_hours: must be between 1 and 24"),
    "an emergency signed for a fortnight": (with_emergency(approval_hours=336), "approval_hours: must be between"),
    "an emergency that owes nothing": ({"rules": {"emergency": make_emergency()}}, "there is no normal rule"),
    "a debt of a normal change": (with_rule(debt_hours=72), "only an emergency has a debt"),
    "approvals that never count": (with_rule(approval_hours=0), "approval_hours"),
}


@pytest.mark.parametrize(("changes", "fault"), WEAK.values(), ids=WEAK)
def test_rules_that_would_not_protect_the_hospital_are_refused(changes: dict[str, Any], fault: str) -> None:
    weak = make_trust(**changes)

    assert any(fault in found for found in weaknesses(weak)), weaknesses(weak)
    with pytest.raises(Refused) as refusal:
        read_trust(weak.to_bytes(), "trust.1.json")
    assert refusal.value.code == "trust-weak"


def test_the_rules_of_a_well_kept_hospital_have_no_weakness() -> None:
    assert weaknesses(make_trust()) == []


def test_an_emergency_asks_for_less_and_is_no_weakness() -> None:
    assert weaknesses(make_trust(**with_emergency())) == []


def test_a_rule_whose_only_signers_lost_their_keys_is_short_of_people_and_no_weakness() -> None:
    lost = replace(PEOPLE[2], keys=(replace(PEOPLE[2].keys[0], revoked=builders.NOW),))
    others = [person for person in PEOPLE if person.id not in (builders.HEAD, builders.BOTH)]
    trust = make_trust(people=(*others, lost))

    assert weaknesses(trust) == []
    assert list(shortages(trust, builders.NOW - timedelta(seconds=1))) == []
    assert list(shortages(trust, builders.NOW)) == [("normal", (Row(DEPARTMENT, 1),))]


def test_two_keys_of_one_person_are_no_weakness() -> None:
    careful = replace(PEOPLE[0], keys=(make_key("one"), make_key("two")))

    assert weaknesses(make_trust(people=(careful, *PEOPLE[1:]))) == []


@pytest.mark.parametrize("edit", [(b"trust/1", b"trust/2"), (b'"version": 1', b'"version": "1"'), (b"\n}\n", b"\n}")])
def test_a_trust_file_in_any_other_form_is_refused(edit: tuple[bytes, bytes]) -> None:
    content = make_trust().to_bytes()
    assert edit[0] in content

    with pytest.raises(Refused):
        read_trust(content.replace(*edit), "trust.1.json")


def test_a_kind_of_change_without_a_rule_is_not_allowed() -> None:
    with pytest.raises(Refused) as refusal:
        make_trust().rule(Kind.EMERGENCY)

    assert refusal.value.code == "kind-without-rule"
    assert refusal.value.fields["allowed"] == "normal"


def test_a_key_counts_from_its_first_moment_up_to_its_last_and_never_after_it_was_revoked() -> None:
    key = make_key("li.na")
    moment = timedelta(seconds=1)

    assert [key.is_valid(at) for at in (key.valid_from - moment, key.valid_from, key.valid_until)] == [
        False,
        True,
        False,
    ]
    revoked = replace(key, revoked=builders.NOW)
    assert [revoked.is_valid(at) for at in (builders.NOW - moment, builders.NOW)] == [True, False]


def test_nobody_is_found_under_a_name_that_is_not_there() -> None:
    trust: Trust = make_trust()

    assert trust.person("nobody") is None
    assert trust.vendor("nobody") is None


# ------------------------------------------------------------------------------------------ matching people to rows


def fewest_empty(rows: list[Row], holders: Mapping[PersonId, frozenset[RoleId]]) -> int:
    """The answer by trying every way in which people could take places."""
    places: list[RoleId | None] = [row.role for row in rows for _ in range(row.count)]
    seats = places + [None] * len(holders)
    best = len(places)
    for order in permutations(range(len(seats)), len(holders)):
        filled = sum(
            seats[seat] is not None and seats[seat] in holders[person]
            for person, seat in zip(holders, order, strict=True)
        )
        best = min(best, len(places) - filled)
    return best


ROLES = st.sampled_from([RoleId("a"), RoleId("b"), RoleId("c")])
ROWS = st.lists(st.builds(Row, ROLES, st.integers(1, 2)), max_size=2)
HOLDERS = st.dictionaries(
    st.sampled_from([PersonId(name) for name in ("p", "q", "r")]), st.frozensets(ROLES), max_size=3
)


@given(ROWS, HOLDERS)
def test_no_other_way_to_place_people_would_leave_fewer_places_empty(
    rows: list[Row], holders: dict[PersonId, frozenset[RoleId]]
) -> None:
    empty = unfilled(rows, holders)

    assert sum(row.count for row in empty) == fewest_empty(rows, holders)
    asked = [row.role for row in rows]
    assert all(row.role in asked for row in empty)


@given(ROWS, HOLDERS)
def test_one_more_person_never_leaves_more_places_empty(
    rows: list[Row], holders: dict[PersonId, frozenset[RoleId]]
) -> None:
    before = sum(row.count for row in unfilled(rows, holders))
    everything = frozenset(RoleId(role) for role in "abc")

    after = sum(row.count for row in unfilled(rows, {**holders, PersonId("z"): everything}))

    assert after == max(0, before - 1)


def test_whoever_can_fill_only_one_row_gets_it() -> None:
    rows = [Row(INFORMATION, 1), Row(DEPARTMENT, 1)]
    holders = {
        builders.BOTH: frozenset({INFORMATION, DEPARTMENT}),
        builders.INFORMATICIAN: frozenset({INFORMATION}),
    }

    assert unfilled(rows, holders) == ()


def test_one_person_in_two_roles_fills_one_place() -> None:
    rows = [Row(INFORMATION, 1), Row(DEPARTMENT, 1)]

    empty = unfilled(rows, {builders.BOTH: frozenset({INFORMATION, DEPARTMENT})})

    assert empty == (Row(DEPARTMENT, 1),)


def test_a_rule_names_what_it_needs() -> None:
    rule: Rule = make_trust().rule(Kind.NORMAL)

    assert [(row.role, row.count) for row in rule.approvals] == [(INFORMATION, 1), (DEPARTMENT, 1)]
