"""The protocol's suite once more, for programs with a database: where it is cut, and in which order changes go back.

By hand with UPGRADER_LONG_TESTS=1 all those of its tests in which a strategy has a part.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import contracts.test_host_transaction as suite
from contracts.postgres_cluster import Cluster, postgres_cluster, programs
from contracts.sh_host import Build
from contracts.test_host_transaction import (  # noqa: F401 # collected here, with the host of this module
    test_a_later_change_on_top_must_go_back_first,
    test_after_a_power_cut_an_unconfirmed_change_is_taken_back_before_anything_else,
    test_wherever_it_is_cut_the_same_command_goes_on_to_the_same_end,
)
from contracts.upgraded_database import UpgradedDatabase, prepare, suite_build, upgraded_database

if os.environ.get("UPGRADER_LONG_TESTS"):
    from contracts.test_host_transaction import (  # noqa: F401
        test_a_host_that_is_cut_and_left_alone_ends_as_it_was,
        test_a_host_that_nobody_confirms_takes_itself_back,
        test_a_staged_build_is_not_sent_again,
        test_a_way_back_that_is_cut_is_finished_by_the_next_run,
        test_the_same_version_from_other_bytes_is_refused,
        test_wherever_it_is_cut_it_can_be_taken_back,
    )

pytestmark = pytest.mark.skipif(
    programs() is None, reason="postgresql is not installed; run tools/system-packages as root"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with postgres_cluster() as cluster:
        prepare(cluster)
        yield cluster


@pytest.fixture
def host(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UpgradedDatabase]:
    for made in upgraded_database(cluster, tmp_path, shutil.which("dash") or "/bin/sh", "/usr/bin:/bin"):

        def make(_: Path, version: str, host: UpgradedDatabase = made, **texts: str) -> Build:
            return suite_build(host, version, **texts)

        monkeypatch.setattr(suite, "make_build", make)
        yield made


@pytest.fixture
def old(host: UpgradedDatabase) -> Build:
    """Version 1.0, installed by hand and running."""
    build = suite_build(host, "1.0")
    host.install_by_hand(build)
    return build
