"""How one version of the trust file becomes the next: what may follow, and what changed, computed from the two.

What changed is never stored: a stored sentence could say something else than the file.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from upgrader.domain import plain
from upgrader.domain.approval.enrolment import Proven
from upgrader.domain.approval.trust import Key, Person, Trust, Vendor
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused
from upgrader.domain.names import PersonId

Holder = Person | Vendor


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a version changed. `code` names its text; a field `key` is a public key."""

    code: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Revocation:
    """Whose keys end when. Without a `key`, all of them; `leaves` says that the person signs nothing any more."""

    holder: PersonId
    at: datetime
    key: str | None
    leaves: bool


def following(before: Trust, *, issued: datetime, reason: str) -> Trust:
    """The next version, in which nothing is changed yet."""
    return replace(
        before,
        version=before.version + 1,
        issued=issued,
        reason=reason,
        previous=Digest.of(before.to_bytes()),
    )


def merged(policy: Trust, before: Trust) -> Trust:
    """A policy as the version after `before`. Keys and departures are the trust file's own: no policy undoes them.

    A key that the policy does not name stays, a revoked one stays revoked, and who left comes back by enrolling only.
    """
    people = tuple(
        replace(person, active=person.active and old.active, keys=_keys(person, old, policy, before))
        if (old := before.person(person.id))
        else person
        for person in policy.people
    )
    vendors = tuple(
        replace(vendor, keys=_keys(vendor, known, policy, before)) if (known := before.vendor(vendor.id)) else vendor
        for vendor in policy.vendors
    )
    return replace(policy, people=people, vendors=vendors, previous=Digest.of(before.to_bytes()))


def enrolled(trust: Trust, proofs: Iterable[Proven], until: datetime | None = None) -> Trust:
    """Add proven keys, each to its own person, who counts as active from now on.

    A key that stands there without a proof gets one. Raises Refused for a person whom the trust file does not know, and
    for a key that is proven already, or was revoked.
    """
    for proven in proofs:
        asked = proven.enrolment
        person = trust.person(asked.person)
        if person is None:
            raise Refused("enrolment-of-nobody", person=asked.person, file=asked.file_name)
        key = Key(public=asked.key, valid_from=trust.issued, valid_until=until or trust.expires)
        there = next((one for one in person.keys if _id(one) == _id(key)), None)
        if there is not None and (there.possession or there.revoked):
            raise Refused("key-enrolled-already", person=person.id, file=asked.file_name)
        others = tuple(one for one in person.keys if one is not there)
        proven_key = replace(there or key, possession=proven.possession)
        trust = _with_person(trust, replace(person, active=True, keys=(*others, proven_key)))
    return trust


def revoked(trust: Trust, revocation: Revocation) -> Trust:
    """End keys at a time, for ever. Raises Refused `key-not-known` or `person-not-active` when there is none."""
    person, vendor = trust.person(revocation.holder), trust.vendor(revocation.holder)
    holder: Holder | None = person or vendor
    if holder is None:
        raise Refused("person-not-active", person=revocation.holder, file="-")
    ended = [key for key in holder.keys if revocation.key in (None, key.public)]
    if not ended and not (revocation.leaves and person):
        raise Refused("key-not-known", person=revocation.holder, key=revocation.key or "-", file="-")
    keys = tuple(_ended(key, revocation.at) if key in ended else key for key in holder.keys)
    if person is None:
        vendors = tuple(replace(v, keys=keys) if v.id == revocation.holder else v for v in trust.vendors)
        return replace(trust, vendors=vendors)
    return _with_person(trust, replace(person, active=person.active and not revocation.leaves, keys=keys))


def check_follows(trust: Trust, earlier: Sequence[Trust], before: Digest) -> None:
    """Raise Refused unless `trust` may follow the versions before it; `before` is the SHA-256 of the last one's file.

    1. the same site   2. exactly this version before it   3. new keys of people are proven   4. revoked is for ever
    """
    last = earlier[-1]
    if trust.site != last.site:
        raise Refused("trust-other-site", version=trust.version, expected=last.site, found=trust.site)
    if trust.previous is not None and trust.previous != before:
        raise Refused("trust-not-following", version=trust.version, expected=trust.previous.short, found=before.short)
    for person, key in new_keys(trust, last):
        if key.possession is None:
            raise Refused("key-not-proven", person=person.id, version=trust.version)
    ends = _ends(earlier)
    for holder, key in _held(trust):
        end = ends.get(_id(key))
        if end is not None and (key.revoked is None or key.revoked > end):
            raise Refused("key-was-revoked", person=holder.id, version=trust.version, at=end)


def new_keys(trust: Trust, before: Trust | None) -> Iterator[tuple[Person, Key]]:
    """The keys of people that the version before did not have."""
    for person in trust.people:
        old = before.person(person.id) if before else None
        known = {_id(key) for key in old.keys} if old else set()
        yield from ((person, key) for key in person.keys if _id(key) not in known)


def new_proofs(trust: Trust, before: Trust | None) -> Iterator[tuple[Person, Key]]:
    """The keys of people whose proof the version before did not have."""
    for person in trust.people:
        old = before.person(person.id) if before else None
        known = {(_id(key), key.possession) for key in old.keys} if old else set()
        yield from ((person, key) for key in person.keys if key.possession and (_id(key), key.possession) not in known)


def differences(trust: Trust, before: Trust) -> Iterator[Difference]:
    """Everything that `trust` changed, in words that a holder of a root key reads before they sign."""
    yield from _member_differences(trust.people, [_kept(person, trust, before) for person in before.people], "person")
    yield from _member_differences(trust.vendors, [_kept(vendor, trust, before) for vendor in before.vendors], "vendor")
    for part in ("rules", "roles"):
        ours, theirs = getattr(trust, part), getattr(before, part)
        names = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
        yield from (Difference(f"{part}-changed", {"name": name}) for name in names)
    for part in ("root", "repository", "paper", "inspection"):
        if getattr(trust, part) != getattr(before, part):
            yield Difference(f"{part}-changed", {})
    if trust.known_bad != before.known_bad:
        yield Difference("known-bad-changed", {})
    if trust.expires != before.expires:
        yield Difference("expires-changed", {"expires": plain.to_plain(trust.expires)})


def _member_differences(ours: Sequence[Holder], theirs: Sequence[Holder], kind: str) -> Iterator[Difference]:
    old, new = {member.id: member for member in theirs}, {member.id: member for member in ours}
    for id in dict.fromkeys((*old, *new)):
        if id not in new:
            yield Difference(f"{kind}-removed", {"name": id})
        elif id not in old:
            yield Difference(f"{kind}-added", {"name": id})
            yield from (Difference("key-enrolled", {"name": id, "key": key.public}) for key in new[id].keys)
        else:
            yield from _holder_differences(new[id], old[id], kind)


def _holder_differences(new: Holder, old: Holder, kind: str) -> Iterator[Difference]:
    if isinstance(new, Person) and isinstance(old, Person):
        if new.active is not old.active:
            yield Difference("person-returned" if new.active else "person-left", {"name": new.id})
        yield from (Difference("role-given", {"name": new.id, "role": r}) for r in new.roles if r not in old.roles)
        yield from (Difference("role-taken", {"name": new.id, "role": r}) for r in old.roles if r not in new.roles)
        old = replace(old, active=new.active, roles=new.roles)
    known, held = {_id(key): key for key in old.keys}, {_id(key): key for key in new.keys}
    for id, key in held.items():
        fields = {"name": str(new.id), "key": key.public}
        if id not in known:
            yield Difference("key-enrolled", fields)
        elif key.revoked != known[id].revoked and key.revoked is not None:
            yield Difference("key-revoked", {**fields, "at": plain.to_plain(key.revoked)})
        elif key.possession != known[id].possession:
            yield Difference("key-proven", fields)
        elif key != known[id]:
            yield Difference("key-changed", {**fields, "until": plain.to_plain(key.valid_until)})
    yield from (Difference("key-removed", {"name": new.id, "key": known[id].public}) for id in known if id not in held)
    if replace(old, keys=new.keys) != new:
        yield Difference(f"{kind}-changed", {"name": new.id})


def _keys(holder: Holder, old: Holder, policy: Trust, before: Trust) -> tuple[Key, ...]:
    known = {_id(key): key for key in old.keys}
    named = {_id(key) for key in holder.keys}
    ours = (_carried(key, known.get(_id(key)), policy) for key in holder.keys)
    left = (_renewed(key, policy, before) for id, key in known.items() if id not in named)
    return (*ours, *left)


def _carried(key: Key, old: Key | None, policy: Trust) -> Key:
    """A key that stood there before counts from when it counted first, and its end is never taken back."""
    if old is None:
        return key
    ends = [end for end in (key.revoked, old.revoked) if end is not None]
    start = old.valid_from if key.valid_from == policy.issued else key.valid_from
    return replace(key, valid_from=start, revoked=min(ends, default=None), possession=old.possession)


def _renewed(key: Key, policy: Trust, before: Trust) -> Key:
    """A key that was to count as long as the trust file goes on to do so."""
    return replace(key, valid_until=policy.expires) if key.valid_until == before.expires else key


def _kept(holder: Holder, policy: Trust, before: Trust) -> Holder:
    """A holder of the version before, with keys that go on only because the trust file does: nothing to tell of."""
    return replace(holder, keys=tuple(_renewed(key, policy, before) for key in holder.keys))


def _ended(key: Key, at: datetime) -> Key:
    return replace(key, revoked=at if key.revoked is None else min(at, key.revoked))


def _ends(earlier: Iterable[Trust]) -> dict[tuple[str, ...], datetime]:
    """Every key that any version revoked, and its earliest end."""
    ends: dict[tuple[str, ...], datetime] = {}
    for trust in earlier:
        for _, key in _held(trust):
            if key.revoked is not None:
                ends[_id(key)] = min(key.revoked, ends.get(_id(key), key.revoked))
    return ends


def _held(trust: Trust) -> Iterator[tuple[Holder, Key]]:
    everybody: tuple[Holder, ...] = (*trust.people, *trust.vendors)
    return ((holder, key) for holder in everybody for key in holder.keys)


def _with_person(trust: Trust, person: Person) -> Trust:
    return replace(trust, people=tuple(person if one.id == person.id else one for one in trust.people))


def _id(key: Key) -> tuple[str, ...]:
    """A key without its comment."""
    return tuple(key.public.split()[:2])
