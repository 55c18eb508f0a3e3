"""What was seen of a build before anything ran: shown to people, and never a reason to trust it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from upgrader.domain.releases.build_kind import BuildKind


class SignatureScheme(StrEnum):
    """A signature that the build's own platform knows."""

    AUTHENTICODE = "authenticode"  # Windows programs and packages
    OPENPGP = "openpgp"  # Debian packages


class SignatureState(StrEnum):
    """What is known of such a signature. Nothing follows from it: the vendor's word is the one over SHA256SUMS."""

    VALID = "valid"
    BROKEN = "broken"  # the bytes are not those that were signed, or the signature is damaged
    SIGNER_UNKNOWN = "signer-unknown"  # nobody told us whose certificate or key this is, or its time is over
    NONE = "none"
    NOT_CHECKED = "not-checked"  # what would check it is not installed, or it proves too little


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformSignature:
    """`signer` and `issuer` as the signature names them, `signed_at` as a time stamp does (RFC 3339), if it has one."""

    scheme: SignatureScheme
    state: SignatureState
    signer: str | None = None
    issuer: str | None = None
    signed_at: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class BuildFacts:
    """`files` regular files of `total_bytes` once unpacked. `says` is what the build says of itself, by field."""

    kind: BuildKind
    files: int
    total_bytes: int
    says: Mapping[str, str] = field(default_factory=dict)
    signatures: tuple[PlatformSignature, ...] = ()
