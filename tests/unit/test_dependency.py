"""Which system needs which: the order of an upgrade, and what it affects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrader.domain.errors import BadInput
from upgrader.domain.hospital.dependency import Graph, Part, affected_by, order, parts_in_order
from upgrader.domain.hospital.system import Client, Criticality, Hours, System, Tier
from upgrader.domain.names import SystemId


def system(id: str, *needs: str, stands_in_for: str | None = None, client: Client | None = None) -> System:
    return System(
        id=SystemId(id),
        number=1,
        name={"zh": id, "en": id},
        tiers=(Tier.DATABASE, Tier.WEB),
        clients=(client,) if client else (),
        hours=Hours.ALWAYS,
        criticality=Criticality.AT_ONCE,
        depends_on=tuple(map(SystemId, needs)),
        stands_in_for=SystemId(stands_in_for) if stands_in_for else None,
    )


HOSPITAL = Graph.of(
    [
        system("cashier", "registration", client=Client.DESKTOP),
        system("registration", "users", client=Client.KIOSK),
        system("users"),
        system("lab", "cashier", client=Client.MOBILE),
        system("blood", "lab"),
        system("a-contingency-cashier", stands_in_for="cashier", client=Client.DESKTOP),
    ]
)
ALL = tuple(HOSPITAL.systems)


def test_what_others_stand_on_comes_first_and_a_stand_in_last() -> None:
    assert order(ALL, HOSPITAL) == ("users", "registration", "cashier", "lab", "blood", "a-contingency-cashier")


def test_the_order_holds_through_systems_that_are_not_asked_about() -> None:
    assert order([SystemId("blood"), SystemId("registration")], HOSPITAL) == ("registration", "blood")


def test_every_server_part_comes_before_the_first_client_and_stand_ins_after_both() -> None:
    parts = parts_in_order([SystemId("a-contingency-cashier"), SystemId("cashier"), SystemId("lab")], HOSPITAL)

    assert [f"{part.system} {part.part}" for part in parts] == [
        *("cashier web", "cashier db", "lab web", "lab db"),
        "cashier desktop",  # the laboratory's handhelds get theirs from the server
        *("a-contingency-cashier web", "a-contingency-cashier db", "a-contingency-cashier desktop"),
    ]
    assert parts[0] == Part(SystemId("cashier"), Tier.WEB)


def test_what_stands_on_a_system_is_affected_nearest_first() -> None:
    assert affected_by(SystemId("registration"), HOSPITAL) == ("cashier", "lab", "blood")
    assert affected_by(SystemId("blood"), HOSPITAL) == ()
    assert HOSPITAL.stand_ins(SystemId("cashier")) == ("a-contingency-cashier",)


@pytest.mark.parametrize(
    ("systems", "code", "told"),
    [
        ([system("a", "b"), system("b", "c"), system("c", "a")], "dependency-cycle", {"a → b → c → a"}),
        ([system("a", "a")], "dependency-cycle", {"a → a"}),
        ([system("a", "b"), system("b", stands_in_for="a")], "dependency-cycle", {"a → b → a", "b → a → b"}),
        ([system("a", "b")], "dependency-unknown", {"b"}),
        ([system("a", stands_in_for="b")], "dependency-unknown", {"b"}),
        ([system("a", stands_in_for="a")], "stand-in-for-itself", {"a"}),
        ([system("a"), system("a")], "system-twice", {"a"}),
    ],
)
def test_systems_that_do_not_fit_together_are_refused_by_name(systems: list[System], code: str, told: set[str]) -> None:
    with pytest.raises(BadInput) as refused:
        Graph.of(systems)

    assert refused.value.code == code
    rotations = {refused.value.fields.get("cycle"), refused.value.fields.get("found"), refused.value.fields["system"]}
    assert told & rotations or any(set(one.split(" → ")) == {"a", "b", "c"} for one in rotations if one)


def test_a_system_that_nobody_described_has_no_place() -> None:
    with pytest.raises(BadInput, match="system-unknown"):
        order([SystemId("x")], HOSPITAL)
    with pytest.raises(BadInput, match="system-unknown"):
        affected_by(SystemId("x"), HOSPITAL)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Each system needs only earlier ones, so there is no cycle; and some stand in for an earlier one."""
    count = draw(st.integers(1, 12))
    names = [f"s{n}" for n in draw(st.permutations(range(count)))]
    found = []
    for n, name in enumerate(names):
        needs = draw(st.lists(st.sampled_from(names[:n]), unique=True, max_size=3)) if n else []
        stands = draw(st.sampled_from([None, *names[:n]])) if n else None
        found.append(system(name, *needs, stands_in_for=stands))
    return Graph.of(found)


@given(graphs())
def test_any_order_keeps_every_need_and_affects_is_its_mirror(graph: Graph) -> None:
    ordered = order(graph.systems, graph)

    assert sorted(ordered) == sorted(graph.systems)
    for one in graph.systems:
        assert all(ordered.index(needed) < ordered.index(one) for needed in graph.needs(one))
        assert set(affected_by(one, graph)) == {
            other for other in graph.systems if other != one and one in _all_needs(other, graph)
        }


def _all_needs(system: SystemId, graph: Graph) -> set[SystemId]:
    needs = set(graph.systems[system].depends_on)
    return needs.union(*(_all_needs(one, graph) for one in needs))
