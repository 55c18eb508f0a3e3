"""Whom the hospital trusts: people, roles, keys, vendors and the rules by kind of change.

A trust file stands outside the repository that it governs, as a chain of versions (the root rule of The Update
Framework, TUF specification 5.3). Here is what one version says, and whether it may be used at all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from upgrader.domain import canonical, plain
from upgrader.domain.approval.record import TestStage
from upgrader.domain.changes.request import Kind
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused
from upgrader.domain.names import PersonId, RoleId, SiteId

FORMAT = "upgrader.trust/1"
LARGEST_TRUST = 4 * 1024 * 1024


class Organisation(StrEnum):
    HOSPITAL = "hospital"
    VENDOR = "vendor"
    MAINTENANCE = "maintenance"  # the on-site engineers


LONGEST_EMERGENCY_HOURS = 24  # an approval of an emergency, and its window
LONGEST_DEBT_HOURS = 7 * 24

TESTERS = {TestStage.VENDOR: Organisation.VENDOR, TestStage.SITE: Organisation.MAINTENANCE}


@dataclass(frozen=True, slots=True)
class Possession:
    """What a person signed with a new key to show that they hold it, without what the trust file says anyway."""

    issued: datetime
    expires: datetime
    nonce: str
    reason: str
    signature: tuple[str, ...]  # the lines of the armoured signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An OpenSSH public key and the time in which it counts. `revoked` ends it at once and for ever.

    A key without a `possession` stands in the first version, or is a vendor's: its releases prove it.
    """

    public: str
    valid_from: datetime
    valid_until: datetime
    revoked: datetime | None = None
    possession: Possession | None = None

    def is_valid(self, at: datetime) -> bool:
        return self.valid_from <= at and self.has_future(at)

    def has_future(self, at: datetime) -> bool:
        """Whether the key counts at `at`, or may begin to count later."""
        return at < self.valid_until and (self.revoked is None or at < self.revoked)


class Proof(StrEnum):
    """What a FIDO token shows of the person before it (WebAuthn: user presence, user verification)."""

    TOUCH = "touch"
    PIN = "pin"  # and the touch too


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role is held by people of one organisation. `name` is what people read; records hold the id.

    `proof` is what a FIDO token must show of whoever signs in this role; None where any key will do.
    """

    name: Mapping[str, str]
    organisation: Organisation
    proof: Proof | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    id: PersonId
    name: Mapping[str, str]
    organisation: Organisation
    active: bool
    roles: tuple[RoleId, ...]
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Server:
    """A vendor's SFTP server and its SSH host key (`SHA256:…`); no other key is talked to."""

    address: str
    port: int
    host_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A vendor's release keys, and the systems for which they count.

    `packagers` may vouch with their own keys for what this vendor ships without a signature. `servers` are where its
    drops may be fetched from by SFTP.
    """

    id: PersonId
    name: Mapping[str, str]
    systems: tuple[str, ...]
    keys: tuple[Key, ...]
    packagers: tuple[PersonId, ...] | None = None
    servers: tuple[Server, ...] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """So many different people in one role."""

    role: RoleId
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one kind of change needs: approvals, at least so many people in all, tests passed, and acceptance.

    The last two are those of the emergency alone: how long its window may be, and in how many hours after its start
    the signatures of the normal rule are owed.
    """

    approvals: tuple[Row, ...]
    people: int
    tests: tuple[TestStage, ...]
    acceptance: tuple[Row, ...]
    approval_hours: int
    window_hours: int | None = None
    debt_hours: int | None = None

    def check_window(self, kind: Kind, length: timedelta) -> None:
        """Raise Refused `window-too-long-for-kind` for a window longer than this kind of change may have."""
        hours = length / timedelta(hours=1)
        if self.window_hours is not None and hours > self.window_hours:
            raise Refused("window-too-long-for-kind", kind=kind, expected=self.window_hours, found=f"{hours:.1f}")


@dataclass(frozen=True, slots=True)
class PaperRule:
    """Who may attest what others signed on paper, and the roles for which paper is enough."""

    custodian: RoleId
    roles: tuple[RoleId, ...]


@dataclass(frozen=True, slots=True)
class KnownBadRule:
    """Who must agree before a release that was found bad may be used again."""

    unblock: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository that is governed: where the gate fetches from, and the one protected branch."""

    id: str
    url: str
    branch: str


@dataclass(frozen=True, slots=True)
class Root:
    """The keys that sign the trust file itself, and how many of them must."""

    threshold: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """One version. `reason` is what the root keys were asked for, `previous` the SHA-256 of the version before."""

    format: str
    site: SiteId
    version: int
    repository: Repository
    issued: datetime
    expires: datetime
    root: Root
    roles: Mapping[str, Role]
    people: tuple[Person, ...]
    vendors: tuple[Vendor, ...]
    rules: Mapping[str, Rule]
    paper: PaperRule | None = None  # None: nobody signs on paper here
    inspection: tuple[Row, ...] | None = None  # whose signatures let hosts be inspected; None: they are not
    known_bad: KnownBadRule | None = None  # None: nobody lifts a block here
    reason: str | None = None
    previous: Digest | None = None

    def to_bytes(self) -> bytes:
        return canonical.serialise(plain.to_plain(self))

    def person(self, id: str) -> Person | None:
        return next((person for person in self.people if person.id == id), None)

    def vendor(self, id: str) -> Vendor | None:
        return next((vendor for vendor in self.vendors if vendor.id == id), None)

    def proof_of(self, role: str | None) -> Proof | None:
        """What a signature in this role must show besides; None for any key, also for no role."""
        return self.roles[role].proof if role is not None and role in self.roles else None

    def organisation_of(self, role: str) -> Organisation | None:
        """Whose role it is; None for one that is not in the trust file."""
        return self.roles[role].organisation if role in self.roles else None

    def rule(self, kind: Kind) -> Rule:
        """The rule for a kind of change. Raises Refused: a kind without a rule is not allowed at this hospital."""
        if kind not in self.rules:
            raise Refused("kind-without-rule", kind=kind, allowed=", ".join(sorted(self.rules)))
        return self.rules[kind]


def read_trust(content: bytes, name: str) -> Trust:
    """Read one trust file and check what it says. Raises Refused for a file that could never protect anything."""
    value = canonical.parse(content, name=name, largest=LARGEST_TRUST)
    try:
        trust = plain.from_plain(Trust, value)
    except (ValueError, TypeError) as error:
        raise Refused("trust-malformed", file=name, found=str(error)[:200]) from error
    if trust.format != FORMAT or trust.to_bytes() != content:
        raise Refused("trust-malformed", file=name, found=trust.format)
    if faults := weaknesses(trust):
        raise Refused("trust-weak", file=name, found="; ".join(faults))
    return trust


def weaknesses(trust: Trust) -> list[str]:
    """Why these rules would not protect the hospital; empty when they do. Empty never means yes."""
    faults = []
    if not 1 <= trust.root.threshold <= len(set(trust.root.keys)):
        faults.append("root: the threshold must be at least 1 and not above the number of root keys")
    if not trust.rules:
        faults.append("rules: there is no rule, so nothing could ever be approved")
    if len({person.id for person in trust.people}) != len(trust.people):
        faults.append("people: an id stands twice")
    faults += _shared_keys(trust)
    faults += [f for person in trust.people for f in _weak_person(person, trust)]
    faults += [f for vendor in trust.vendors for f in _weak_vendor(vendor, trust)]
    faults += [f for kind, rule in trust.rules.items() for f in _weak_rule(kind, rule, trust)]
    faults += _weak_paper(trust)
    faults += _weak_inspection(trust)
    faults += _weak_known_bad(trust)
    return faults


def _weak_known_bad(trust: Trust) -> Iterable[str]:
    """A block is lifted by the hospital too, and by people who are there."""
    rows = trust.known_bad.unblock if trust.known_bad else None
    if rows is None:
        return
    if not rows or any(row.count < 1 for row in rows):
        yield "known_bad.unblock: empty, or a count below 1; an empty rule lifts nothing"
    if unknown := [row.role for row in rows if row.role not in trust.roles]:
        yield f"known_bad.unblock: unknown role {unknown[0]}"
    elif not any(trust.organisation_of(row.role) is Organisation.HOSPITAL for row in rows):
        yield "known_bad.unblock: no hospital role; the hospital decides on what was found bad"
    elif unfilled(rows, able_to_sign(trust, on_paper=False)):
        yield "known_bad.unblock: not enough active people with keys to fill every row"


def _shared_keys(trust: Trust) -> Iterable[str]:
    """Whoever holds a key that stands for two people could sign for both."""
    holders: dict[tuple[str, ...], str] = {}
    everybody: tuple[Person | Vendor, ...] = (*trust.people, *trust.vendors)
    for holder in everybody:
        for key in holder.keys:
            first = holders.setdefault(tuple(key.public.split()[:2]), holder.id)  # without the comment
            if first != holder.id:
                yield f"keys: {first} and {holder.id} have the same key"


def _weak_person(person: Person, trust: Trust) -> Iterable[str]:
    for role in person.roles:
        if role not in trust.roles:
            yield f"people: {person.id} holds the role {role}, which is not in roles"
        elif (theirs := trust.organisation_of(role)) is not person.organisation:
            yield f"people: {person.id} ({person.organisation}) may not hold the {theirs} role {role}"


def _weak_vendor(vendor: Vendor, trust: Trust) -> Iterable[str]:
    """Who vouches for what the hospital is given is not of the hospital, which decides on it."""
    for packager in vendor.packagers or ():
        person = trust.person(packager)
        if person is None:
            yield f"vendors: {packager}, who may vouch for {vendor.id}, is not in people"
        elif person.organisation is Organisation.HOSPITAL:
            yield f"vendors: {packager} is of the hospital and may not vouch for {vendor.id}"


def _weak_rule(kind: str, rule: Rule, trust: Trust) -> Iterable[str]:
    if kind not in set(Kind):
        yield f"rules: {kind} is not a kind of change"
    for part, rows in (("approvals", rule.approvals), ("acceptance", rule.acceptance)):
        if not rows:
            yield f"rules.{kind}.{part}: empty; an empty rule approves nothing"
        if any(row.count < 1 for row in rows):
            yield f"rules.{kind}.{part}: a count below 1"
        if unknown := [row.role for row in rows if row.role not in trust.roles]:
            yield f"rules.{kind}.{part}: unknown role {unknown[0]}"
        if unfilled(rows, able_to_sign(trust, on_paper=part == "approvals")):
            yield f"rules.{kind}.{part}: not enough active people who can sign to fill every row"
    if not any(trust.organisation_of(row.role) is Organisation.HOSPITAL for row in rule.approvals):
        yield f"rules.{kind}.approvals: no hospital role; nothing may change without the hospital's signature"
    if rule.people < sum(row.count for row in rule.approvals):
        yield f"rules.{kind}.people: below the sum of the rows, so one person could meet two rows alone"
    if rule.approval_hours < 1:
        yield f"rules.{kind}.approval_hours: must be at least 1"
    yield from (f"rules.{kind}.{fault}" for fault in _weak_emergency(kind, rule, trust))


def _weak_emergency(kind: str, rule: Rule, trust: Trust) -> Iterable[str]:
    """An emergency asks for less before, and for the rest afterwards; no other kind has a debt."""
    if kind != Kind.EMERGENCY:
        if rule.window_hours is not None or rule.debt_hours is not None:
            yield "debt_hours: only an emergency has a debt"
        return
    if Kind.NORMAL not in trust.rules:
        yield "debt_hours: there is no normal rule, whose signatures would be owed"
    if not 1 <= (rule.debt_hours or 0) <= LONGEST_DEBT_HOURS:
        yield f"debt_hours: must be between 1 and {LONGEST_DEBT_HOURS}"
    for name, hours in (("approval_hours", rule.approval_hours), ("window_hours", rule.window_hours or 0)):
        if not 1 <= hours <= LONGEST_EMERGENCY_HOURS:
            yield f"{name}: must be between 1 and {LONGEST_EMERGENCY_HOURS}"


def shortages(trust: Trust, at: datetime) -> Iterable[tuple[str, tuple[Row, ...]]]:
    """The rules whose signatures nobody could give at `at`: the kind of change, and the rows that would stay empty.

    No weakness: after a key was revoked or ran out such a rule lets nothing through until a new key is enrolled.
    """
    usable = tuple(replace(p, keys=tuple(key for key in p.keys if key.has_future(at))) for p in trust.people)
    now = replace(trust, people=usable)
    for kind, rule in trust.rules.items():
        empty = unfilled(rule.approvals, able_to_sign(now, on_paper=True))
        if empty := empty or unfilled(rule.acceptance, able_to_sign(now, on_paper=False)):
            yield kind, empty


def _weak_paper(trust: Trust) -> Iterable[str]:
    """Paper must be attested by the hospital, and never alone carry a change."""
    if trust.paper is None:
        return
    custodian, roles = trust.paper.custodian, trust.paper.roles
    if not roles:
        yield "paper.roles: empty; without a role for which paper is enough, leave out the whole of paper"
    if unknown := [role for role in (custodian, *roles) if trust.organisation_of(role) is not Organisation.HOSPITAL]:
        yield f"paper: {unknown[0]} is not a role of the hospital"
    if custodian in roles:
        yield f"paper.roles: {custodian} attests paper and can't sign on paper"
    if not any(person.active and person.keys and custodian in person.roles for person in trust.people):
        yield f"paper.custodian: nobody active with a key holds the role {custodian}"
    for kind, rule in trust.rules.items():
        wanted = {row.role for row in rule.approvals}
        if not any(person.active and person.keys and wanted & set(person.roles) for person in trust.people):
            yield f"rules.{kind}.approvals: nobody has a key for any row; paper alone never approves a change"


def _weak_inspection(trust: Trust) -> Iterable[str]:
    """Looking at a hospital's hosts is the hospital's to allow."""
    rows = trust.inspection
    if rows is None:
        return
    if strange := [row.role for row in rows if trust.organisation_of(row.role) is not Organisation.HOSPITAL]:
        yield f"inspection: {strange[0]} is not a role of the hospital"
    if not rows or any(row.count < 1 for row in rows) or unfilled(rows, able_to_sign(trust, on_paper=False)):
        yield "inspection: not enough active people with a key to fill every row"


def able_to_sign(trust: Trust, *, on_paper: bool) -> dict[PersonId, frozenset[RoleId]]:
    """The roles in which each active person can sign: all of theirs with a key, without one those on paper."""
    paper = frozenset(trust.paper.roles) if on_paper and trust.paper else frozenset[RoleId]()
    able = {p.id: frozenset(p.roles) if p.keys else frozenset(p.roles) & paper for p in trust.people if p.active}
    return {person: roles for person, roles in able.items() if roles}


def unfilled(rows: Iterable[Row], holders: Mapping[PersonId, frozenset[RoleId]]) -> tuple[Row, ...]:
    """Match people to rows so that nobody fills two places, and give what stays empty.

    A maximum bipartite matching by augmenting paths (Kuhn 1955): whoever can only fill one row gets it.
    """
    places = [row.role for row in rows for _ in range(row.count)]
    taken: dict[int, PersonId] = {}

    def place(person: PersonId, tried: set[int]) -> bool:
        for number, role in enumerate(places):
            if role in holders[person] and number not in tried:
                tried.add(number)
                if number not in taken or place(taken[number], tried):
                    taken[number] = person
                    return True
        return False

    for person in sorted(holders):
        place(person, set())
    empty = [role for number, role in enumerate(places) if number not in taken]
    return tuple(Row(role, empty.count(role)) for role in dict.fromkeys(empty))
