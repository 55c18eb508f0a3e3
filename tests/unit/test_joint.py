"""Several releases in one request: which comes first, what may follow what, and what works beside what."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from builders import CHANGE, make_host, make_release, make_request, plan_of
from fakes import Hospital
from upgrader import lab
from upgrader.adapters import documents
from upgrader.domain.changes.joint import Half, JointPart, check_works_with, in_order, servers_first, way_between
from upgrader.domain.changes.late import Workstation
from upgrader.domain.changes.plan import Plan, read_plan
from upgrader.domain.digest import Digest
from upgrader.domain.errors import BadInput, Refused
from upgrader.domain.hospital.dependency import Graph
from upgrader.domain.hospital.system import Criticality, Hours, System, Tier
from upgrader.domain.names import ChangeId, HostName, SystemId, Version
from upgrader.domain.releases.release import Release
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.applying.comes_after import as_left_by, check_comes_after
from upgrader.flow.approval.together import check_one_after_the_other
from upgrader.flow.closing.soak import soak_change

HIS, LIS, CASHIER = SystemId("his"), SystemId("lis"), SystemId("cashier")
NEXT = ChangeId("CHG-2026-0143")


def described(id: str, *needs: str, stands_in_for: str | None = None) -> System:
    return System(
        id=SystemId(id),
        number=1,
        name={"zh": id, "en": id},
        tiers=(Tier.WEB,),
        clients=(),
        hours=Hours.ALWAYS,
        criticality=Criticality.AT_ONCE,
        depends_on=tuple(map(SystemId, needs)),
        stands_in_for=SystemId(stands_in_for) if stands_in_for else None,
    )


def release(system: str, version: str, *follows: str, **others: object) -> Release:
    return make_release(system=SystemId(system), version=Version(version), follows=follows or ("",), **others)


def hospital() -> Graph:
    return Graph.of([described("his"), described("lis", "his"), described("cashier", stands_in_for="his")])


def test_what_others_stand_on_comes_first_and_older_versions_before_newer_ones() -> None:
    asked = [release("lis", "10", "9"), release("lis", "9", "8"), release("his", "2", "1")]

    ordered = in_order(asked, hospital())

    assert [one.name for one in ordered] == ["his 2", "lis 9", "lis 10"]


def test_all_servers_go_before_any_workstations_and_what_is_left_whole_is() -> None:
    both, servers, stations = (Half.SERVERS, Half.WORKSTATIONS), (Half.SERVERS,), (Half.WORKSTATIONS,)
    pc = SystemId("pc")

    def steps(halves: dict[SystemId, tuple[Half, ...]], *asked: Release) -> list[str]:
        return [f"{one.system} {one.version} {half or 'all'}" for one, half in servers_first(asked, halves)]

    his, lis, cashier = release("his", "2"), release("lis", "2"), release("cashier", "2")
    assert steps({HIS: both, LIS: both}, his, lis) == ["his 2 servers", "lis 2 all", "his 2 workstations"]
    assert steps({HIS: both, LIS: servers}, his, lis) == ["his 2 servers", "lis 2 all", "his 2 workstations"]
    assert steps({HIS: servers, LIS: both}, his, lis) == ["his 2 all", "lis 2 all"]
    assert steps({HIS: both, pc: stations, LIS: servers}, his, release("pc", "2"), lis) == [
        *("his 2 servers", "lis 2 all", "his 2 workstations", "pc 2 all")
    ]
    assert steps({HIS: both, LIS: both, CASHIER: both}, his, lis, cashier) == [
        *("his 2 servers", "lis 2 servers", "cashier 2 all", "his 2 workstations", "lis 2 workstations")
    ]
    assert steps({}, his, lis) == ["his 2 all", "lis 2 all"]  # nothing is known
    assert steps({pc: stations}, release("pc", "2")) == ["pc 2 all"]


def test_workstations_go_with_their_servers_in_a_chain_and_where_the_vendor_wants_them_first() -> None:
    both = {HIS: tuple(Half), LIS: tuple(Half)}
    chain = [release("his", "2"), release("his", "3", "2"), release("lis", "2")]
    turned = [release("his", "2", clients_first=True), release("lis", "2")]

    assert [half for _, half in servers_first(chain, both)] == [None, None, None]
    assert [half for _, half in servers_first(turned, both)] == [None, None]


def test_a_link_that_may_not_follow_the_one_before_it_is_refused() -> None:
    with pytest.raises(Refused, match="chain-link"):
        in_order([release("lis", "2", "1"), release("lis", "4", "3")], hospital())


def test_a_system_and_its_stand_in_are_never_in_one_request() -> None:
    with pytest.raises(Refused, match="joint-stand-in"):
        in_order([release("his", "2", "1"), release("cashier", "2", "1")], hospital())


def test_one_release_is_not_asked_for_twice() -> None:
    with pytest.raises(BadInput, match="release-twice"):
        in_order([release("lis", "2", "1"), release("lis", "2", "1")], hospital())


def test_the_way_between_two_versions_is_the_shortest_that_releases_declare() -> None:
    wanted = release("lis", "4", "3.*")
    staged = [release("lis", "2", "1"), release("lis", "3.0", "2"), release("lis", "3.1", "1", "2"), wanted]

    assert [one.version for one in way_between("1", wanted, staged)] == ["3.1", "4"]
    assert way_between("3.1", wanted, staged) == (wanted,)
    with pytest.raises(Refused, match="chain-no-way"):
        way_between("0", wanted, staged)


def test_what_runs_beside_a_release_is_among_what_it_declares() -> None:
    declares = release("lis", "2", "1", works_with={HIS: ("5.*",)})

    check_works_with([declares], {HIS: frozenset({"5.1"})})
    check_works_with([declares], {})  # nobody knows what runs
    with pytest.raises(Refused, match="works-with-not"):
        check_works_with([declares], {HIS: frozenset({"4.9", "5.1"})})


def joint_plan(place: int) -> Plan:
    parts = (
        JointPart(CHANGE, SystemId("exam-scheduling"), Version("3.5.10")),
        JointPart(NEXT, SystemId("exam-scheduling"), Version("3.6.0")),
    )
    part = parts[place]
    version = {"release": make_release(version=part.version, keep=1)}
    return plan_of(request=make_request(change=part.change, version=part.version, joint=parts), **version)


def test_a_later_link_keeps_every_version_of_the_chain_on_the_host() -> None:
    assert (joint_plan(0).release.keep, joint_plan(1).release.keep) == (1, 3)


def test_a_plan_holds_all_joint_changes_in_order_and_reads_back() -> None:
    plan = joint_plan(1)

    assert read_plan(plan.to_bytes()) == plan
    assert [part.change for part in plan.joint or ()] == [CHANGE, NEXT]
    assert next(note for note in plan.notes if note.code == "joint").fields["place"] == "2"


def test_a_plan_alone_says_nothing_of_joint_changes() -> None:
    assert b'"joint"' not in plan_of().to_bytes()
    assert b"comes_after" not in plan_of().to_bytes()


def test_a_later_link_is_planned_for_what_the_link_before_leaves() -> None:
    before = plan_of()
    seen = {str(host.name): host.installed for host in before.hosts} | {"host-02": "9.9", "host-03": "unknown"}

    left = as_left_by([before], "exam-scheduling", seen)

    assert (left["host-01"], left["host-02"], left["host-03"]) == ("3.5.10", "9.9", "unknown")
    assert as_left_by([before], "lis", seen) == seen


def test_the_third_link_is_planned_over_the_second_while_hosts_run_what_was_before_the_first() -> None:
    first = plan_of()
    second = plan_of(
        request=make_request(version=Version("4")),
        release=make_release(version=Version("4"), follows=("3.5.10",)),
        hosts=[replace(host, installed="3.5.10") for host in first.hosts],
    )
    before = {str(host.name): host.installed for host in first.hosts}

    assert set(as_left_by([first, second], "exam-scheduling", before).values()) == {"4"}
    assert set(as_left_by([first, second], "exam-scheduling", dict.fromkeys(before, "3.5.10")).values()) == {"4"}


def test_a_later_change_waits_until_the_one_before_it_was_found_stable_by_the_plan_that_it_names() -> None:
    hospital = Hospital()
    joint = (part_of(hospital.plan), JointPart(NEXT, HIS, Version("6")))
    later = replace(hospital.plan, change=NEXT, joint=joint, comes_after=hospital.plan.digest)

    assert refusal(hospital, later) == "joint-not-stable"  # nothing ran yet
    apply_change(hospital.site(), CHANGE, hospital.progress)
    assert refusal(hospital, later) == "joint-not-stable"  # it is still watched
    hospital.clock.now += timedelta(days=1)
    soak_change(hospital.site(), CHANGE, hospital.progress, wait=True)
    assert refusal(hospital, later) == ""
    assert refusal(hospital, replace(later, comes_after=Digest.of(b"another plan"))) == "joint-not-stable"


def test_a_plan_that_names_another_plan_than_the_one_before_it_is_not_signed_together() -> None:
    first, second = joint_plan(0), joint_plan(1)

    check_one_after_the_other([first, replace(second, comes_after=first.digest)])
    with pytest.raises(Refused, match="joint-plan-replaced"):
        check_one_after_the_other([first, replace(second, comes_after=Digest.of(b"another plan"))])


def refusal(hospital: Hospital, plan: Plan) -> str:
    try:
        check_comes_after(hospital.site(), plan)
    except Refused as error:
        return error.code
    return ""


def part_of(plan: Plan) -> JointPart:
    return JointPart(plan.change, plan.release.system, plan.release.version)


def test_servers_go_before_workstations_unless_the_vendor_says_otherwise() -> None:
    station = replace(make_host(3), name=HostName("station-01"), workstation=Workstation(None, None))
    hosts = [make_host(1), make_host(2), station]

    usual = [name for wave in plan_of(hosts=hosts).waves for name in wave.hosts]
    turned = [
        name for wave in plan_of(hosts=hosts, release=make_release(clients_first=True)).waves for name in wave.hosts
    ]

    assert usual == ["host-01", "host-02", "station-01"]
    assert turned == ["station-01", "host-01", "host-02"]


def test_a_joint_request_is_written_and_read_back() -> None:
    parts = (
        JointPart(CHANGE, SystemId("exam-scheduling"), Version("3.5.10")),
        JointPart(NEXT, LIS, Version("2.0"), Half.SERVERS),
    )
    both = (*parts, JointPart(ChangeId("CHG-2026-0144"), LIS, Version("2.0"), Half.WORKSTATIONS))
    request = make_request(joint=both)

    assert documents.read_request(documents.write_request(request).encode(), "request.yml") == request
    with pytest.raises(BadInput):
        documents.write_request(make_request(joint=both[1:]))
    with pytest.raises(BadInput):  # nobody would bring it to the workstations
        documents.write_request(make_request(joint=parts))


def test_a_release_says_what_it_works_with_and_who_goes_first() -> None:
    text = (Path(lab.__file__).parent / "vendor" / "release.yml.in").read_text(encoding="utf-8")
    facts = {
        "follows": '["1"]',
        "archive_size": "1",
        "notes_size": "1",
        "released": "2026-11-01",
        "archive": "a.tar.gz",
    }
    for name in ("version", "summary_zh", "summary_en"):
        text = text.replace(f"@{name}@", "2.0")
    for name, value in facts.items():
        text = text.replace(f"@{name}@", value)
    text = re.sub("@[a-z0-9_]+@", "0" * 64, text)

    read = documents.read_release(f'{text}works_with: {{his: ["5.*"]}}\nclients_first: true\n'.encode(), "release.yml")

    assert (read.works_with, read.clients_first) == ({HIS: ("5.*",)}, True)
    for wrong in ('works_with: {his: [""]}', 'works_with: {his: ["*"]}', "works_with: {his: 5}"):
        with pytest.raises(BadInput):
            documents.read_release(f"{text}{wrong}\n".encode(), "release.yml")
