"""policy.yml: whom the hospital trusts and what its rules ask for; compiled into a Trust, which is what people sign."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Protocol, TypeVar

from upgrader.adapters.documents.fields import (
    Bilingual,
    Flag,
    Instant,
    PersonText,
    PublicKey,
    PublicKeys,
    RoleText,
    SiteText,
    System,
    VendorText,
)
from upgrader.adapters.documents.models import (
    Finding,
    Model,
    Step,
    at_least_one,
    no_two_alike,
    problem_at,
    reads,
    repeated,
    short_for,
)
from upgrader.adapters.documents.reading import Document, invalid, read_document
from upgrader.adapters.documents.values import matching, one_of, whole
from upgrader.domain import plain
from upgrader.domain.errors import Problem
from upgrader.domain.names import PersonId, RoleId
from upgrader.domain.record import TestStage
from upgrader.domain.request import Kind
from upgrader.domain.trust import (
    FORMAT,
    Key,
    Organisation,
    PaperRule,
    Person,
    Repository,
    Root,
    Row,
    Rule,
    Server,
    Trust,
    Vendor,
    unfilled,
    weaknesses,
)

LONGEST_APPROVAL_HOURS = 14 * 24
LETTERS = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
ADDRESS = r"(/|https?://|ssh://|file:///)[A-Za-z0-9._@:/~+-]+|[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[A-Za-z0-9._/~+-]+"


def read_policy(content: bytes, file: str, *, version: int, issued: datetime) -> Trust:
    """Compile a policy.yml into version `version` of the trust file.

    Raises BadInput `document-invalid` with everything that is wrong with it, rules that would protect nobody included.
    """
    document = read_document(_Policy, content, file)
    trust = document.model.to_domain(version, issued)
    problems = [*_never_valid(document, trust), *_weak(document, trust)]
    if problems:
        raise invalid(file, problems)
    return trust


K_co = TypeVar("K_co", covariant=True)


class _Holder(Protocol[K_co]):
    """A person or a vendor, as the file or as the trust file has them."""

    @property
    def id(self) -> str: ...
    @property
    def keys(self) -> tuple[K_co, ...]: ...


class _DatedKey(Model):
    """A key with its own time. Written as a bare text, it counts from the policy's issue to its expiry."""

    public: PublicKey
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    revoked: Instant | None = None

    def to_domain(self, issued: datetime, expires: datetime) -> Key:
        return Key(
            public=self.public,
            valid_from=self.valid_from or issued,
            valid_until=self.valid_until or expires,
            revoked=self.revoked,
        )


AnyKey = Annotated[_DatedKey, short_for("public")]


class _Repository(Model):
    id: Annotated[str, reads(matching(LETTERS, "renmin-hospital", str))]
    url: Annotated[str, reads(matching(ADDRESS, "/srv/git/site.git", str))]
    branch: Annotated[str, reads(matching(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}", "main", str))]


class _Root(Model):
    threshold: Annotated[int, reads(whole(1, 20))]
    keys: PublicKeys

    def findings(self) -> Iterator[Finding]:
        if self.threshold > len(self.keys):
            fields = {"expected": f"1…{len(self.keys)}", "found": self.threshold}
            yield Finding(("threshold",), "wrong-value", fields)


class _Person(Model):
    id: PersonText
    name: Bilingual
    organisation: Annotated[Organisation, reads(one_of(Organisation))]
    active: Flag = True
    roles: Annotated[tuple[RoleText, ...], no_two_alike()]
    keys: tuple[AnyKey, ...] = ()


class _Server(Model):
    """An SFTP server of a vendor."""

    address: Annotated[str, reads(matching(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}", "sftp.lanxin.example", str))]
    port: Annotated[int, reads(whole(1, 65535))] = 22
    host_key: Annotated[str, reads(matching(r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:… (ssh-keygen -l)", str))]

    def to_domain(self) -> Server:
        return Server(self.address, self.port, self.host_key)


class _Vendor(Model):
    id: VendorText
    name: Bilingual
    systems: Annotated[tuple[System, ...], at_least_one(), no_two_alike()]
    keys: Annotated[tuple[AnyKey, ...], at_least_one()]
    packagers: Annotated[tuple[PersonText, ...], at_least_one(), no_two_alike()] | None = None
    servers: Annotated[tuple[_Server, ...], at_least_one()] | None = None


class _Row(Model):
    role: RoleText
    count: Annotated[int, reads(whole(1, 100))]


class _Rule(Model):
    approvals: Annotated[tuple[_Row, ...], at_least_one()]
    people: Annotated[int, reads(whole(1, 100))]
    tests: Annotated[tuple[Annotated[TestStage, reads(one_of(TestStage))], ...], no_two_alike()]
    acceptance: Annotated[tuple[_Row, ...], at_least_one()]
    approval_hours: Annotated[int, reads(whole(1, LONGEST_APPROVAL_HOURS))]

    def to_domain(self) -> Rule:
        return Rule(
            approvals=tuple(Row(row.role, row.count) for row in self.approvals),
            people=self.people,
            tests=self.tests,
            acceptance=tuple(Row(row.role, row.count) for row in self.acceptance),
            approval_hours=self.approval_hours,
        )


class _Paper(Model):
    """Who attests what others signed on paper, and the roles for which paper is enough."""

    custodian: RoleText
    roles: Annotated[tuple[RoleText, ...], at_least_one(), no_two_alike()]

    def findings(self) -> Iterator[Finding]:
        if self.custodian in self.roles:
            yield Finding(("roles", self.roles.index(self.custodian)), "duplicate-value", {"found": self.custodian})

    def to_domain(self) -> PaperRule:
        return PaperRule(self.custodian, self.roles)


class _Policy(Model):
    site: SiteText
    repository: _Repository
    expires: Instant
    root: _Root
    roles: dict[RoleText, Annotated[Organisation, reads(one_of(Organisation))]]
    people: Annotated[tuple[_Person, ...], at_least_one()]
    vendors: Annotated[tuple[_Vendor, ...], at_least_one()]
    rules: Annotated[dict[Annotated[Kind, reads(one_of(Kind))], _Rule], at_least_one()]
    paper: _Paper | None = None

    def findings(self) -> Iterator[Finding]:
        yield from repeated(("people", n, "id", person.id) for n, person in enumerate(self.people))
        yield from repeated(("vendors", n, "id", vendor.id) for n, vendor in enumerate(self.vendors))
        yield from self._keys_held_twice()
        for n, person in enumerate(self.people):
            for m, role in enumerate(person.roles):
                yield from self._role_fault(("people", n, "roles", m), role, person.organisation)
        yield from self._paper_faults()
        for kind, rule in self.rules.items():
            yield from self._rule_faults(kind, rule)

    def _keys_held_twice(self) -> Iterator[Finding]:
        """Two people with one key would be one person with two votes."""
        holders: dict[str, str] = {}
        for member, at, key in _held_keys(self.people, self.vendors):
            if key.public in holders:
                yield Finding(at, "key-held-twice", {"found": member, "first": holders[key.public]})
            holders.setdefault(key.public, member)

    def _role_fault(self, at: tuple[Step, ...], role: RoleId, organisation: Organisation | None) -> Iterator[Finding]:
        if role not in self.roles:
            yield Finding(at, "role-unknown", {"expected": " | ".join(self.roles), "found": role})
        elif organisation is not None and self.roles[role] is not organisation:
            fields = {"found": role, "expected": self.roles[role].value, "organisation": organisation.value}
            yield Finding(at, "role-of-others", fields)

    def _paper_faults(self) -> Iterator[Finding]:
        """Paper is the hospital's: its custodian, and whoever signs on it."""
        if self.paper is None:
            return
        places: tuple[tuple[tuple[Step, ...], RoleId], ...] = (
            (("paper", "custodian"), self.paper.custodian),
            *((("paper", "roles", n), role) for n, role in enumerate(self.paper.roles)),
        )
        for at, role in places:
            yield from self._role_fault(at, role, Organisation.HOSPITAL)

    def _able_to_sign(self, part: str) -> dict[PersonId, frozenset[RoleId]]:
        """The roles in which each active person can sign: without a key, those for which paper is enough."""
        paper = frozenset(self.paper.roles) if self.paper and part == "approvals" else frozenset[RoleId]()
        return {p.id: frozenset(p.roles) if p.keys else frozenset(p.roles) & paper for p in self.people if p.active}

    def _rule_faults(self, kind: Kind, rule: "_Rule") -> Iterator[Finding]:
        at = ("rules", kind.value)
        unknown = False
        for part, rows in (("approvals", rule.approvals), ("acceptance", rule.acceptance)):
            for n, row in enumerate(rows):
                for fault in self._role_fault((*at, part, n, "role"), row.role, None):
                    unknown = True
                    yield fault
            if not unknown and (empty := unfilled((Row(r.role, r.count) for r in rows), self._able_to_sign(part))):
                missing = ", ".join(f"{row.role} {row.count}" for row in empty)
                yield Finding((*at, part), "rows-unfilled", {"found": missing})
        if not unknown and Organisation.HOSPITAL not in {self.roles[r.role] for r in rule.approvals}:
            yield Finding((*at, "approvals"), "hospital-not-asked", {})
        needed = sum(row.count for row in rule.approvals)
        if rule.people < needed:
            yield Finding((*at, "people"), "wrong-value", {"expected": f"≥ {needed}", "found": rule.people})

    def to_domain(self, version: int, issued: datetime) -> Trust:
        def keys(dated: tuple[_DatedKey, ...]) -> tuple[Key, ...]:
            return tuple(key.to_domain(issued, self.expires) for key in dated)

        return Trust(
            format=FORMAT,
            site=self.site,
            version=version,
            repository=Repository(self.repository.id, self.repository.url, self.repository.branch),
            issued=issued,
            expires=self.expires,
            root=Root(self.root.threshold, self.root.keys),
            roles={str(role): organisation for role, organisation in self.roles.items()},
            people=tuple(
                Person(
                    id=person.id,
                    name=person.name.as_mapping(),
                    organisation=person.organisation,
                    active=person.active,
                    roles=person.roles,
                    keys=keys(person.keys),
                )
                for person in self.people
            ),
            vendors=tuple(
                Vendor(
                    id=vendor.id,
                    name=vendor.name.as_mapping(),
                    systems=vendor.systems,
                    keys=keys(vendor.keys),
                    packagers=vendor.packagers,
                    servers=tuple(server.to_domain() for server in vendor.servers) if vendor.servers else None,
                )
                for vendor in self.vendors
            ),
            rules={kind.value: rule.to_domain() for kind, rule in self.rules.items()},
            paper=self.paper.to_domain() if self.paper else None,
        )


def _never_valid(document: Document[_Policy], trust: Trust) -> Iterator[Problem]:
    """Times that leave a key, or the whole policy, no moment to count in."""
    if trust.expires <= trust.issued:
        fields = {"expected": f"> {plain.to_plain(trust.issued)}", "found": plain.to_plain(trust.expires)}
        yield problem_at(document.file, document.root, ("expires",), "wrong-value", fields)
    for _, at, key in _held_keys(trust.people, trust.vendors):
        if key.valid_from >= key.valid_until:
            fields = {"valid_from": plain.to_plain(key.valid_from), "valid_until": plain.to_plain(key.valid_until)}
            yield problem_at(document.file, document.root, at, "key-never-valid", fields)


def _held_keys(
    people: Iterable[_Holder[K_co]], vendors: Iterable[_Holder[K_co]]
) -> Iterator[tuple[str, tuple[Step, ...], K_co]]:
    """Every key: who holds it, and where it stands in the file."""
    for part, members in (("people", people), ("vendors", vendors)):
        for n, member in enumerate(members):
            for m, key in enumerate(member.keys):
                yield member.id, (part, n, "keys", m), key


def _weak(document: Document[_Policy], trust: Trust) -> Iterator[Problem]:
    """The last word is the domain's: what it calls weak is refused, whether or not it was told above in other words."""
    for fault in weaknesses(trust):
        path, _, _ = fault.partition(":")
        yield problem_at(document.file, document.root, tuple(path.split(".")), "policy-weak", {"found": fault})
