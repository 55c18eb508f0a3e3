"""The protocol's suite once more, for the strategies that do not version folders: packages, and files in place.

Those tests of `test_host_transaction.py` in which a strategy has a part; only what a build is, and how a host is
looked at, differs here.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

import contracts.test_host_transaction as suite
from contracts.deb_host import MISSING, DebHost, make_deb
from contracts.place_host import PlaceHost, make_place
from contracts.sh_host import Build, ShHost
from contracts.test_host_transaction import (  # noqa: F401 # collected here, with the hosts of this module
    test_a_host_that_is_cut_and_left_alone_ends_as_it_was,
    test_a_host_that_nobody_confirms_takes_itself_back,
    test_a_later_change_on_top_must_go_back_first,
    test_a_staged_build_is_not_sent_again,
    test_a_way_back_that_is_cut_is_finished_by_the_next_run,
    test_after_a_power_cut_an_unconfirmed_change_is_taken_back_before_anything_else,
    test_the_same_version_from_other_bytes_is_refused,
    test_wherever_it_is_cut_it_can_be_taken_back,
    test_wherever_it_is_cut_the_same_command_goes_on_to_the_same_end,
)

DASH = shutil.which("dash") or "/bin/sh"


class Maker(Protocol):
    def __call__(self, folder: Path, version: str, **texts: str) -> Build: ...


def package_host(folder: Path) -> tuple[ShHost, Maker]:
    if MISSING:
        pytest.skip(f"NO PACKAGES TRIED: missing {', '.join(MISSING)}")
    made = DebHost(folder, DASH, "/usr/bin:/bin")
    made.make_system()
    return made, make_deb


def place_host(folder: Path) -> tuple[ShHost, Maker]:
    made = PlaceHost(folder, DASH, "/usr/bin:/bin")
    made.target.mkdir(parents=True)
    return made, make_place


@pytest.fixture(params=[package_host, place_host], ids=["package", "files in place"])
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShHost]:
    make: Callable[[Path], tuple[ShHost, Maker]] = request.param
    made, make_build = make(tmp_path)
    monkeypatch.setattr(suite, "make_build", make_build)
    yield made
    made.end()


@pytest.fixture
def old(host: ShHost, tmp_path: Path) -> Build:
    """Version 1.0, installed and running."""
    build: Build = vars(suite)["make_build"](tmp_path, "1.0")
    host.install(build)
    return build
