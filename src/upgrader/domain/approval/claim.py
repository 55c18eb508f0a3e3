"""A claim: that somebody signed exactly these bytes for one meaning. Verifying it is what makes it a fact."""

from dataclasses import dataclass

from upgrader.domain.approval.enrolment import Proven
from upgrader.domain.approval.record import Namespace
from upgrader.domain.approval.trust import Key, Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """`principal`, with one of `keys`, signed `content`. A bare public key has no time limits.

    `file` names the signature in a refusal. `proof` is what a token must show besides, where the role asks for one.
    """

    content: bytes
    signature: bytes
    namespace: Namespace
    principal: str
    keys: tuple[Key | str, ...]
    file: str = "-"
    proof: Proof | None = None


def enrolment_claim(proven: Proven) -> Claim:
    """That an enrolment was signed with the very key that it names."""
    asked = proven.enrolment
    return Claim(
        content=asked.to_bytes(),
        signature=proven.signature,
        namespace=Namespace.ENROLMENT,
        principal=asked.person,
        keys=(asked.key,),
        file=asked.file_name,
    )
