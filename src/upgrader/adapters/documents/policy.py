"""policy.yml: whom the hospital trusts and what its rules ask for; compiled into a Trust, which is what people sign."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Annotated

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
    at_least_one,
    no_two_alike,
    problem_at,
    reads,
    short_for,
)
from upgrader.adapters.documents.policy_rows import findings
from upgrader.adapters.documents.reading import Document, invalid, read_document
from upgrader.adapters.documents.values import matching, one_of, whole
from upgrader.domain.approval.record import TestStage
from upgrader.domain.approval.trust import (
    FORMAT,
    LONGEST_DEBT_HOURS,
    LONGEST_EMERGENCY_HOURS,
    Key,
    KnownBadRule,
    Organisation,
    PaperRule,
    Person,
    Proof,
    Repository,
    Role,
    Root,
    Row,
    Rule,
    Server,
    Trust,
    Vendor,
    weaknesses,
)
from upgrader.domain.changes.request import Kind
from upgrader.domain.errors import Problem

LONGEST_APPROVAL_HOURS = 14 * 24
LETTERS = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
ADDRESS = r"(/|https?://|ssh://|file:///)[A-Za-z0-9._@:/~+-]+|[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[A-Za-z0-9._/~+-]+"


def read_policy(content: bytes, file: str, *, version: int, issued: datetime) -> Trust:
    """Compile a policy.yml into version `version` of the trust file.

    Raises BadInput `document-invalid` with everything that is wrong with it, rules that would protect nobody included.
    """
    document = read_document(_Policy, content, file, across=partial(findings, issued=issued))
    trust = document.model.to_domain(version, issued)
    if problems := list(_weak(document, trust)):
        raise invalid(file, problems)
    return trust


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


class _Role(Model):
    organisation: Annotated[Organisation, reads(one_of(Organisation))]
    name: Bilingual | None = None
    proof: Annotated[Proof, reads(one_of(Proof))] | None = None

    def to_domain(self, id: str) -> Role:
        name = self.name.as_mapping() if self.name else {"zh": id, "en": id}
        return Role(name=name, organisation=self.organisation, proof=self.proof)


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
    window_hours: Annotated[int, reads(whole(1, LONGEST_EMERGENCY_HOURS))] | None = None
    debt_hours: Annotated[int, reads(whole(1, LONGEST_DEBT_HOURS))] | None = None

    def to_domain(self) -> Rule:
        return Rule(
            approvals=tuple(Row(row.role, row.count) for row in self.approvals),
            people=self.people,
            tests=self.tests,
            acceptance=tuple(Row(row.role, row.count) for row in self.acceptance),
            approval_hours=self.approval_hours,
            window_hours=self.window_hours,
            debt_hours=self.debt_hours,
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


class _KnownBad(Model):
    """Whose signatures lift the block of a release that was found bad."""

    unblock: Annotated[tuple[_Row, ...], at_least_one()]

    def to_domain(self) -> KnownBadRule:
        return KnownBadRule(tuple(Row(row.role, row.count) for row in self.unblock))


class _Policy(Model):
    site: SiteText
    repository: _Repository
    expires: Instant
    root: _Root
    roles: dict[RoleText, Annotated[_Role, short_for("organisation")]]
    people: Annotated[tuple[_Person, ...], at_least_one()]
    vendors: Annotated[tuple[_Vendor, ...], at_least_one()]
    rules: Annotated[dict[Annotated[Kind, reads(one_of(Kind))], _Rule], at_least_one()]
    paper: _Paper | None = None
    inspection: Annotated[tuple[_Row, ...], at_least_one()] | None = None
    known_bad: _KnownBad | None = None

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
            roles={str(id): role.to_domain(id) for id, role in self.roles.items()},
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
            inspection=tuple(Row(row.role, row.count) for row in self.inspection) if self.inspection else None,
            known_bad=self.known_bad.to_domain() if self.known_bad else None,
        )


def _weak(document: Document[_Policy], trust: Trust) -> Iterator[Problem]:
    """The last word is the domain's: what it calls weak is refused, should nothing have told it in other words."""
    for fault in weaknesses(trust):
        path, _, _ = fault.partition(":")
        yield problem_at(document.file, document.root, tuple(path.split(".")), "policy-weak", {"found": fault})
