"""Filling a probe's texts in: plain replacement, once, and never in silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrader.domain.releases.probe import fill_in

FACTS = {"address": "127.0.1.1", "port": "5232", "root": "/opt/exam-scheduling", "odd": "{address}"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("", ""),
        ("plain", "plain"),
        ("http://{address}:{port}/", "http://127.0.1.1:5232/"),
        ("{root}/current/bin/health", "/opt/exam-scheduling/current/bin/health"),
        ("{port}{port}", "52325232"),
        ("a closing } stays", "a closing } stays"),
        ("{odd}", "{address}"),
        ("{{port}}", "{5232}"),
        ("{address", "{address"),
    ],
)
def test_a_host_s_facts_come_in_the_place_of_their_names(text: str, filled: str) -> None:
    assert fill_in(text, FACTS) == filled


@pytest.mark.parametrize("text", ["{serial}", "{}", "{ address }", "{address.__class__}", "{0}"])
def test_a_fact_that_the_host_does_not_have_is_an_error_and_no_template(text: str) -> None:
    with pytest.raises(KeyError):
        fill_in(text, FACTS)


@given(st.text(st.characters(exclude_characters="{")), st.text())
def test_nothing_that_a_fact_holds_is_filled_in_again(before: str, fact: str) -> None:
    assert fill_in(before + "{fact}", {"fact": fact}) == before + fact
