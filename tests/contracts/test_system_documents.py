"""The systems as people describe them: the reference site's fifty, and what is told of a description that is wrong."""

from pathlib import Path

import pytest

from upgrader.adapters.documents import read_release, read_systems
from upgrader.adapters.hosts.inventory import AnsibleInventory
from upgrader.adapters.hosts.known_systems import KnownSystems
from upgrader.adapters.site_template import inventory_files
from upgrader.domain.digest import Digest
from upgrader.domain.errors import BadInput
from upgrader.domain.hospital.dependency import Graph, order
from upgrader.domain.hospital.system import Client, Tier, group_of
from upgrader.domain.names import SystemId
from upgrader.domain.releases.release import Release, Strategy

ROOT = Path(__file__).parents[2]
FOLDER = "inventory/group_vars"
LIS = """\
upgrader_system:
  id: lis
  number: 32
  name: {zh: 检验, en: Laboratory}
  tiers: [web, db]
  clients: []
  hours: 24x7
  criticality: 1
  depends_on: []
other: "a variable of Ansible's"
"""


def reference() -> dict[str, bytes]:
    return {path: content for path, content in inventory_files(None).items() if path.startswith(FOLDER)}


def described(**files: str) -> Graph:
    return read_systems({f"{FOLDER}/{name}.yml": text.encode() for name, text in files.items()})


def test_the_reference_site_describes_the_fifty_systems() -> None:
    graph = read_systems(reference())

    assert sorted(system.number for system in graph.systems.values()) == list(range(1, 51))
    assert graph.systems[SystemId("lis")].name["zh"] == "实验室信息管理系统"
    assert order(graph.systems, graph)[0] == "unified-admin"
    assert order(graph.systems, graph)[-1] == "outpatient-emergency-billing"
    assert graph.stand_ins(SystemId("outpatient-billing")) == ("outpatient-emergency-billing",)


def test_every_part_of_the_fifty_has_a_host_in_the_reference_inventory(tmp_path: Path) -> None:
    """Handhelds have none: their program comes from the server."""
    hosts = AnsibleInventory(tmp_path).resolve(ROOT, "all")
    there = frozenset[str]().union(*(host.groups for host in hosts))

    for system in read_systems(reference()).systems.values():
        parts: list[Tier | str] = list(system.tiers)
        if set(system.clients) - {Client.MOBILE}:
            parts.append("clients")
        assert {f"{group_of(system.id)}_{part}" for part in parts} <= there
    assert {"main_campus", "east_campus", "ward_3", "servers", "workstations"} <= there


def test_what_a_file_said_is_remembered_until_it_says_something_else(tmp_path: Path) -> None:
    known = KnownSystems(tmp_path)
    files = {f"{FOLDER}/lis.yml": LIS.encode()}

    first, again = known(files), known(files)
    other = known({f"{FOLDER}/lis.yml": LIS.replace("Laboratory", "Lab").encode()})

    assert first == again == read_systems(files)
    assert other.systems[SystemId("lis")].name["en"] == "Lab"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("old", "new", "place", "code"),
    [
        ("id: lis", "id: ris", "2:7", "system-elsewhere"),
        ("hours: 24x7", "hours: always", "7:10", "wrong-value"),
        ("tiers: [web, db]", "tiers: [web, queue]", "5:16", "wrong-value"),
        ("tiers: [web, db]", "tiers: []", "5:10", "empty-not-allowed"),
        ("criticality", "criticallity", "8:3", "unknown-key"),
        ("  criticality: 1\n", "", "2:3", "missing-key"),
        ("depends_on: []", "depends_on: [lis]", "9:16", "dependency-cycle"),
        ("depends_on: []", "depends_on: [radiology]", "9:16", "dependency-unknown"),
        ("depends_on: []", "stands_in_for: lis", "9:18", "stand-in-for-itself"),
        ("en: Laboratory", "en: '{{ lookup(1) }}'", "4:23", "template-mark"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(old: str, new: str, place: str, code: str) -> None:
    assert old in LIS
    with pytest.raises(BadInput) as told:
        described(lis=LIS.replace(old, new))

    found = {(problem.place, problem.code) for problem in told.value.problems}
    assert (f"{FOLDER}/lis.yml:{place}", code) in found, found


def test_systems_that_need_each_other_are_named_in_their_circle() -> None:
    ris = LIS.replace("id: lis", "id: ris").replace("depends_on: []", "depends_on: [lis]")
    with pytest.raises(BadInput) as told:
        described(lis=LIS.replace("depends_on: []", "depends_on: [ris]"), ris=ris)

    (problem,) = told.value.problems
    assert dict(problem.fields)["cycle"] in ("lis → ris → lis", "ris → lis → ris")


def test_variables_of_a_group_that_is_no_system_are_ansibles() -> None:
    assert described(all="ansible_user: upgrader\n").systems == {}


def example_releases() -> dict[tuple[str, str], Release]:
    found = {}
    for path in sorted((ROOT / "releases").glob("*/*/release.yml")):
        release = read_release(path.read_bytes(), path.relative_to(ROOT).as_posix())
        found[path.parent.parent.name, path.parent.name] = release
    return found


def test_every_system_has_example_releases_by_the_kind_of_its_parts() -> None:
    releases = example_releases()

    for (system, version), release in releases.items():
        assert (release.system, release.version) == (system, version)
    for one in read_systems(reference()).systems.values():
        server = releases[one.id, "1.0.0"]
        assert server.strategy is (Strategy.ARCHIVE if Tier.WEB in one.tiers else Strategy.PACKAGE), one.id
        has_client = bool({Client.DESKTOP, Client.KIOSK} & set(one.clients))
        assert ((one.id, "1.0.0+client") in releases) is has_client, one.id
    assert {build.sha256 for release in releases.values() for build in release.builds} == {Digest("0" * 64)}
