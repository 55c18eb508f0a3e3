"""Who is acting: their id and their own key, or an error that says how to name them."""

from dataclasses import dataclass
from pathlib import Path

from upgrader.domain.approval.claim import Claim
from upgrader.domain.approval.record import Namespace
from upgrader.domain.approval.trust import Trust
from upgrader.domain.errors import PreflightFailed, Refused
from upgrader.domain.names import PersonId, RoleId
from upgrader.flow.site import Site


def acting_person(site: Site) -> PersonId:
    """The person who acts. Raises PreflightFailed `person-not-named`."""
    if site.person is None:
        raise PreflightFailed("person-not-named")
    return site.person


def signing_key(site: Site) -> Path:
    """The acting person's key file. Raises PreflightFailed `key-not-named` or `key-not-found`."""
    if site.key is None:
        raise PreflightFailed("key-not-named")
    if not site.key.is_file():
        raise PreflightFailed("key-not-found", file=site.key)
    return site.key


@dataclass(frozen=True, slots=True)
class Hand:
    """Who signs, and in which role; None where no role is needed."""

    person: PersonId
    role: RoleId | None = None


def sign_as(site: Site, trust: Trust, hand: Hand, content: bytes, namespace: Namespace, file: str) -> bytes:
    """Sign with the acting person's own key, and look at the signature as the gate will.

    Raises Refused when it could never count (`key-not-known`, `person-not-active`, …): on the branch it would stand in
    everybody's way, and nobody may take a record away from there.
    """
    signature = site.signatures.sign(content, namespace, signing_key(site))
    member = trust.person(hand.person)
    if member is None or not member.active:
        raise Refused("person-not-active", person=hand.person, file=file)
    claim = Claim(
        content=content,
        signature=signature,
        namespace=namespace,
        principal=member.id,
        keys=member.keys,
        file=file,
        proof=trust.proof_of(hand.role),
    )
    site.signatures.verify(claim, site.clock())
    return signature
