"""What is wrong between the rows of a policy: keys that two people hold, roles of others, rules that nobody can fill.

Read from the nodes and not from the finished model: so it is told beside every mistake in single values, in one round.
A value that can't be read is told elsewhere; here it is taken as what would do the least harm.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TypeVar

from upgrader.adapters.documents.models import Finding, Step, repeated
from upgrader.adapters.documents.public_keys import read_public_key
from upgrader.adapters.documents.values import instant
from upgrader.adapters.documents.yaml_nodes import Items, Keys, Node, Text
from upgrader.domain import plain
from upgrader.domain.approval.trust import LONGEST_EMERGENCY_HOURS, Organisation, Row, unfilled
from upgrader.domain.changes.request import Kind
from upgrader.domain.names import PersonId, RoleId

V = TypeVar("V")
Path = tuple[Step, ...]


def findings(root: Keys, *, issued: datetime) -> Iterator[Finding]:
    """Everything that is wrong between the values of a policy, as far as they can be read."""
    policy = _Written(root, issued)
    yield from repeated((part, n, "id", id) for part in ("people", "vendors") for n, id in policy.ids(part))
    yield from policy.expiry_faults()
    yield from policy.key_faults()
    yield from policy.holder_faults()
    yield from policy.paper_faults()
    yield from policy.other_faults()
    for kind in policy.rules:
        yield from policy.rule_faults(kind)
        yield from policy.emergency_faults(kind)


@dataclass(frozen=True)
class _Written:
    """The policy as somebody wrote it."""

    root: Keys
    issued: datetime

    @cached_property
    def roles(self) -> Mapping[str, Organisation | None]:
        """The organisation of each role; None where it can't be read."""
        roles = _keys(self.root, "roles").items()
        return {
            id: _organisation(role if isinstance(role, Text) else _under(role, "organisation")) for id, role in roles
        }

    @cached_property
    def rules(self) -> Mapping[str, Node]:
        return _keys(self.root, "rules")

    @property
    def expires(self) -> datetime | None:
        return _read(instant, self.root.get("expires"))

    def ids(self, part: str) -> Iterator[tuple[int, str]]:
        for n, member in enumerate(_items(self.root, part)):
            if isinstance(id := _under(member, "id"), Text):
                yield n, str(id)

    def members(self) -> Iterator[tuple[str, Path, Node]]:
        for part in ("people", "vendors"):
            for n, member in enumerate(_items(self.root, part)):
                yield str(_under(member, "id") or "?"), (part, n), member

    def expiry_faults(self) -> Iterator[Finding]:
        if self.expires is not None and self.expires <= self.issued:
            fields = {"expected": f"> {plain.to_plain(self.issued)}", "found": plain.to_plain(self.expires)}
            yield Finding(("expires",), "wrong-value", fields)

    def key_faults(self) -> Iterator[Finding]:
        """A key that two hold would be one person with two votes; a key that never counts is a slip of the pen."""
        holders: dict[str, str] = {}
        for id, at, member in self.members():
            for m, key in enumerate(_items(member, "keys")):
                written = key if isinstance(key, Text) else _under(key, "public")
                public = read_public_key(str(written)) if isinstance(written, Text) else None
                if isinstance(public, str) and public in holders:
                    yield Finding((*at, "keys", m), "key-held-twice", {"found": id, "first": holders[public]})
                elif isinstance(public, str):
                    holders[public] = id
                yield from self._never_valid((*at, "keys", m), key)

    def _never_valid(self, at: Path, key: Node) -> Iterator[Finding]:
        start = _read(instant, _under(key, "valid_from")) or self.issued
        end = _read(instant, _under(key, "valid_until")) or self.expires
        if end is not None and start >= end and not (self.expires is not None and self.expires <= self.issued):
            fields = {"valid_from": plain.to_plain(start), "valid_until": plain.to_plain(end)}
            yield Finding(at, "key-never-valid", fields)

    def holder_faults(self) -> Iterator[Finding]:
        for n, person in enumerate(_items(self.root, "people")):
            organisation = _organisation(_under(person, "organisation"))
            for m, role in enumerate(_items(person, "roles")):
                if isinstance(role, Text):
                    yield from self._role_fault(("people", n, "roles", m), str(role), organisation)

    def _role_fault(self, at: Path, role: str, organisation: Organisation | None) -> Iterator[Finding]:
        if role not in self.roles:
            yield Finding(at, "role-unknown", {"expected": " | ".join(self.roles), "found": role})
            return
        theirs = self.roles[role]
        if organisation is not None and theirs is not None and theirs is not organisation:
            yield Finding(
                at, "role-of-others", {"found": role, "expected": theirs.value, "organisation": organisation.value}
            )

    def paper_faults(self) -> Iterator[Finding]:
        """Paper is the hospital's: its custodian, and whoever signs on it."""
        paper = self.root.get("paper")
        places: list[tuple[Path, object]] = [(("paper", "custodian"), _under(paper, "custodian"))]
        places += [(("paper", "roles", n), role) for n, role in enumerate(_items(paper, "roles"))]
        for at, role in places:
            if isinstance(role, Text):
                yield from self._role_fault(at, str(role), Organisation.HOSPITAL)

    def other_faults(self) -> Iterator[Finding]:
        """Rows that belong to no kind of change: who lets hosts be inspected, and who lifts a block."""
        yield from self._row_faults((), self.root, "inspection", of=Organisation.HOSPITAL)
        yield from self._row_faults(("known_bad",), self.root.get("known_bad"), "unblock")

    def rule_faults(self, kind: str) -> Iterator[Finding]:
        at, rule = ("rules", kind), self.rules[kind]
        yield from self._row_faults(at, rule, "approvals")
        yield from self._row_faults(at, rule, "acceptance")
        people, needed = _read(_count, _under(rule, "people")), sum(row.count for row in _rows(rule, "approvals"))
        if people is not None and people < needed:
            yield Finding((*at, "people"), "wrong-value", {"expected": f"≥ {needed}", "found": people})

    def _row_faults(
        self, at: Path, holder: Node | None, part: str, of: Organisation | None = None
    ) -> Iterator[Finding]:
        """Roles that nobody wrote down; otherwise rows that nobody can fill, or in which the hospital has no say."""
        written = [(n, role) for n, row in enumerate(_items(holder, part)) if (role := _role(_under(row, "role")))]
        unknown = [fault for n, role in written for fault in self._role_fault((*at, part, n, "role"), role, of)]
        yield from unknown
        if unknown or holder is None:
            return
        rows = _rows(holder, part)
        if empty := unfilled(rows, self._able_to_sign(part)):
            missing = ", ".join(f"{row.role} {row.count}" for row in empty)
            yield Finding((*at, part), "rows-unfilled", {"found": missing})
        asked = {self.roles.get(row.role) for row in rows}
        if part != "acceptance" and rows and not asked & {Organisation.HOSPITAL, None}:
            yield Finding((*at, part), "hospital-not-asked", {})

    def emergency_faults(self, kind: str) -> Iterator[Finding]:
        """What an emergency alone has to say, and what it can't do without."""
        at, rule = ("rules", kind), self.rules[kind]
        names = ("window_hours", "debt_hours")
        if kind != Kind.EMERGENCY:
            yield from (Finding((*at, name), "emergency-only", {}) for name in names if _under(rule, name) is not None)
            return
        yield from (Finding((*at, name), "emergency-needs", {"name": name}) for name in names if _is_absent(rule, name))
        hours = _read(_count, _under(rule, "approval_hours"))
        if hours is not None and hours > LONGEST_EMERGENCY_HOURS:
            fields = {"expected": f"1…{LONGEST_EMERGENCY_HOURS}", "found": hours}
            yield Finding((*at, "approval_hours"), "wrong-value", fields)
        if Kind.NORMAL not in self.rules:
            yield Finding(at, "emergency-needs", {"name": "rules.normal"})

    def _able_to_sign(self, part: str) -> Mapping[PersonId, frozenset[RoleId]]:
        """The roles in which each active person can sign: without a key that is not revoked, those of paper.

        What can't be read is taken as meant well.
        """
        on_paper = _items(self.root.get("paper"), "roles") if part == "approvals" else ()
        paper = frozenset(role for role in map(_role, on_paper) if role)
        able = {}
        for n, person in enumerate(_items(self.root, "people")):
            keys = [key for key in _items(person, "keys") if not self._is_revoked(key)]
            if str(_under(person, "active")) != "false":
                roles = frozenset(role for role in map(_role, _items(person, "roles")) if role)
                able[PersonId(f"p{n}")] = roles if keys else roles & paper
        return able

    def _is_revoked(self, key: Node) -> bool:
        revoked = _read(instant, _under(key, "revoked"))
        return revoked is not None and revoked <= self.issued


def _rows(rule: Node, part: str) -> tuple[Row, ...]:
    found = [(_role(_under(row, "role")), _read(_count, _under(row, "count"))) for row in _items(rule, part)]
    return tuple(Row(role, count) for role, count in found if role and count)


def _role(node: object) -> RoleId | None:
    return _read(lambda text: RoleId(str(text)), node)


def _count(node: object) -> int:
    return int(str(node))


def _organisation(node: object) -> Organisation | None:
    return _read(lambda text: Organisation(str(text)), node)


def _read(reader: Callable[[object], V], node: object) -> V | None:
    """What stands there; None when nothing does, or nothing that can be read."""
    if not isinstance(node, Text):
        return None
    try:
        return reader(node)
    except ValueError:
        return None


def _under(node: object, key: str) -> Node | None:
    """The value of a key; None where there is none, or `node` is no mapping."""
    return node.get(key) if isinstance(node, Keys) else None


def _is_absent(rule: Node, name: str) -> bool:
    return isinstance(rule, Keys) and name not in rule


def _keys(node: Node, key: str) -> Mapping[str, Node]:
    found = _under(node, key)
    return found if isinstance(found, Keys) else {}


def _items(node: object, key: str) -> Iterable[Node]:
    found = _under(node, key)
    return found if isinstance(found, Items) else ()
