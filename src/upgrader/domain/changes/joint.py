"""Joint changes: one request for several releases. Each is a change of its own; they go back in reverse order.

A jump over several versions of one system is the same: one change for each link of the chain.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from upgrader.domain.errors import BadInput, Refused
from upgrader.domain.hospital.dependency import Graph, order
from upgrader.domain.names import ChangeId, SystemId, Version
from upgrader.domain.releases.release import Release
from upgrader.domain.releases.version_order import newest_last


class Half(StrEnum):
    """One half of a system's hosts."""

    SERVERS = "servers"
    WORKSTATIONS = "workstations"


@dataclass(frozen=True, slots=True)
class JointPart:
    """One of the changes that were asked for together, and the release that it brings: to all hosts, or `only` to one
    half of them, where the others have a change of their own."""

    change: ChangeId
    system: SystemId
    version: Version
    only: Half | None = None

    @property
    def name(self) -> str:
        """The release, and to whom it comes: `his 5.1`, `his 5.1 workstations`."""
        return f"{self.system} {self.version}" + (f" {self.only}" if self.only else "")


def in_order(releases: Sequence[Release], graph: Graph) -> tuple[Release, ...]:
    """The releases in the order in which they run: what others stand on first, and older versions first.

    Raises BadInput `release-twice`, `system-unknown` when systems are not described; Refused `chain-link` when one may
    not follow the one before it, and `joint-stand-in` when one system does another one's work while that is down.
    """
    names = [release.name for release in releases]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput("release-twice", release=", ".join(twice))
    systems = {release.system for release in releases}
    ordered = order(systems, graph) if len(systems) > 1 else tuple(systems)
    for system in ordered if len(systems) > 1 else ():
        if (covered := graph.systems[system].stands_in_for) in systems:
            raise Refused("joint-stand-in", system=system, other=covered)
    chains = [sorted((r for r in releases if r.system == one), key=lambda r: newest_last(r.version)) for one in ordered]
    for chain in chains:
        for earlier, later in pairwise(chain):
            if not later.may_follow(earlier.version):
                raise Refused("chain-link", release=later.name, found=earlier.version, follows=", ".join(later.follows))
    return tuple(release for chain in chains for release in chain)


def servers_first(
    ordered: Sequence[Release], halves: Mapping[SystemId, Collection[Half]]
) -> tuple[tuple[Release, Half | None], ...]:
    """The servers of all systems before the workstations of any. None: one change brings it to all hosts.

    `halves` are those that each system has; one of which nothing is known has servers. The last one with servers stays
    whole: its own waves put them first. So do a release whose vendor wants workstations first, and links of a chain: no
    workstation is left two versions behind its server.
    """
    with_servers = [r for r in ordered if Half.SERVERS in halves.get(r.system, (Half.SERVERS,))]
    systems = [release.system for release in ordered]
    apart = [
        release
        for release in with_servers
        if Half.WORKSTATIONS in halves.get(release.system, ())
        and not release.clients_first
        and systems.count(release.system) == 1
        and release.system != with_servers[-1].system
    ]
    later = [(r, Half.WORKSTATIONS if r in apart else None) for r in ordered if r in apart or r not in with_servers]
    return (*((r, Half.SERVERS if r in apart else None) for r in with_servers), *later)


def way_between(installed: str, wanted: Release, staged: Iterable[Release]) -> tuple[Release, ...]:
    """The shortest way from the installed version to the wanted release, link by link, by what the releases may follow.

    Raises Refused `chain-no-way` when the staged releases give none.
    """
    known = sorted(
        (r for r in staged if r.system == wanted.system and r.version != wanted.version),
        key=lambda release: newest_last(release.version),
        reverse=True,
    )
    ways: list[tuple[Release, ...]] = [(wanted,)]
    seen = {wanted.version}
    while ways:
        way = ways.pop(0)
        if way[0].may_follow(installed):
            return way
        before = [release for release in known if release.version not in seen and way[0].may_follow(release.version)]
        seen.update(release.version for release in before)
        ways += [(release, *way) for release in before]
    raise Refused("chain-no-way", release=wanted.name, found=installed)


def before(change: str, joint: Sequence[JointPart]) -> tuple[JointPart, ...]:
    """The changes that run before this one, first first."""
    return tuple(joint[: _place(change, joint)])


def after(change: str, joint: Sequence[JointPart]) -> tuple[JointPart, ...]:
    """The changes that run after this one, first first."""
    return tuple(joint[_place(change, joint) + 1 :])


def kept(keep: int, change: str, joint: Sequence[JointPart]) -> int:
    """How many versions a host keeps: of a chain so many that the way back leads over all of it."""
    if not joint:
        return keep
    own = joint[_place(change, joint)]
    links = sum(part.system == own.system and part.version != own.version for part in before(change, joint))
    return max(keep, links + 2) if links else keep


def joint_note(change: str, joint: Sequence[JointPart]) -> Mapping[str, str]:
    """What the signers are told of the changes that belong together."""
    parts = " → ".join(f"{part.name} ({part.change})" for part in joint)
    return {"place": str(_place(change, joint) + 1), "count": str(len(joint)), "order": parts}


def check_works_with(releases: Iterable[Release], running: Mapping[SystemId, frozenset[str]]) -> None:
    """Raises Refused `works-with-not` for a release that is not declared to work with what would run beside it.

    `running` are the versions of each system once the change is over; a system of which nothing is known is not in it.
    """
    for release in releases:
        for other, patterns in sorted(release.works_with.items()):
            wrong = sorted(v for v in running.get(other, frozenset()) if not release.may_work_with(other, v))
            if wrong:
                raise Refused(
                    "works-with-not",
                    release=release.name,
                    other=other,
                    found=", ".join(wrong),
                    expected=", ".join(patterns),
                )


def _place(change: str, joint: Sequence[JointPart]) -> int:
    return next((n for n, part in enumerate(joint) if part.change == change), len(joint))
