"""Canonical JSON: one value has exactly one spelling, so a signature over bytes is a signature over meaning.

Sorted keys, two spaces of indentation, LF, UTF-8, no floats, no null, one LF at the end. The form is close to RFC 8785
but indented, because people read these files in git before they sign them.
"""

import json
import unicodedata
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring
from typing import Any, TypeVar

from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused

V = TypeVar("V")
Json = str | int | bool | list[Any] | dict[str, Any]

# What can hide, reorder or break what a signer sees: control, format, surrogate, private use, unassigned, and the
# separators of lines and paragraphs.
HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
LARGEST_DEPTH = 32


def serialise(value: Mapping[str, Any]) -> bytes:
    """Give the canonical bytes of `value`. Raises ValueError for a value that has no canonical form."""
    return (_spell(value, "\n", 0) + "\n").encode("utf-8")


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


def read_back(
    content: bytes,
    make: Callable[[dict[str, Any]], V],
    write: Callable[[V], bytes],
    *,
    name: str,
    largest: int,
    known: Digest | None = None,
) -> V:
    """Read bytes as a value that writes exactly these bytes again.

    That comparison refuses all that `parse` refuses, and any other value too, so the spelling is not compared twice.
    It is left out for bytes with the digest `known`, that of what such a value once wrote: they are what it writes.
    Raises Refused as `parse` does, else ValueError for what is canonical but not such a value.
    """
    if len(content) <= largest:
        try:
            value = make(json.loads(content))
            if Digest.of(content) == known or write(value) == content:
                return value
        except (ValueError, TypeError, RecursionError):
            pass
    value = make(parse(content, name=name, largest=largest))  # now find out what is wrong with it
    raise ValueError(f"another {type(value).__name__} than ours")


def hidden_character(text: str) -> str | None:
    """The first character of `text` that a reader would not see as what it is, as U+XXXX; None when all are plain."""
    if text.isprintable():  # nearly always, and a hundred times faster: of no hidden category, whatever else it is
        return None
    for character in text:
        if unicodedata.category(character) in HIDDEN_CATEGORIES:
            return f"U+{ord(character):04X}"
    return None


def _spell(value: object, line: str, depth: int) -> str:
    """The spelling of one value, as `json.dumps` indents it; `line` is a line feed and the indentation of its own line.

    Written out here because json's own encoder is slow when it indents, and every value is to be looked at anyway.
    """
    if depth > LARGEST_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return _spell_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    inner = line + "  "
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("a key of another type than text")
        items = [f"{_spell_text(key)}: {_spell(value[key], inner, depth + 1)}" for key in sorted(value)]
        return "{" + inner + f",{inner}".join(items) + line + "}" if items else "{}"
    if isinstance(value, list | tuple):
        items = [_spell(item, inner, depth + 1) for item in value]
        return "[" + inner + f",{inner}".join(items) + line + "]" if items else "[]"
    raise ValueError(f"a value of type {type(value).__name__}")


def _spell_text(text: str) -> str:
    if found := hidden_character(text):
        raise ValueError(f"the hidden character {found}")
    return encode_basestring(text)
