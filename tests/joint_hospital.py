"""A small hospital in memory with one request for three systems: three changes, each planned, tested and signed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import builders
from fakes import Documents, Hospital, Host, Inventory, MemoryJournal, NoClone, Published
from upgrader.domain.changes.joint import JointPart
from upgrader.domain.changes.journal import Entry
from upgrader.domain.changes.late import Workstation
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.plan import PlannedHost
from upgrader.domain.changes.request import Request, Soak, WhenUnstable
from upgrader.domain.digest import Digest
from upgrader.domain.names import ChangeId, SystemId, Version
from upgrader.domain.releases.release import Release
from upgrader.flow.planning.materials import half_of
from upgrader.flow.site import Site
from upgrader.ports import InventoryHost

CHANGES = FIRST, SECOND, THIRD = tuple(ChangeId(f"CHG-2026-014{number}") for number in (2, 3, 4))
SYSTEMS = tuple(map(SystemId, ("his", "lis", "mobile")))
PARTS = tuple(JointPart(*part, Version(builders.NEW)) for part in zip(CHANGES, SYSTEMS, strict=True))
SOAK = Soak(timedelta(minutes=2), timedelta(minutes=1), WhenUnstable.ROLL_BACK)


@dataclass
class JointDocuments(Documents):
    """Each file by the change or the system in its path."""

    others: Mapping[str, Documents] = field(default_factory=dict)

    def read_request(self, content: bytes, file: str) -> Request:
        return self.others[file.split("/")[-2]].request

    def read_release(self, content: bytes, file: str) -> Release:
        return self.others[file.split("/")[-3]].release


@dataclass
class JointInventory(Inventory):
    others: Mapping[str, Inventory] = field(default_factory=dict)

    def resolve(self, tree: Path, pattern: str) -> list[InventoryHost]:
        return list(self.others[pattern].resolve(tree, pattern))


@dataclass(frozen=True)
class AllJournals:
    """All changes of the request stand in what the service looks through; for the rest the first one answers."""

    first: MemoryJournal
    by_change: Mapping[ChangeId, MemoryJournal]

    def unclosed_with(self, event: str) -> Sequence[str]:
        return [change for change, journal in self.by_change.items() if journal.unclosed_with(event)]

    def newest_trust_version(self) -> int:
        return self.first.newest_trust_version()

    def earlier(self, system: str, events: Iterable[Event], *, but: str, most: int) -> Sequence[Sequence[Entry]]:
        return self.first.earlier(system, events, but=but, most=most)


class Clone(NoClone):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def root(self) -> Path:
        return self.folder


class JointHospital(Hospital):
    """Two hosts for each system; `folder` becomes the clone of whoever types."""

    def __init__(self, folder: Path, parts: Sequence[JointPart] = PARTS) -> None:
        self.parts = tuple(parts)
        plans, self.all_published = list[Digest](), dict[ChangeId, Published]()
        for part in parts:
            found = Published.of(builders.make_materials(**self._materials(part, plans[-1] if plans else None)))
            plans.append(found.plan.digest)
            self.all_published[part.change] = found
        super().__init__(**self._materials(parts[0], None))
        (vendor,) = self.trust.trust.vendors
        self.trust.trust = replace(self.trust.trust, vendors=(replace(vendor, systems=SYSTEMS),))
        self.folder, self.journals = folder, {FIRST: self.journal}
        for part in parts:
            file = folder / "approvals" / part.change / "request.yml"
            file.parent.mkdir(parents=True)
            file.write_text("joint")
        for change in CHANGES[1:]:
            published, journal = self.all_published[change], MemoryJournal()
            for commit in published.commits:
                self.branch.add(commit.tree)
            self.journals[change] = journal
            for host in published.plan.hosts:
                self.fleet.hosts[host.name] = Host(host.name, host.installed)
            said = {"system": str(published.plan.release.system), "plan": published.plan.digest.hex, "revision": 1}
            for event in (Event.CHANGE_REQUESTED, Event.PLAN_MADE):
                journal.write(event, said, at=builders.SIGNED, actor=builders.REQUESTER)

    def kill_when(self, kills: Callable[[str], None]) -> None:
        for journal in self.journals.values():
            journal.kills = kills

    def states(self) -> list[State]:
        found = []
        for change in CHANGES:
            with self.journals[change].open(change) as journal:
                found.append(journal.history().state)
        return found

    def site(self) -> Site:
        found = self.all_published
        documents = {name: found[part.change].documents for part in self.parts for name in (part.change, part.system)}
        inventories = {str(one): Inventory(replace(self.plan, hosts=tuple(_hosts(one)))) for one in SYSTEMS}
        return replace(
            super().site(),
            clone=Clone(self.folder),
            documents=JointDocuments(
                self.documents.request,
                self.documents.release,
                others={str(name): one for name, one in documents.items()},
            ),
            inventory=JointInventory(self.plan, others=inventories),
            journal=lambda change: self.journals[ChangeId(change)].open(change),
            journals=AllJournals(self.journal, self.journals),
        )

    def _materials(self, part: JointPart, comes_after: Digest | None) -> dict[str, Any]:
        asked = {"change": part.change, "system": part.system, "hosts": part.system, "joint": self.parts, "soak": SOAK}
        return {
            "request": builders.make_request(**asked),
            "release": builders.make_release(system=part.system),
            "hosts": [host for host in _hosts(part.system) if part.only in (None, half_of(host))],
            "comes_after": comes_after,
        }


def _hosts(system: SystemId) -> list[PlannedHost]:
    """A server and a workstation: `host-11` and `host-12` of the first system, `host-21` and `host-22` of the next."""
    number = 10 * SYSTEMS.index(system) + 11
    return [builders.make_host(number), replace(builders.make_host(number + 1), workstation=Workstation(None, None))]
