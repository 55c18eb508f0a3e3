"""Enrolment: a person proves that they hold a new key, by signing with it that it is theirs.

The proof is kept in the trust file with the key, so an auditor can verify it years later. It shows who holds the key,
not that the name is right: whoever holds a root key compares the fingerprint with the person before they sign.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from upgrader.domain import canonical, plain
from upgrader.domain.approval.record import LARGEST_RECORD
from upgrader.domain.approval.trust import Key, Possession
from upgrader.domain.errors import Refused
from upgrader.domain.names import PersonId, SiteId

CLOCKS_DIFFER = timedelta(minutes=5)
PROOF_LIVES = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What the new key signs: at this site this person wants to sign with this very key."""

    format: str
    site: SiteId
    person: PersonId
    key: str
    issued: datetime
    expires: datetime
    nonce: str
    reason: str

    FORMAT = "upgrader.enrolment/1"

    def to_bytes(self) -> bytes:
        return canonical.serialise(plain.to_plain(self))

    @property
    def file_name(self) -> str:
        return f"enrol_{self.person}_{self.nonce[:8]}.json"


@dataclass(frozen=True, slots=True)
class Proven:
    """An enrolment beside the signature that was made with its own key."""

    enrolment: Enrolment
    signature: bytes

    @property
    def possession(self) -> Possession:
        """What the trust file keeps of it."""
        asked = self.enrolment
        lines = tuple(self.signature.decode("ascii").splitlines())
        return Possession(asked.issued, asked.expires, asked.nonce, asked.reason, lines)


def read_enrolment(content: bytes, name: str) -> Enrolment:
    """Read an enrolment. Raises Refused: not canonical, too large, or something else."""
    value = canonical.parse(content, name=name, largest=LARGEST_RECORD)
    try:
        enrolment = plain.from_plain(Enrolment, value)
    except (ValueError, TypeError) as error:
        raise Refused("record-malformed", file=name, found=str(error)[:200]) from error
    if enrolment.format != Enrolment.FORMAT or enrolment.to_bytes() != content:
        raise Refused("record-malformed", file=name, found=enrolment.format)
    return enrolment


def proven(site: SiteId, person: PersonId, key: Key) -> Proven | None:
    """The enrolment as it was signed, put together again from the trust file; None for a key without a proof."""
    if key.possession is None:
        return None
    kept = key.possession
    enrolment = Enrolment(
        format=Enrolment.FORMAT,
        site=site,
        person=person,
        key=key.public,
        issued=kept.issued,
        expires=kept.expires,
        nonce=kept.nonce,
        reason=kept.reason,
    )
    return Proven(enrolment, "".join(f"{line}\n" for line in kept.signature).encode())


def check_enrolment(enrolment: Enrolment, site: SiteId, at: datetime) -> None:
    """Raise Refused for an enrolment of another site, one that has run out, or one from the future."""
    fields = {"person": enrolment.person, "file": enrolment.file_name}
    if enrolment.site != site:
        raise Refused("enrolment-elsewhere", **fields, expected=site, found=enrolment.site)
    if not enrolment.issued - CLOCKS_DIFFER <= at < enrolment.expires:
        raise Refused("enrolment-expired", **fields, issued=enrolment.issued, expires=enrolment.expires)
    if enrolment.expires - enrolment.issued > PROOF_LIVES:
        raise Refused("enrolment-expired", **fields, issued=enrolment.issued, expires=enrolment.expires)
