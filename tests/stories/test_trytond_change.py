"""A server that others wrote goes from Tryton 6.0 to 7.0 through the command line, fails once on the way, comes back.

It takes minutes of processor time, so it is run by hand: `UPGRADER_TRYTOND=1 python -m pytest FILE`. What happens on
the host alone is in `tests/contracts/test_trytond.py`, always.
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from contracts.postgres_cluster import OWNER, SUPERUSER, Cluster, postgres_cluster, programs
from contracts.trytond_host import Person, archive, first_database, free_port, wheels
from contracts.upgraded_database import DatabaseBuild, UpgradedDatabase, digest
from stories.test_data_fix import with_parameters
from upgrader.domain.approval.record import Namespace
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import ENGINEER, INFORMATION, TESTER, Hospital, Start
from upgrader.lab.host import SERVICE_PORT
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.keys import sign
from upgrader.lab.programs import missing_programs
from upgrader.lab.releases import SYSTEM, VENDOR

MISSING = missing_programs(("sshd", "ssh", "ssh-keygen", "git"))
pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif("UPGRADER_TRYTOND" not in os.environ, reason="takes minutes: set UPGRADER_TRYTOND"),
    pytest.mark.skipif(programs() is None, reason="postgresql is not installed; run tools/system-packages as root"),
    pytest.mark.skipif(bool(MISSING), reason=f"NO LAB: {', '.join(MISSING)} is not installed"),
]
OLD, NEW = "6.0.76", "7.0.59"
PATIENTS = ["Wang Xiaoming", "李娜", "O'Brien; DROP TABLE party_party"]
CONFLICT = "ir_error"  # a table of 7.0, not of 6.0
NEW_TABLE = f"SELECT relkind FROM pg_class WHERE relname = '{CONFLICT}'"
MANIFEST = """\
system: {system}
version: {version}
vendor: {vendor}
released: "2026-11-20"
summary: {{zh: Tryton 服务器, en: Tryton's server}}
follows: ["6.0.*"]
strategy: database
downtime: 2m
data: restore
builds: [{{file: "{file}", sha256: "{sha256}", size: {size}}}]
service: {{name: tryton, unit: etc/tryton.service, script: bin/service, settle: 1s}}
health: {{command: bin/health, timeout: 120s}}
config:
  - {{from: etc/trytond.conf.in, to: etc/trytond.conf}}
  - {{from: etc/environment.in, to: etc/environment}}
  - {{from: bin/health, to: bin/health}}
database:
  product: postgresql
  name: lis
  tables: [{{name: public.party_party, probe: parties}}, {{name: public.res_user, rows: any}}]
  migrations: [{{command: bin/migrate}}]
  others: end
  lock_timeout: 5s
  statement_timeout: 10m
  limit: 10m
keep: 2
probes:
  - name: parties
    kind: command
    run: "{{database_programs}}/psql -XAt -h {{database_host}} -U {{database_role}} -d lis -c 'TABLE party_party'"
    expect_text: "Wang Xiaoming"
    interval: 1s
    count: 1
    failures_allowed: 0
    timeout: 20s
thresholds: {{failed_in_wave: 0, failed_in_all: 0, unreachable_in_wave: 0}}
"""


@dataclass
class LabDatabase(UpgradedDatabase):
    """A host of the lab on which the first version is put by hand."""

    place: Path = field(kw_only=True)

    @property
    def root(self) -> Path:
        return self.place


@dataclass
class Tryton:
    hospital: Hospital
    cluster: Cluster
    person: Person
    current: Path

    def ask(self, statements: str) -> str:
        return self.cluster.ask(statements, role=OWNER, database="lis")

    @property
    def version(self) -> str:
        return self.current.readlink().name

    def parties(self) -> list[str]:
        self.person.log_in()
        return self.person.parties()


@pytest.fixture
def tryton(tmp_path: Path, warm: Start) -> Iterator[Tryton]:
    """A hospital whose one server runs 6.0 with three patients; 7.0 is staged and tested."""
    cache, port = default_cache(), free_port()
    cache.mkdir(parents=True, exist_ok=True)
    with postgres_cluster() as cluster, temporary_lab(tmp_path / "lab", hosts=1) as lab:
        first_database(wheels("6.0", cache), cluster, tmp_path)
        with_parameters(lab, {**cluster.parameters, "database_admin": SUPERUSER})
        file = lab.inventory / "hosts.yml"
        file.write_text(file.read_text().replace(f" port: {SERVICE_PORT}", f" port: {port}"))
        place = Path(lab.hosts[0].upgrader_root) / SYSTEM
        host = LabDatabase(tmp_path, "/bin/sh", "/usr/bin:/bin", cluster=cluster, place=place)
        old = archive(wheels("6.0", cache), tmp_path / f"tryton-{OLD}.tar")
        host.install_by_hand(DatabaseBuild(old, OLD), parameters={**cluster.parameters, "port": str(port)})
        try:
            hospital = Hospital.build(tmp_path, lab, default_cache() / "lab-drop", start=warm)
            made = Tryton(hospital, cluster, Person(port), place / "current")
            made.person.log_in()
            for name in PATIENTS:
                made.person.add_party(name)
            hospital.upgrader(ENGINEER, "stage", str(drop(hospital, wheels("7.0", cache), tmp_path / "drop")))
            hospital.upgrader(TESTER, "record", "vendor-test", SYSTEM, NEW, "--cases", "48 of 48")
            hospital.upgrader(ENGINEER, "record", "site-test", SYSTEM, NEW, "--cases", "12 of 12")
            yield made
        finally:
            host.end()


def drop(hospital: Hospital, site: Path, folder: Path) -> Path:
    """What the vendor brings, signed."""
    folder.mkdir()
    built = archive(site, folder.with_name(f"tryton-{NEW}.tar"))
    build = Path(shutil.move(built, folder / built.name))
    named = {"system": SYSTEM, "version": NEW, "vendor": VENDOR, "file": build.name}
    (folder / "release.yml").write_text(MANIFEST.format(**named, sha256=digest(build), size=build.stat().st_size))
    listed = "".join(f"{digest(path)}  {path.name}\n" for path in sorted(folder.iterdir()))
    (folder / "SHA256SUMS").write_text(listed)
    sign(folder / "SHA256SUMS", hospital.drop.vendor_key, Namespace.RELEASE)
    return folder


def test_data_is_there_after_the_upgrade_and_after_the_way_back_and_a_migration_that_fails_is_taken_back(
    tryton: Tryton,
) -> None:
    hospital = tryton.hospital
    soak = ("--soak", "2s", "--soak-interval", "1s")
    fails = hospital.change_planned(NEW, *soak)
    hospital.upgrader(INFORMATION, "dry-run", fails)
    tryton.ask(f"CREATE VIEW {CONFLICT} AS SELECT 1 AS id")  # after the rehearsal went well: Tryton's command will fail

    failed = hospital.upgrader(ENGINEER, "--json", "--lang", "en", "apply", fails, check=False)

    assert failed.code == 30, failed.err
    assert "migration" in failed.err
    assert tryton.version == OLD
    assert tryton.parties() == PATIENTS
    assert tryton.ask(NEW_TABLE) == "v"
    hospital.upgrader(ENGINEER, "close", fails)

    tryton.ask(f"DROP VIEW {CONFLICT}")
    change = hospital.change_planned(NEW, *soak, reason="once more")
    hospital.upgrader(ENGINEER, "apply", change)
    assert tryton.version == NEW
    assert tryton.parties() == PATIENTS
    assert tryton.ask(NEW_TABLE) == "r"
    tryton.person.add_party("entered with the new version")
    hospital.upgrader(ENGINEER, "soak", change)

    hospital.upgrader(ENGINEER, "rollback", change, "--reason", "the clients are not ready")

    assert tryton.version == OLD
    assert tryton.parties() == PATIENTS
    assert tryton.ask(NEW_TABLE) == ""
    state = Path(hospital.lab.hosts[0].upgrader_state)
    (written,) = [path for path in state.glob("*/written-since.*.jsonl") if path.stat().st_size]
    rows = [json.loads(line) for line in written.read_text().splitlines()]
    names = [row["row"]["name"] for row in rows if row.get("table") == "public.party_party"]
    assert names == ["entered with the new version"]
    hospital.upgrader(ENGINEER, "close", change)
