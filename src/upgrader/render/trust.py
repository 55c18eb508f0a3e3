"""The trust file for people and for programs: who may do what, and what a version changed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from upgrader.domain import plain
from upgrader.domain.approval.trust import Trust
from upgrader.domain.approval.trust_change import Difference
from upgrader.flow.approval.trust import NextTrust, PastTrust
from upgrader.language import Texts

MOST_VERSIONS = 20
Fingerprint = Callable[[str], str]  # of a public key


def trust(trust: Trust, texts: Texts) -> Sequence[str]:
    """The version in force: people with their roles, vendors with their systems, the rows of each kind of change."""
    language = texts.language
    lines = [texts("trust.head", site=trust.site, version=trust.version, expires=f"{trust.expires:%Y-%m-%d}")]
    for person in trust.people:
        roles = ", ".join(f"{_role(trust, role, texts)} ({role})" for role in person.roles)
        lines.append(f"  {'✓' if person.active else '✗'} {person.id}  {person.name[language]}  {roles}")
    lines += [f"  ✓ {vendor.id}  {vendor.name[language]}  {', '.join(vendor.systems)}" for vendor in trust.vendors]
    for kind, rule in trust.rules.items():
        needed = ", ".join(f"{_role(trust, row.role, texts)} {row.count}" for row in rule.approvals)
        lines.append(f"  {texts(f'kind.{kind}')}: {needed}")
    return lines


def next_trust(made: NextTrust, fingerprint: Fingerprint, texts: Texts) -> Sequence[str]:
    """A version that was made, signed or installed: all of it when it is the first, else what it changes."""
    version = made.trust.version
    lines = list(trust(made.trust, texts)) if version == 1 else [_head(made.trust, texts)]
    lines += _changes(made.changes, made.trust, fingerprint, texts)
    for kind, rows in made.short:
        missing = ", ".join(f"{_role(made.trust, row.role, texts)} {row.count}" for row in rows)
        lines.append(f"  ! {texts('trust.short', kind=kind, roles=missing)}")
    if made.file is not None and not made.installed:
        lines.append(texts("trust.whole" if made.is_whole else "trust.prepared", file=made.file))
    return lines


def trust_history(history: Sequence[PastTrust], fingerprint: Fingerprint, texts: Texts) -> Iterable[str]:
    """The newest versions last: when, why, what changed, and which root keys signed."""
    for past in history[-MOST_VERSIONS:]:
        yield f"  {_head(past.trust, texts)}"
        yield from (f"  {line}" for line in _changes(past.changes, past.trust, fingerprint, texts))
        yield f"    {texts('trust.signed-by', keys=list(past.signers))}"


def next_trust_json(made: NextTrust) -> Mapping[str, Any]:
    return {
        "format": "upgrader.trusted/1",
        "trust": plain.to_plain(made.trust),
        "changes": [_difference_json(change) for change in made.changes],
        "short": [{"kind": kind, "rows": plain.to_plain(list(rows))} for kind, rows in made.short],
        "installed": made.installed,
        "file": str(made.file or ""),
    }


def past_trust_json(past: PastTrust) -> Mapping[str, Any]:
    return {
        "version": past.trust.version,
        "issued": plain.to_plain(past.trust.issued),
        "reason": past.trust.reason or "",
        "changes": [_difference_json(change) for change in past.changes],
        "signers": list(past.signers),
    }


def _difference_json(change: Difference) -> Mapping[str, Any]:
    return {"code": change.code, "fields": dict(change.fields)}


def _head(trust: Trust, texts: Texts) -> str:
    issued = f"{trust.issued:%Y-%m-%d %H:%M}"
    return texts("trust.version", version=trust.version, issued=issued, reason=trust.reason or "-")


def _changes(changes: Iterable[Difference], trust: Trust, fingerprint: Fingerprint, texts: Texts) -> list[str]:
    return [f"  · {texts(f'trust.change.{c.code}', **_fields(c, trust, fingerprint, texts))}" for c in changes]


def _fields(change: Difference, trust: Trust, fingerprint: Fingerprint, texts: Texts) -> Mapping[str, str]:
    fields = dict(change.fields)
    if "key" in fields:
        fields["key"] = fingerprint(fields["key"])
    if "role" in fields:
        fields["role"] = _role(trust, fields["role"], texts)
    return fields


def _role(trust: Trust, id: str, texts: Texts) -> str:
    return trust.roles[id].name.get(texts.language, id) if id in trust.roles else id
