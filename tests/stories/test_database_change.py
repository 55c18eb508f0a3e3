"""A release that changes a database, from the vendor's drop to taken back, on a real PostgreSQL."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.postgres_cluster import DATABASE, OWNER, SUPERUSER, Cluster, postgres_cluster, programs
from contracts.upgraded_database import PATIENT, TABLES
from stories.test_data_fix import with_parameters
from upgrader.domain.approval.record import Namespace
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION, TESTER, Answer, Hospital, Start
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.keys import sign
from upgrader.lab.programs import missing_programs
from upgrader.lab.releases import SYSTEM, VENDOR

MISSING = missing_programs(("sshd", "ssh", "ssh-keygen", "git"))
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(programs() is None, reason="postgresql is not installed; run tools/system-packages as root"),
    pytest.mark.skipif(bool(MISSING), reason=f"NO LAB: {', '.join(MISSING)} is not installed"),
]
ADD = "ALTER TABLE result ADD COLUMN unit text;\nUPDATE result SET unit = 'mmol/l';\n"
UNIT = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'result'::regclass AND attname = 'unit'"
MANIFEST = """\
system: {system}
version: {version}
vendor: {vendor}
released: "2026-11-20"
summary: {{zh: 检验结果带单位, en: results with a unit}}
follows: [""]
strategy: database
downtime: 20s
data: restore
builds:
{builds}
database:
  product: postgresql
  name: lis
  tables: [{{name: public.patient, probe: patients}}, {{name: public.result}}]
  migrations: [{migrations}]
  others: refuse
  lock_timeout: 2s
  statement_timeout: 10s
  limit: 60s
keep: 2
probes:
  - name: patients
    kind: command
    run: "{{database_programs}}/psql -X -A -t -h {{database_host}} -U {{database_role}} -d lis -c 'TABLE patients'"
    expect_text: "5"
    interval: 1s
    count: 1
    failures_allowed: 0
    timeout: 10s
thresholds: {{failed_in_wave: 0, failed_in_all: 0, unreachable_in_wave: 0}}
"""


@dataclass
class Databases:
    hospital: Hospital
    cluster: Cluster
    folder: Path

    def upgrader(self, person: str, *arguments: str, check: bool = True) -> Answer:
        return self.hospital.upgrader(person, "--lang", "en", *arguments, check=check)

    def drop(self, version: str, *texts: str) -> Path:
        folder = self.folder / version
        folder.mkdir()
        names = [f"{number:02}-results.sql" for number in range(1, len(texts) + 1)]
        for name, text in zip(names, texts, strict=True):
            (folder / name).write_text(text)
        builds = [f'  - {{file: {name}, sha256: "{digest(folder / name)}", size: {(folder / name).stat().st_size}}}'
                  for name in names]  # fmt: skip
        manifest = MANIFEST.format(system=SYSTEM, version=version, vendor=VENDOR, builds="\n".join(builds),
                                   migrations=", ".join(f"{{sql: {name}}}" for name in names))  # fmt: skip
        (folder / "release.yml").write_text(manifest)
        listed = sorted([*names, "release.yml"])
        (folder / "SHA256SUMS").write_text("".join(f"{digest(folder / name)}  {name}\n" for name in listed))
        sign(folder / "SHA256SUMS", self.hospital.drop.vendor_key, Namespace.RELEASE)
        return folder

    def planned(self, version: str, *texts: str) -> str:
        self.upgrader(ENGINEER, "stage", str(self.drop(version, *texts)))
        self.upgrader(TESTER, "record", "vendor-test", SYSTEM, version, "--cases", "48 of 48")
        self.upgrader(ENGINEER, "record", "site-test", SYSTEM, version, "--cases", "12 of 12")
        asked = self.upgrader(ENGINEER, "--json", "request", SYSTEM, version, "--reason", "units",
                              "--window", "now → +4h", "--soak", "2s", "--soak-interval", "1s")  # fmt: skip
        change: str = asked.json()["change"]
        self.upgrader(ENGINEER, "plan", change)
        return change

    def signed(self, change: str) -> None:
        for person in (INFORMATION, HEAD):
            self.upgrader(person, "sign", change, "--yes")

    def ask(self, statements: str) -> str:
        return self.cluster.ask(statements, role=OWNER, database=DATABASE)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory, warm: Start) -> Iterator[Databases]:
    directory = tmp_path_factory.mktemp("hospital")
    with postgres_cluster() as cluster, temporary_lab(directory / "lab", hosts=1) as lab:
        cluster.ask(TABLES + "CREATE VIEW patients AS SELECT count(*) FROM patient;", database=DATABASE)
        with_parameters(lab, {**cluster.parameters, "database_admin": SUPERUSER})
        hospital = Hospital.build(directory, lab, default_cache() / "lab-drop", start=warm)
        yield Databases(hospital, cluster, tmp_path_factory.mktemp("drops"))


def test_what_can_not_be_proven_does_not_begin(databases: Databases) -> None:
    change = databases.planned("1.0", ADD, "UPDATE result SET unit = nothing;\n")
    databases.signed(change)

    applied = databases.upgrader(ENGINEER, "--json", "apply", change, check=False)

    assert (applied.code, applied.json()["code"]) == (14, "way-back-not-proven"), applied.err
    assert "statement 1 of 1 of 02-results.sql" in str(applied.json())
    assert databases.ask(UNIT) == "0"
    assert databases.upgrader(ENGINEER, "--json", "status", change).json()["state"] == "authorized"


def test_a_database_is_proven_upgraded_and_taken_back_with_what_was_written(databases: Databases) -> None:
    change = databases.planned("1.1", ADD)
    plan = databases.upgrader(HEAD, "sign", change, "approve", check=False).out
    assert "1  01-results.sql" in plan
    assert "point of no return: none" in plan
    assert "no probe looks at the data of 1 main tables: public.result" in plan
    databases.signed(change)

    dry = databases.upgrader(INFORMATION, "dry-run", change).out
    applied = databases.upgrader(ENGINEER, "--json", "apply", change).json()
    assert "restore proven in" in dry
    assert applied["counts"] == {"upgraded": 1}
    assert databases.ask("SELECT DISTINCT unit FROM result") == "mmol/l"
    databases.ask(f"INSERT INTO patient VALUES (9, '{PATIENT} 2', 1)")

    back = databases.upgrader(ENGINEER, "--json", "rollback", change, "--reason", "wrong units", check=False)
    assert back.code == 0, back.err
    assert databases.ask(UNIT) == "0"
    assert databases.ask("SELECT count(*) FROM patient") == "5"
    (host,) = databases.hospital.lab.hosts
    (written,) = Path(host.upgrader_state).glob("*/written-since.*.jsonl")
    assert [json.loads(line)["row"]["id"] for line in written.read_text().splitlines()] == [9]
    journal = "".join(path.read_text() for path in databases.hospital.state.glob("changes/*/journal.jsonl"))
    assert digest(written) in journal
    assert PATIENT not in journal
