"""A real server of a third party with real migrations: Tryton 6.0 with data in it goes to 7.0, and back.

Its wheels come from the package registry, pinned by SHA-256, and are kept below the lab's cache.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.postgres_cluster import Cluster, postgres_cluster, programs
from contracts.trytond_host import Person, archive, first_database, free_port, wheels
from contracts.upgraded_database import KEY, DatabaseBuild, UpgradedDatabase
from upgrader.lab.cache import default_cache

pytestmark = pytest.mark.skipif(
    programs() is None, reason="postgresql is not installed; run tools/system-packages as root"
)
OLD, NEW = "6.0.76", "7.0.59"
PATIENTS = ["Wang Xiaoming", "李娜", "O'Brien; DROP TABLE party_party"]
CONFLICT = "ir_error"  # a table of 7.0, not of 6.0


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with postgres_cluster() as cluster:
        yield cluster


def test_data_of_a_real_server_is_there_after_its_migrations_and_after_the_way_back(
    cluster: Cluster, tmp_path: Path
) -> None:
    cache = default_cache()
    cache.mkdir(parents=True, exist_ok=True)
    sites = {OLD: wheels("6.0", cache), NEW: wheels("7.0", cache)}
    first_database(sites[OLD], cluster, tmp_path)
    builds = {v: DatabaseBuild(archive(site, tmp_path / f"tryton-{v}.tar"), v, ("bin/migrate",))
              for v, site in sites.items()}  # fmt: skip
    host = UpgradedDatabase(tmp_path, "/bin/sh", "/usr/bin:/bin", cluster=cluster,
                            tables=("public.party_party same", "public.res_user any"))  # fmt: skip
    port = free_port()
    inputs = {"parameter.port": port, "limit_seconds": 600, "health_seconds": 120, "start_seconds": 30,
              "confirm_seconds": 900, "settle_seconds": 1,
              "config.from": "etc/trytond.conf.in", "config.to": "etc/trytond.conf"}  # fmt: skip
    host.extra = (
        "config.from=etc/environment.in\nconfig.to=etc/environment\nconfig.from=bin/health\nconfig.to=bin/health\n"
    )
    try:
        upgraded_and_back(host, builds, inputs, Person(port))
    finally:
        host.end()


def upgraded_and_back(
    host: UpgradedDatabase, builds: dict[str, DatabaseBuild], inputs: dict[str, object], person: Person
) -> None:
    host.install_by_hand(builds[OLD], parameters={**host.cluster.parameters, "port": str(inputs["parameter.port"])})
    person.log_in()
    for name in PATIENTS:
        person.add_party(name)

    # The rehearsal goes well; then something stands in the way that was not there: Tryton's own command fails.
    rehearsed = host.rehearse(builds[NEW], base=OLD, **inputs)
    assert rehearsed["detail"].endswith(f"public.party_party {len(PATIENTS)}, public.res_user 2"), rehearsed
    host.ask(f"CREATE VIEW {CONFLICT} AS SELECT 1 AS id")
    failed = host.apply(builds[NEW], base=OLD, **inputs)
    assert (failed["outcome"], failed["step"], failed["current"]) == ("rolled-back", "migration", OLD), failed
    assert (host.safe / "command.log").read_text().startswith("Traceback")  # the vendor's own words
    person.log_in()
    assert person.parties() == PATIENTS

    host.ask(f"DROP VIEW {CONFLICT}")
    up = host.apply(builds[NEW], base=OLD, **inputs)
    assert (up["outcome"], up["current"]) == ("upgraded", NEW), up
    assert host.run("confirm", builds[NEW], **inputs)["outcome"] == "upgraded"
    person.log_in()
    assert person.parties() == PATIENTS
    assert host.ask("SELECT to_regclass('ir_error') IS NOT NULL") == "t"
    person.add_party("entered with the new version")

    back = host.run("revert", builds[NEW], **inputs)
    assert (back["outcome"], back["current"]) == ("rolled-back", OLD), back
    person.log_in()
    assert person.parties() == PATIENTS
    assert host.ask("SELECT to_regclass('ir_error') IS NULL") == "t"
    written = [row["row"]["name"] for row in host.kept_rows() if row.get("table") == "public.party_party"]
    assert written == ["entered with the new version"]
    assert KEY in host.written.name
