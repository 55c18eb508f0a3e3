"""A build is what both its name and its first bytes say it is."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrader.domain.errors import Refused
from upgrader.domain.releases.build_kind import FORMS, HEAD_BYTES, BuildKind, checked_kind, kind_of_name
from upgrader.domain.releases.release import CONSUMED, Strategy

HEADS = {
    ".tar.gz": b"\x1f\x8b\x08\x00\x00",
    ".tgz": b"\x1f\x8b\x08\x00\x00",
    ".tar.xz": b"\xfd7zXZ\x00\x00",
    ".txz": b"\xfd7zXZ\x00\x00",
    ".tar": b"bin/" + bytes(253) + b"ustar\x0000",
    ".zip": b"PK\x03\x04\x14\x00",
    ".deb": b"!<arch>\ndebian-binary   1700000000",
    ".exe": b"MZ\x90\x00\x03",
    ".msi": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    ".sql": "-- 修正\nUPDATE result SET value = 3;\n".encode(),
}


def refused(file: str, head: bytes) -> Refused:
    with pytest.raises(Refused) as refusal:
        checked_kind(file, head)
    return refusal.value


@pytest.mark.parametrize("suffix", HEADS)
@pytest.mark.parametrize("other", HEADS)
def test_only_the_bytes_that_belong_to_a_name_are_taken(suffix: str, other: str) -> None:
    aliases = [{".tar.gz", ".tgz"}, {".tar.xz", ".txz"}]

    if suffix == other or {suffix, other} in aliases:
        assert checked_kind(f"lis-4.2.1{suffix}", HEADS[other]) is kind_of_name(f"lis{suffix}")
        return
    refusal = refused(f"lis-4.2.1{suffix}", HEADS[other])
    assert refusal.code == "build-kind-differs"
    assert refusal.fields["found"] == next(form.suffixes[0] for form in FORMS if other in form.suffixes)


@pytest.mark.parametrize(
    "name", ["lis-4.2.1", "lis.rar", "lis.tar.zst", "lis.tar.bz2", ".zip", "zip", "lis.zip.part", ""]
)
def test_a_name_of_no_kind_is_refused(name: str) -> None:
    assert refused(name, HEADS[".zip"]).code == "build-kind-unknown"


def test_a_name_in_capitals_is_the_same_name() -> None:
    assert checked_kind("SETUP.EXE", HEADS[".exe"]) is BuildKind.EXE


@pytest.mark.parametrize("head", [b"", b"a\x00b", b"\xff\xfe1\x00", b"\xb8\xc4", b"\x1b[2J"])
def test_statements_are_text_that_shows_what_it_says(head: bytes) -> None:
    assert refused("fix.sql", head).code == "build-kind-differs"


@pytest.mark.parametrize("padding", range(4))
def test_text_is_text_wherever_its_head_is_cut(padding: int) -> None:
    text = (b"-" * padding + "修".encode() * HEAD_BYTES)[:HEAD_BYTES]

    assert checked_kind("fix.sql", text) is BuildKind.SQL


@given(st.sampled_from(sorted(HEADS)), st.binary(max_size=HEAD_BYTES))
def test_whatever_the_bytes_are_only_our_refusal_comes(suffix: str, head: bytes) -> None:
    with suppress(Refused):
        assert checked_kind(f"lis{suffix}", head) is kind_of_name(f"lis{suffix}")


def test_every_strategy_says_what_it_carries() -> None:
    assert set(CONSUMED) == set(Strategy)
    assert all(CONSUMED.values())
