"""Canonical JSON: one value has exactly one spelling, so a signature over bytes is a signature over meaning.

Sorted keys, two spaces of indentation, LF, UTF-8, no floats, no null, one LF at the end. The form is close to RFC 8785
but indented, because people read these files in git before they sign them.
"""

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

from upgrader.domain.errors import Refused

Json = str | int | bool | list[Any] | dict[str, Any]

# What can hide, reorder or break what a signer sees: control, format, surrogate, private use, unassigned, and the
# separators of lines and paragraphs.
HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
LARGEST_DEPTH = 32


def serialise(value: Mapping[str, Any]) -> bytes:
    """Give the canonical bytes of `value`. Raises ValueError for a value that has no canonical form."""
    _check(value, depth=0)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2, separators=(",", ": "))
    return (text + "\n").encode("utf-8")


def parse(content: bytes, *, name: str, largest: int) -> dict[str, Any]:
    """Read canonical bytes back. Serialising the result gives exactly `content` again.

    That one comparison refuses duplicate keys, a byte order mark, CRLF, other spellings of a number, and anything
    after the end. Raises Refused `record-not-canonical` or `record-too-large`, naming `name`.
    """
    if len(content) > largest:
        raise Refused("record-too-large", file=name, found=len(content), expected=largest)
    try:
        value = json.loads(content.decode("utf-8"))
        if not isinstance(value, dict) or serialise(value) != content:
            raise ValueError("another spelling than the canonical one")
    except (ValueError, RecursionError) as error:
        raise Refused("record-not-canonical", file=name, found=str(error)[:200]) from error
    return value


def hidden_character(text: str) -> str | None:
    """The first character of `text` that a reader would not see as what it is, as U+XXXX; None when all are plain."""
    if text.isprintable():  # nearly always, and a hundred times faster: of no hidden category, whatever else it is
        return None
    for character in text:
        if unicodedata.category(character) in HIDDEN_CATEGORIES:
            return f"U+{ord(character):04X}"
    return None


def _check(value: object, depth: int) -> None:
    if depth > LARGEST_DEPTH:
        raise ValueError("nested too deeply")
    match value:
        case str():
            if found := hidden_character(value):
                raise ValueError(f"the hidden character {found}")
        case bool() | int():
            pass
        case list() | tuple():
            for item in value:
                _check(item, depth + 1)
        case Mapping() if all(isinstance(key, str) for key in value):
            for key, item in value.items():
                _check(key, depth + 1)
                _check(item, depth + 1)
        case _:
            raise ValueError(f"a value of type {type(value).__name__}")
