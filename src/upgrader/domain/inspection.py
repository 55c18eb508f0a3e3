"""What was seen of a build before anything ran: shown to people, and never a reason to trust it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from upgrader.domain.build_kind import BuildKind


@dataclass(frozen=True, slots=True)
class BuildFacts:
    """`files` regular files of `total_bytes` once unpacked. `says` is what the build says of itself, by field."""

    kind: BuildKind
    files: int
    total_bytes: int
    says: Mapping[str, str] = field(default_factory=dict)
