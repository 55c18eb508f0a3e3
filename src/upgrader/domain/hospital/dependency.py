"""Which system needs which: what an upgrade affects, and in which order several systems are upgraded.

The order is that of building a house: whatever others stand on comes first. A system that stands in for another one
comes last of all, so that it is there, as it was, while the other one is down.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from upgrader.domain.errors import BadInput
from upgrader.domain.hospital.system import Client, System, Tier
from upgrader.domain.names import SystemId

SERVER_PARTS = tuple(Tier)
CLIENT_PARTS = (Client.DESKTOP, Client.KIOSK)  # a mobile client comes with the server part


@dataclass(frozen=True, slots=True)
class Graph:
    """All systems of a hospital, by id. If you hold one, every name in it is known, and there is no cycle."""

    systems: Mapping[SystemId, System]

    @classmethod
    def of(cls, systems: Iterable[System]) -> "Graph":
        """Raises BadInput `system-twice`, `dependency-unknown`, `dependency-cycle` (naming the cycle), and
        `stand-in-for-itself`.
        """
        known: dict[SystemId, System] = {}
        for system in systems:
            if system.id in known:
                raise BadInput("system-twice", system=system.id)
            known[system.id] = system
        for system in known.values():
            for needed in (*system.depends_on, *([system.stands_in_for] if system.stands_in_for else [])):
                if needed not in known:
                    raise BadInput("dependency-unknown", system=system.id, found=needed)
            if system.stands_in_for == system.id:
                raise BadInput("stand-in-for-itself", system=system.id, found=system.id)
        if cycle := _cycle(known):
            raise BadInput("dependency-cycle", system=cycle[0], found=cycle[1], cycle=" → ".join(cycle))
        return cls(known)

    def needs(self, system: SystemId) -> tuple[SystemId, ...]:
        """What a system says that it needs, and the one that it stands in for: each of them comes before it."""
        return _before(self.systems[system])

    def dependents(self, system: SystemId) -> tuple[SystemId, ...]:
        """The systems that say that they need this one, by id."""
        return tuple(sorted(other.id for other in self.systems.values() if system in other.depends_on))

    def stand_ins(self, system: SystemId) -> tuple[SystemId, ...]:
        """The systems that do this one's work while it is down, by id."""
        return tuple(sorted(other.id for other in self.systems.values() if other.stands_in_for == system))


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a system: what runs on its servers, or one kind of its clients."""

    system: SystemId
    part: Tier | Client


def affected_by(system: SystemId, graph: Graph) -> tuple[SystemId, ...]:
    """Every system that stands on this one, directly or through others, nearest first and then by id.

    Raises BadInput `system-unknown`.
    """
    _need_known([system], graph)
    found: dict[SystemId, None] = {}
    nearest: tuple[SystemId, ...] = (system,)
    while nearest:
        above = sorted({other for one in nearest for other in graph.dependents(one)} - {system, *found})
        found.update(dict.fromkeys(above))
        nearest = tuple(above)
    return tuple(found)


def order(systems: Iterable[SystemId], graph: Graph) -> tuple[SystemId, ...]:
    """These systems in the order in which they are upgraded: what others stand on first, stand-ins last.

    The order between two systems is the same whatever others are asked about, and holds through systems that are not.
    Raises BadInput `system-unknown`.
    """
    wanted = set(systems)
    _need_known(wanted, graph)
    return tuple(system for system in _whole_order(graph) if system in wanted)


def parts_in_order(systems: Iterable[SystemId], graph: Graph) -> tuple[Part, ...]:
    """The parts of these systems in order: every server part before the first client, and both parts of stand-ins last.

    A client of the old version still talks to a new server; the other way round nobody promises.
    """
    ordered = [graph.systems[system] for system in order(systems, graph)]
    core = [system for system in ordered if system.stands_in_for is None]
    stand_ins = [system for system in ordered if system.stands_in_for is not None]
    return (*_servers(core), *_clients(core), *_servers(stand_ins), *_clients(stand_ins))


def _servers(systems: Iterable[System]) -> Iterator[Part]:
    for system in systems:
        yield from (Part(system.id, tier) for tier in SERVER_PARTS if tier in system.tiers)


def _clients(systems: Iterable[System]) -> Iterator[Part]:
    for system in systems:
        yield from (Part(system.id, client) for client in CLIENT_PARTS if client in system.clients)


def _whole_order(graph: Graph) -> Iterator[SystemId]:
    sorter = TopologicalSorter({system: _before(one) for system, one in graph.systems.items()})
    sorter.prepare()
    waiting: set[SystemId] = set()
    while sorter.is_active():
        waiting.update(sorter.get_ready())
        _, chosen = min((graph.systems[one].stands_in_for is not None, one) for one in waiting)
        waiting.remove(chosen)
        sorter.done(chosen)
        yield chosen


def _before(system: System) -> tuple[SystemId, ...]:
    return (*system.depends_on, *((system.stands_in_for,) if system.stands_in_for else ()))


def _cycle(systems: Mapping[SystemId, System]) -> tuple[str, ...]:
    """The systems of one cycle, each needing the next and the last being the first again; empty where none is."""
    try:
        TopologicalSorter({system: _before(one) for system, one in systems.items()}).prepare()
    except CycleError as error:
        return tuple(reversed(error.args[1]))
    return ()


def _need_known(systems: Iterable[SystemId], graph: Graph) -> None:
    if unknown := sorted(set(systems) - set(graph.systems)):
        raise BadInput("system-unknown", system=", ".join(unknown))
