"""Systems: what the hospital has, what runs where, and who depends on whom. Contacts no host unless it is asked to."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from upgrader.domain.errors import BadInput
from upgrader.domain.hospital.dependency import Graph, affected_by
from upgrader.domain.hospital.installation import Installation, Member, installation
from upgrader.domain.hospital.system import System, group_of
from upgrader.domain.names import SystemId
from upgrader.domain.releases.version_order import newest_last
from upgrader.flow.site import Site
from upgrader.flow.watching.described import graph_here
from upgrader.flow.watching.host_state import host_states
from upgrader.flow.watching.past_changes import past_changes
from upgrader.ports import GroupedHost, Progress

CLIENTS = "clients"


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemView:
    """Everything that a list of systems tells of one. `described` is None for a system that only releases know.

    `staged` are the versions whose release the person's clone holds, oldest first.
    """

    id: SystemId
    described: System | None
    installation: Installation
    staged: tuple[str, ...]
    dependents: tuple[SystemId, ...]
    affects: tuple[SystemId, ...]
    stand_ins: tuple[SystemId, ...]


def systems(site: Site, only: SystemId | None = None) -> Sequence[SystemView]:
    """All systems, by the hospital's numbers, or one. Raises BadInput `system-unknown` for one that nobody knows.

    Everything is read from the person's clone and this controller's journals; no decision rests on it.
    """
    graph = graph_here(site)
    staged = _staged(site)
    known = {*graph.systems, *staged}
    if only is not None and only not in known:
        raise BadInput("system-unknown", system=only)
    wanted = [only] if only is not None else sorted(known, key=lambda system: _place(system, graph))
    members = _members(site.inventory.grouped(site.clone.root), graph, wanted)
    changes = past_changes(site)
    return [
        SystemView(
            id=system,
            described=graph.systems.get(system),
            installation=installation(members[system], changes.get(system, ()), site.seen_hosts.recall(system)),
            staged=staged.get(system, ()),
            dependents=graph.dependents(system),
            affects=affected_by(system, graph) if system in graph.systems else (),
            stand_ins=graph.stand_ins(system),
        )
        for system in wanted
    ]


def ask_hosts(site: Site, system: SystemId, progress: Progress) -> None:
    """Ask the hosts of one system what they run; what they say is remembered. Raises BadInput as `host_states` does."""
    host_states(site, system, group_of(system), progress)


def _place(system: SystemId, graph: Graph) -> tuple[int, str]:
    described = graph.systems.get(system)
    return (described.number if described else 10_000, system)


def _staged(site: Site) -> Mapping[SystemId, tuple[str, ...]]:
    """The releases in the person's clone: versions by system."""
    found: dict[SystemId, list[str]] = {}
    for path in (site.clone.root / "releases").glob("*/*/release.yml"):
        with suppress(ValueError):  # a folder that is no system
            found.setdefault(SystemId(path.parent.parent.name), []).append(path.parent.name)
    return {system: tuple(sorted(versions, key=newest_last)) for system, versions in found.items()}


def _members(
    hosts: Iterable[GroupedHost], graph: Graph, systems: Iterable[SystemId]
) -> Mapping[SystemId, Sequence[Member]]:
    """The hosts of each system, by its group; and which part of it, by the groups below."""
    groups = {group_of(system): system for system in systems}
    parts = {
        f"{group}_{part}": part
        for group, system in groups.items()
        for part in (*(graph.systems[system].tiers if system in graph.systems else ()), CLIENTS)
    }
    found: dict[SystemId, list[Member]] = {system: [] for system in groups.values()}
    for host in hosts:
        within = sorted(host.groups & parts.keys())
        for group in host.groups & groups.keys():
            part = next((parts[one] for one in within if one.startswith(f"{group}_")), "")
            found[groups[group]].append(Member(host.name, part, host.platform))
    return found
