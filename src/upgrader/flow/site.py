"""A site: everything of the world that the verbs reach, as one value. `app.py` makes it; nothing here decides."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from upgrader.domain.changes.plan import Versions
from upgrader.domain.digest import Digest
from upgrader.domain.hospital.dependency import Graph
from upgrader.domain.names import PersonId, SiteId
from upgrader.domain.papers.report import ReportView
from upgrader.ports import (
    Brakes,
    Builds,
    Bundles,
    Clock,
    Clone,
    Deliveries,
    Documents,
    Fleet,
    Heartbeat,
    HostClocks,
    Inventory,
    Journal,
    Journals,
    Locks,
    Mirror,
    Notifiers,
    Paper,
    Patches,
    Presence,
    Prober,
    Secrets,
    SeenHosts,
    Signatures,
    Snapshot,
    Tree,
    TrustStore,
)


def _stays() -> bool:
    """A command that is typed ends when it is done, or at once."""
    return False


@dataclass(frozen=True, slots=True)
class People:
    """Who is told what happened while nobody sits before the screen.

    `are_told` says whether anybody is; `call` has what is owed to them sent beside the work, and waits for nothing.
    """

    notifiers: Notifiers
    deliveries: Deliveries
    are_told: bool
    call: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """`person` acts; `key` is that person's own signing key. Both may be missing for verbs that only read."""

    id: SiteId
    clone: Clone
    mirror: Mirror
    trust: TrustStore
    signatures: Signatures
    builds: Builds
    patches: Patches
    documents: Documents
    systems: Callable[[Mapping[str, bytes]], Graph]
    inventory: Inventory
    seen_hosts: SeenHosts
    locks: Locks
    brakes: Brakes
    clock: Clock
    state: Path
    versions: Versions
    forks: int
    time_zone: str
    change_prefix: str
    hospital: Mapping[str, str]
    person: PersonId | None
    key: Path | None
    journal: Callable[[str], AbstractContextManager[Journal]]
    journals: Journals
    export: Callable[[Snapshot], AbstractContextManager[Tree]]
    with_own_playbooks: Callable[[Tree], AbstractContextManager[Tree]]
    tree_digest: Callable[[Path], Digest]
    fleet: Callable[[Tree, Path], Fleet]
    presence: Presence
    prober: Callable[[Tree], Prober]
    host_clocks: Callable[[Tree], HostClocks]
    heartbeat: Heartbeat
    people: People
    sleep: Callable[[float], None]
    render_report: Callable[[ReportView], str]
    bundles: Bundles
    secrets: Secrets
    paper: Paper
    is_ending: Callable[[], bool] = _stays  # was this process asked to end? Then nothing new is begun

    def change_folder(self, change: str) -> Path:
        return self.state / "changes" / change

    def runs_folder(self, change: str) -> Path:
        return self.change_folder(change) / "runs"
