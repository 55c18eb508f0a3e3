"""A SHA-256 digest (FIPS 180-4): the name by which every byte that matters is known."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """If you hold one, it is well formed."""

    hex: str

    def __post_init__(self) -> None:
        if not HEX.fullmatch(self.hex):
            raise ValueError(f"expected 64 hexadecimal digits, found {self.hex[:80]!r}")

    @classmethod
    def of(cls, content: bytes) -> Self:
        return cls(hashlib.sha256(content).hexdigest())

    @classmethod
    def of_chunks(cls, chunks: Iterable[bytes]) -> Self:
        """The digest of a stream, with one chunk in memory at a time."""
        running = hashlib.sha256()
        for chunk in chunks:
            running.update(chunk)
        return cls(running.hexdigest())

    @property
    def short(self) -> str:
        """Two groups of four digits: enough to compare by eye, never enough to decide."""
        return f"{self.hex[:4]} {self.hex[4:8]}"

    def __str__(self) -> str:
        return self.hex
