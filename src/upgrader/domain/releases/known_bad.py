"""Known-bad releases: what somebody found bad is refused everywhere, under whatever name, until others lift it.

A block is known by its release's manifest and builds, so another name or version for the same bytes does not help. It
can only make less happen: whoever is trusted may give it, and it outlives its author's key. To lift one needs the rows
of the trust file, by people who neither gave it nor asked for the change.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from upgrader.domain import canonical, plain
from upgrader.domain.approval.authorization import Fault
from upgrader.domain.approval.record import LARGEST_RECORD
from upgrader.domain.approval.trust import Row, Trust, unfilled
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused
from upgrader.domain.names import PersonId, RoleId, SiteId, SystemId, Version

CLOCK_SKEW = timedelta(minutes=5)


class Mark(StrEnum):
    BLOCK = "block"
    UNBLOCK = "unblock"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBadRecord:
    """One person's word that a release is bad, or that one such word no longer holds.

    `builds` are the SHA-256 of its builds, sorted, with a space between; `block` the SHA-256 of the lifted record.
    """

    format: str
    site: SiteId
    repository: str
    mark: Mark
    system: SystemId
    version: Version
    release: Digest
    builds: str
    person: PersonId
    role: RoleId
    issued: datetime
    nonce: str
    reason: str
    block: Digest | None = None

    FORMAT = "upgrader.known-bad/1"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A release that is about to be used. `never` are people whose unblocking does not count for this use."""

    name: str
    manifest: Digest
    builds: frozenset[Digest]
    never: frozenset[PersonId] = frozenset()


@dataclass(frozen=True, slots=True)
class Given:
    """A record as the branch holds it. `fault` says why its signature does not hold; None when it does."""

    file: str
    digest: Digest
    record: KnownBadRecord
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """One block, and what it lacks to be lifted: nobody and no people when it is lifted."""

    block: Given
    by: tuple[PersonId, ...]
    missing: tuple[Row, ...]

    @property
    def is_lifted(self) -> bool:
        return not self.missing


def write_known_bad(record: KnownBadRecord) -> bytes:
    return canonical.serialise(plain.to_plain(record))


def read_known_bad(content: bytes, name: str) -> KnownBadRecord:
    """Raises Refused: not canonical, too large, or not such a record."""
    make = partial(plain.from_plain, KnownBadRecord)
    try:
        record = canonical.read_back(content, make, write_known_bad, name=name, largest=LARGEST_RECORD)
        builds_of(record)
    except (ValueError, TypeError) as error:
        raise Refused("record-malformed", file=name, found=str(error)[:200]) from error
    lifts = record.block is not None
    if record.format != KnownBadRecord.FORMAT or not record.builds or lifts is not (record.mark is Mark.UNBLOCK):
        raise Refused("record-malformed", file=name, found=record.format)
    return record


def known_bad_name(record: KnownBadRecord) -> str:
    """The file name binds every byte: what lies under it is that record, also after it was away."""
    return f"{record.mark}_{record.person}_{record.role}_{Digest.of(write_known_bad(record)).hex[:32]}.json"


def spell_builds(builds: Iterable[Digest]) -> str:
    return " ".join(sorted(build.hex for build in builds))


def builds_of(record: KnownBadRecord) -> frozenset[Digest]:
    return frozenset(Digest(hex) for hex in record.builds.split(" "))


def is_meant(record: KnownBadRecord, suspect: Suspect) -> bool:
    """Whether a block names this release: its manifest, or all of the bad builds are among its own."""
    return record.release == suspect.manifest or builds_of(record) <= suspect.builds


def standing_of(
    block: Given, given: Iterable[Given], trust: Trust, now: datetime, never: frozenset[PersonId] = frozenset()
) -> Standing:
    """Who lifts one block, and who is still missing. Without a rule of the trust file nobody can.

    Whoever gave the block does not count, nor anybody in `never`; each person counts once.
    """
    excluded = never | {block.record.person}
    counted: dict[PersonId, frozenset[RoleId]] = {}
    for one in given:
        if unblock_fault(one, block, trust, now) is None and one.record.person not in excluded:
            roles = counted.get(one.record.person, frozenset())
            counted[one.record.person] = roles | {one.record.role}
    rows = trust.known_bad.unblock if trust.known_bad else (Row(RoleId("nobody"), 1),)
    return Standing(block, tuple(sorted(counted)), unfilled(rows, counted))


def unblock_fault(given: Given, block: Given, trust: Trust, now: datetime) -> Fault | None:
    """Why a record does not lift this block, whoever gave it; None when it does."""
    record, bad = given.record, block.record
    if given.fault is not None:
        return given.fault
    told = (record.mark, record.block, record.release, record.builds, record.site, record.repository)
    if told != (Mark.UNBLOCK, block.digest, bad.release, bad.builds, trust.site, trust.repository.id):
        return Fault("unblock-of-other", {"person": record.person})
    person = trust.person(record.person)
    if person is None or not person.active:
        return Fault("person-not-active", {"person": record.person})
    if record.role not in person.roles:
        return Fault("role-not-held", {"person": record.person, "role": record.role})
    if record.issued > now + CLOCK_SKEW:
        return Fault("approval-from-the-future", {"person": record.person, "issued": str(record.issued)})
    return None


def check_not_blocked(suspect: Suspect, given: Mapping[str, Given], trust: Trust, now: datetime) -> None:
    """Raises Refused `known-bad` naming the first block of this release that stands."""
    for block in given.values():
        if block.record.mark is not Mark.BLOCK or not is_meant(block.record, suspect):
            continue
        standing = standing_of(block, given.values(), trust, now, suspect.never)
        if not standing.is_lifted:
            raise Refused(
                "known-bad",
                release=suspect.name,
                known=f"{block.record.system} {block.record.version}",
                person=block.record.person,
                since=plain.to_plain(block.record.issued),
                reason=block.record.reason,
                missing=", ".join(f"{row.role} {row.count}" for row in standing.missing),
            )
