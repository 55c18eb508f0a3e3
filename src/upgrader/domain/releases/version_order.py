"""Which of two versions is the newer one.

The order is that of Debian (Debian Policy Manual 4.7, section 5.6.12, "Version"): a version is read from the left in
turns of non-digits and digits; non-digits compare character by character, letters before all others and `~` before
everything, even the end; digits compare as numbers; what follows the last hyphen only counts between equals. We have no
epochs, since a colon may not stand in a version.

Two things vendors write are read as they mean them, before that: a `v` before the first digit says nothing, and a word
for something unfinished (`-rc1`, `.beta2`, `-SNAPSHOT`) comes before the version that it prepares, as with `~`.
"""

import re
from functools import cmp_to_key
from typing import Any

UNFINISHED = re.compile(r"(?<=[0-9])[-._+]?(alpha|beta|rc|pre|preview|dev|snapshot)(?![a-z])", re.IGNORECASE)
LEADING_V = re.compile(r"[vV](?=[0-9])")
TURN = re.compile(r"([^0-9]*)([0-9]*)")


def compare(one: str, other: str) -> int:
    """Below 0 when `one` is older than `other`, above 0 when it is newer, 0 when neither is."""
    (main, revision), (other_main, other_revision) = _parts(one), _parts(other)
    return _compare_part(main, other_main) or _compare_part(revision, other_revision)


def is_older(one: str, other: str) -> bool:
    return compare(one, other) < 0


newest_last: Any = cmp_to_key(compare)  # a key for sorted()


def _parts(version: str) -> tuple[str, str]:
    """The version and its revision; Debian's `1.0-1` and `1.0-0` differ in the latter, and none is as good as 0."""
    without_v = version[1:] if LEADING_V.match(version) else version
    plain = UNFINISHED.sub(lambda word: f"~{word[1].lower()}", without_v)
    main, hyphen, revision = plain.rpartition("-")
    return (main, revision) if hyphen else (plain, "")


def _compare_part(one: str, other: str) -> int:
    while one or other:
        words, digits = _turn(one)
        other_words, other_digits = _turn(other)
        if difference := _compare_words(words, other_words):
            return difference
        if difference := int(digits or "0") - int(other_digits or "0"):
            return difference
        one, other = one[len(words) + len(digits) :], other[len(other_words) + len(other_digits) :]
    return 0


def _turn(text: str) -> tuple[str, str]:
    match = TURN.match(text)
    return (match[1], match[2]) if match else ("", "")


def _compare_words(one: str, other: str) -> int:
    for place in range(max(len(one), len(other))):
        if difference := _weight(one, place) - _weight(other, place):
            return difference
    return 0


def _weight(words: str, place: int) -> int:
    if place >= len(words):
        return 0
    character = words[place]
    if character == "~":
        return -1
    return ord(character) if character.isascii() and character.isalpha() else ord(character) + 0x110000
