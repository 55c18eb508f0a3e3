"""What the hosts of a system run, as far as one knows without asking: from the journals, and from when they were asked.

A host drifts when it is known to run something else than what the newest change that stands brought to its part of the
system: it was left behind, was never reached, or somebody changed it by hand.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import ENDS, Event, State
from upgrader.domain.changes.request import Kind
from upgrader.domain.hospital.platform import Platform
from upgrader.domain.hospital.sighting import Sighting, Sightings
from upgrader.domain.names import ChangeId, SystemId

STANDS = frozenset({State.SOAKING, State.STABLE, State.ACCEPTED, State.CLOSED})


@dataclass(frozen=True, slots=True)
class PastChange:
    """A change of one system in short. `stands` tells that it brought its version and was not taken back.

    `at` is the time of its last entry; `reported` is what hosts said under it.
    """

    change: ChangeId
    system: SystemId
    version: str
    state: State
    at: datetime
    stands: bool
    reported: Mapping[str, Sighting]

    @property
    def is_open(self) -> bool:
        return self.state not in ENDS


@dataclass(frozen=True, slots=True)
class Member:
    """A host of a system: its name, which part of the system it has (`web`, `clients`, or ""), and its platform."""

    host: str
    part: str
    platform: Platform | None


@dataclass(frozen=True, slots=True)
class Installed:
    """What one host runs; `version` is None where nobody knows. `drifts_from` is what it should run instead, if so."""

    member: Member
    version: str | None
    at: datetime | None
    drifts_from: str | None


@dataclass(frozen=True, slots=True)
class Installation:
    """A system's hosts, its newest change (by number), and those that are not over."""

    hosts: tuple[Installed, ...]
    last: PastChange | None
    open: tuple[PastChange, ...]

    @property
    def versions(self) -> Mapping[str | None, int]:
        """How many hosts run which version, the most frequent first."""
        return dict(Counter(one.version for one in self.hosts).most_common())

    @property
    def drifting(self) -> tuple[Installed, ...]:
        return tuple(one for one in self.hosts if one.drifts_from is not None)


def past_change(change: ChangeId, history: History) -> PastChange | None:
    """A change in short, from its journal; None for a journal that does not say what was asked for."""
    asked = history.last(Event.CHANGE_REQUESTED)
    if asked is None or "version" not in asked.data:
        return None
    reported = {
        entry.data["host"]: Sighting(entry.data["current"], entry.at)
        for entry in history.of(Event.HOST_REPORTED)
        if entry.data["current"]
    }
    corrects = asked.data.get("kind") == Kind.DATA_FIX  # rows, not versions
    stands = history.state in STANDS and not history.of(Event.ROLLBACK_STARTED) and not corrects
    return PastChange(
        change=change,
        system=SystemId(asked.data["system"]),
        version=asked.data["version"],
        state=history.state,
        at=history.entries[-1].at,
        stands=stands,
        reported={} if corrects else reported,
    )


def installation(members: Iterable[Member], changes: Sequence[PastChange], seen: Sightings) -> Installation:
    """Put together what is known of one system. `changes` are those of this system, in the order of their numbers."""
    by_host = {member.host: member for member in members}
    known = newest_sightings(changes, seen)
    wanted = _wanted(by_host, changes)
    hosts = tuple(_installed(member, known.get(host), wanted) for host, member in sorted(by_host.items()))
    return Installation(hosts, changes[-1] if changes else None, tuple(one for one in changes if one.is_open))


def newest_sightings(changes: Iterable[PastChange], seen: Sightings) -> Mapping[str, Sighting]:
    """What each host of a system was last seen to run, by the changes of the system and by questions outside of any."""
    known: dict[str, Sighting] = {}
    for told in (*(change.reported for change in changes), seen.hosts):
        for host, sighting in told.items():
            if host not in known or known[host].at <= sighting.at:
                known[host] = sighting
    return known


def _wanted(members: Mapping[str, Member], changes: Iterable[PastChange]) -> Mapping[str, str]:
    """For each part of the system, the version that the newest standing change brought to a host of it."""
    wanted: dict[str, str] = {}
    for change in changes:
        if change.stands:
            parts = {members[host].part for host in change.reported if host in members}
            wanted |= dict.fromkeys(parts, change.version)
    return wanted


def _installed(member: Member, sighting: Sighting | None, wanted: Mapping[str, str]) -> Installed:
    if sighting is None:
        return Installed(member, None, None, None)
    target = wanted.get(member.part)
    drifts = target is not None and target != sighting.version
    return Installed(member, sighting.version, sighting.at, target if drifts else None)
