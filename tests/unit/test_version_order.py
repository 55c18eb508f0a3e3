"""Versions are ordered as Debian orders them, with what vendors mean by `v` and `-rc`."""

from itertools import pairwise

import pytest
from debian.debian_support import NativeVersion
from hypothesis import given
from hypothesis import strategies as st

from upgrader.domain.names import Version
from upgrader.domain.releases.version_order import UNFINISHED, compare, is_older, newest_last

IN_ORDER = [
    "0.9",
    "1.0~~",
    "1.0~beta1",
    "1.0~rc1",
    "1.0",
    "1.0-1",
    "1.0-2",
    "1.0-10",
    "1.0a",
    "1.0b",
    "1.0+sp1",
    "1.0.0",
    "1.0.1",
    "1.2",
    "1.10",
    "3.5.9",
    "3.5.10",
    "4.2.1-alpha",
    "4.2.1-beta.2",
    "4.2.1-beta.10",
    "4.2.1-RC1",
    "4.2.1.rc2",
    "4.2.1-SNAPSHOT",
    "v4.2.1",
    "4.2.1-hotfix1",
    "4.2.1.1",
    "20261112",
    "20261113",
]
debian_versions = st.from_regex(r"[0-9][0-9a-z.+~-]{0,12}", fullmatch=True).filter(
    lambda v: not (UNFINISHED.search(v) or v.endswith("-"))  # Debian knows no empty revision
)
versions = st.from_regex(Version.pattern, fullmatch=True)


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


@pytest.mark.parametrize(("older", "newer"), list(pairwise(IN_ORDER)))
def test_each_is_older_than_the_next(older: str, newer: str) -> None:
    assert is_older(older, newer)
    assert not is_older(newer, older)


def test_sorting_puts_the_newest_last() -> None:
    assert sorted(sorted(IN_ORDER), key=newest_last) == IN_ORDER


@pytest.mark.parametrize(("one", "other"), [("1.0", "1.0"), ("1.0", "1.0-0"), ("1.01", "1.1"), ("v2", "2")])
def test_neither_is_older_than_what_is_the_same(one: str, other: str) -> None:
    assert compare(one, other) == compare(other, one) == 0


@given(debian_versions, debian_versions)
def test_the_order_is_that_of_debian(one: str, other: str) -> None:
    assert sign(compare(one, other)) == sign(NativeVersion(one)._compare(NativeVersion(other)))


@given(versions, versions, versions)
def test_it_is_an_order(one: str, other: str, third: str) -> None:
    assert compare(one, one) == 0
    assert sign(compare(one, other)) == -sign(compare(other, one))
    if compare(one, other) <= 0 and compare(other, third) <= 0:
        assert compare(one, third) <= 0


@given(st.text(max_size=40), st.text(max_size=40))
def test_what_a_host_says_it_runs_is_ordered_whatever_it_says(one: str, other: str) -> None:
    assert sign(compare(one, other)) == -sign(compare(other, one))
