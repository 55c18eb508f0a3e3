"""One value, one spelling: whatever is signed can be written in exactly one way."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrader.domain import canonical
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused

PLAIN_TEXT = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=20)
VALUES = st.recursive(
    PLAIN_TEXT | st.booleans() | st.integers(min_value=-(10**18), max_value=10**18),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN_TEXT, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(PLAIN_TEXT, VALUES, max_size=5)


def parse(content: bytes) -> dict[str, Any]:
    return canonical.parse(content, name="record.json", largest=64 * 1024)


@given(DOCUMENTS)
def test_what_was_written_is_read_back_as_it_was(document: dict[str, Any]) -> None:
    content = canonical.serialise(document)

    again = parse(content)

    assert again == document
    assert canonical.serialise(again) == content


@given(DOCUMENTS)
def test_the_order_in_which_keys_came_does_not_matter(document: dict[str, Any]) -> None:
    turned = dict(reversed(document.items()))

    assert canonical.serialise(turned) == canonical.serialise(document)


@given(DOCUMENTS, st.data())
def test_any_other_spelling_of_the_same_value_is_refused(document: dict[str, Any], data: st.DataObject) -> None:
    spelling = data.draw(
        st.sampled_from(
            [
                json.dumps(document),
                json.dumps(document, indent=2),
                json.dumps(document, indent=2, sort_keys=True),
                json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n",
            ]
        )
    ).encode()

    if spelling != canonical.serialise(document):
        with pytest.raises(Refused, match="record-not-canonical"):
            parse(spelling)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"3\n",
        b'"text"\n',
        b"[]\n",
        b"null\n",
        b"{}",
        b"{}\n\n",
        b"{}\n{}\n",
        b"{}\r\n",
        b" {}\n",
        b"\xef\xbb\xbf{}\n",
        b'{\n  "a": 1,\n  "a": 1\n}\n',
        b'{\n  "a": 1,\n  "a": 2\n}\n',
        b'{\n  "b": 1,\n  "a": 2\n}\n',
        b'{\n  "a": 1.0\n}\n',
        b'{\n  "a": 1e2\n}\n',
        b'{\n  "a": -0\n}\n',
        b'{\n  "a": 01\n}\n',
        b'{\n  "a": NaN\n}\n',
        b'{\n  "a": Infinity\n}\n',
        b'{\n  "a": null\n}\n',
        b'{\n  "a": "\\u0062"\n}\n',
        b'{\n  "a": "\\/"\n}\n',
        b'{\n  "a":  1\n}\n',
        b'{\n\t"a": 1\n}\n',
        b'{\n  "a": 1,\n}\n',
        b'{\n  "a": "\xff"\n}\n',
        b'{\n  "a": "\\ud800"\n}\n',
        b'{\n  "a": ' + b"[" * 2000 + b"]" * 2000 + b"\n}\n",
        b'{\n  "a": ' + b"9" * 5000 + b"\n}\n",
    ],
    ids=lambda content: repr(content[:24]),
)
def test_no_other_spelling_is_read(content: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        parse(content)

    assert refusal.value.code == "record-not-canonical"
    assert refusal.value.fields["file"] == "record.json"


@pytest.mark.parametrize(
    "hidden",
    [
        "\u0000",
        "\n",
        "\u202e",
        "\u200b",
        "\ufeff",
        "\u00ad",
        "\ue000",
        "\U000e0041",
        "\u0378",
        "\ud800",
        "\u2028",
        "\u2029",
    ],
    ids=lambda character: f"U+{ord(character):04X}",
)
@pytest.mark.parametrize("place", ["value", "key", "in a list"])
def test_a_character_that_a_reader_would_not_see_has_no_canonical_form(hidden: str, place: str) -> None:
    text = f"approve{hidden}"
    documents: dict[str, dict[str, Any]] = {"value": {"a": text}, "key": {text: "a"}, "in a list": {"a": ["b", text]}}

    assert canonical.hidden_character(text) == f"U+{ord(hidden):04X}"
    with pytest.raises(ValueError, match="hidden"):
        canonical.serialise(documents[place])


def test_chinese_text_is_written_as_people_read_it() -> None:
    content = canonical.serialise({"reason": "门诊排班更快"})

    assert "门诊排班更快" in content.decode()
    assert parse(content) == {"reason": "门诊排班更快"}


@pytest.mark.parametrize("value", [{"a": 1.5}, {"a": None}, {"a": b"x"}, {"a": {1: "x"}}, {"a": {1}}])
def test_a_value_without_a_canonical_form_is_never_written(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="type"):
        canonical.serialise(value)


def test_a_file_that_is_too_large_is_not_even_parsed() -> None:
    with pytest.raises(Refused) as refusal:
        canonical.parse(b"{" * 100, name="record.json", largest=99)

    assert refusal.value.code == "record-too-large"
    assert refusal.value.fields == {"file": "record.json", "found": "100", "expected": "99"}


@given(st.characters(exclude_categories=["Cs"]))
def test_every_character_is_either_plain_or_named(character: str) -> None:
    found = canonical.hidden_character(character)

    assert (found is None) == (unicodedata.category(character) not in canonical.HIDDEN_CATEGORIES)


def test_a_known_digest_spares_the_second_spelling_and_excuses_no_other_bytes() -> None:
    written = canonical.serialise({"a": 1})
    other = b'{"a": 1}\n'

    def read(content: bytes, known: Digest) -> dict[str, Any]:
        return canonical.read_back(content, lambda value: value, canonical.serialise, name="x", largest=99, known=known)

    assert read(written, Digest.of(written)) == {"a": 1}
    with pytest.raises(Refused, match="record-not-canonical"):
        read(other, Digest.of(written))
