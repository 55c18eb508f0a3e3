# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host says, as text that every reader and every file takes: vendors' programs speak UTF-8, GBK, or neither."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNREADABLE = "\N{REPLACEMENT CHARACTER}"
TORN = 3  # a character of UTF-8 that was cut leaves at most so many bytes


def readable(told: Mapping[str, Any]) -> dict[str, Any]:
    """The facts without a byte that is no character. Bytes that are not UTF-8 are expected as surrogates."""
    return {name: as_text(value) if isinstance(value, str) else value for name, value in told.items()}


def as_text(said: str) -> str:
    """As UTF-8, of which a character may be cut; else as GB18030, which holds GBK; what is neither is marked."""
    if said.isascii():
        return said
    raw = said.encode("utf-8", "surrogateescape")
    text = raw.decode("utf-8", "replace")
    if text.count(UNREADABLE) <= TORN:
        return text
    return raw.decode("gb18030", "replace")
