"""The whole hospital: fifty systems, 3,000 workstations. `python -m benchmarks hospital`; CPU seconds, medians.

Each workstation has the clients of four systems. Hosts are not asked: what they run is given, as the gate has it from
the plan. The inventory was read by Ansible once before; each measurement starts with nothing in memory.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from benchmarks.cost import Cost, Meter
from upgrader.adapters.hosts.inventory import AnsibleInventory
from upgrader.adapters.site_template import inventory_files
from upgrader.domain.changes.plan import make_plan
from upgrader.domain.hospital.system import Client, group_of
from upgrader.domain.names import SystemId
from upgrader.flow.planning.materials import ChangeFiles, make_materials, read_change_files
from upgrader.flow.site import Site
from upgrader.flow.watching.described import graph_on
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import ENGINEER, Hospital
from upgrader.lab.janitor import temporary_lab
from upgrader.ports import Tree

WORKSTATIONS, SYSTEMS_EACH = 3_000, 4
BASE, GOOD = "3.1.9", "3.5.10"
RUNS = 5


def lines(meter: Meter) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, temporary_lab(Path(folder) / "lab", hosts=1) as lab:
        hospital = Hospital.build(Path(folder) / "hospital", lab, default_cache() / "lab-drop")
        hospital.install_by_hand(BASE)
        change = hospital.change_ready(GOOD)
        grow(hospital)
        site = hospital_site(hospital)
        snapshot = site.mirror.refresh()
        files = read_change_files(site, snapshot, change)
        with site.export(snapshot) as tree:
            first = meter.measure(lambda: site.inventory.resolve(tree.path, "all"))
            yield line("inventory of fifty systems, read by Ansible", first, "once for each inventory")
            night = Night(site, files, tree)
            yield line("plans of all fifty systems, inventory cached", typical(meter, night.plan_all), "goal 2.00")
            yield line("plan of one system on all of them", typical(meter, night.plan_widest), "goal 2.00")
        listed = typical(meter, lambda: hospital.upgrader(ENGINEER, "systems"))
        yield line("upgrader systems, from the start of Python", listed, "goal 1.00")


def line(what: str, cost: Cost, note: str) -> str:
    return f"{what:48} {cost.wall:7.2f} wall s {cost.cpu:7.2f} CPU s  {note}"


def typical(meter: Meter, act: Callable[[], object]) -> Cost:
    costs = [meter.measure(act) for _ in range(RUNS)]
    return sorted(costs, key=lambda cost: cost.cpu)[RUNS // 2]


class Night:
    """Plans for a change of each system, as `plan` and the gate make them once the hosts have answered."""

    def __init__(self, site: Site, files: ChangeFiles, tree: Tree) -> None:
        self._site, self._files, self._tree = site, files, tree
        self._snapshot = site.mirror.tip()
        self._trust = site.trust.load()

    def plan_all(self) -> None:
        graph = graph_on(self._site, self._snapshot)
        inventory = AnsibleInventory(self._site.state / "cache" / "inventory")
        planned = sum(self._plan(inventory, system, group_of(system)) for system in graph.systems)
        assert planned > WORKSTATIONS * SYSTEMS_EACH

    def plan_widest(self) -> None:
        inventory = AnsibleInventory(self._site.state / "cache" / "inventory")
        assert self._plan(inventory, SystemId("lis"), "many_stations") == WORKSTATIONS

    def _plan(self, inventory: AnsibleInventory, system: SystemId, group: str) -> int:
        """Bind and hash the plan of one system; how many hosts it has."""
        hosts = [host for host in inventory.resolve(self._tree.path, group) if host.platform != "windows"]
        request = replace(self._files.request, system=system, hosts=group)
        papers = replace(self._files.papers, release=replace(self._files.release, system=system))
        files = replace(self._files, request=request, papers=papers)
        installed = dict.fromkeys((host.name for host in hosts), BASE)
        made = make_plan(
            make_materials(self._site, self._trust, files, self._snapshot, self._tree, hosts, installed, 1)
        )
        assert made.digest
        return len(made.hosts)


def hospital_site(hospital: Hospital) -> Site:
    from upgrader.app import Choices, open_site

    return open_site(Choices(hospital.clone(ENGINEER), str(hospital.state), ENGINEER))


def grow(hospital: Hospital) -> None:
    """Push the reference inventory with thousands of workstations in it."""
    folder = hospital.clone(ENGINEER) / "inventory"
    reference = {path.removeprefix("inventory/"): content.decode() for path, content in inventory_files(None).items()}
    key = reference["known_hosts"].splitlines()[-1].split()[2]
    stations = {f"station-{n:04d}": f"10.1.{n // 250}.{n % 250 + 1}" for n in range(WORKSTATIONS)}
    reference["reference.yml"] = reference.pop("hosts.yml")  # the lab has a hosts.yml too
    reference["known_hosts"] += (folder / "known_hosts").read_text()
    reference["known_hosts"] += "".join(f"{address} ssh-ed25519 {key}\n" for address in stations.values())
    reference["stations.yml"] = stations_file(stations, desktop_groups(reference))
    for path, text in reference.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    hospital.git(ENGINEER, "pull", "--quiet")
    hospital.git(ENGINEER, "add", "--all", "inventory")
    hospital.git(ENGINEER, "commit", "--quiet", "--message", "a whole hospital")
    hospital.git(ENGINEER, "push", "--quiet")


def desktop_groups(reference: Mapping[str, str]) -> list[str]:
    from upgrader.adapters.documents import read_systems

    described = {f"inventory/{path}": text.encode() for path, text in reference.items() if "group_vars" in path}
    systems = read_systems(described).systems.values()
    return [f"{group_of(system.id)}_clients" for system in systems if Client.DESKTOP in system.clients]


def stations_file(stations: Mapping[str, str], groups: list[str]) -> str:
    """Each station once, and in the clients' groups of several systems, dealt out in turn."""
    text = ["all:", "  children:", "    many_stations:"]
    text += ["      vars: {upgrader_kind: workstation, upgrader_platform: uos}", "      hosts:"]
    text += [f"        {name}: {{ansible_host: {address}}}" for name, address in stations.items()]
    members: dict[str, list[str]] = {group: [] for group in groups}
    dealt = cycle(groups)
    for name in stations:
        for group in islice(dealt, SYSTEMS_EACH):
            members[group].append(name)
    for group, names in members.items():
        text += [f"    {group}:", "      hosts:", *(f"        {name}:" for name in names)]
    return "\n".join(text) + "\n"
