"""A correction of data, from the vendor's drop to closed, on a real PostgreSQL; and one with the wrong count."""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contracts.database_host import PATIENT, TABLES
from contracts.postgres_cluster import DATABASE, OWNER, Cluster, postgres_cluster, programs
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION, Answer, Hospital, Start  # fmt: skip
from upgrader.lab.hospital import OWNER as DEPARTMENT
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.keys import sign
from upgrader.lab.lab import Lab
from upgrader.lab.programs import missing_programs
from upgrader.lab.releases import SYSTEM, VENDOR

from upgrader.domain.approval.record import Namespace  # isort: skip

MISSING = missing_programs(("sshd", "ssh", "ssh-keygen", "git"))
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(programs() is None, reason="postgresql is not installed; run tools/system-packages as root"),
    pytest.mark.skipif(bool(MISSING), reason=f"NO LAB: {', '.join(MISSING)} is not installed"),
]
GOOD, WRONG_COUNT, LATER = "wrong-unit-1", "wrong-unit-2", "wrong-unit-3"
RAISE = """\
-- glucose was entered in mg/dL, and the weight in pounds
UPDATE result SET value = value * 10
 WHERE patient = 1 AND id <= 20;
UPDATE patient SET weight = weight / 2 WHERE id = 1;
"""
SUM = "SELECT sum(value) FROM result WHERE patient = 1"
MANIFEST = """\
system: {system}
version: {version}
vendor: {vendor}
released: "2026-11-20"
summary: {{zh: 修正检验结果单位, en: results with a wrong unit}}
follows: [""]
strategy: data-fix
downtime: 1s
data: keep
builds:
  - {{file: fix.sql, sha256: "{sha256}", size: {size}}}
correction:
  database: lis
  tables:
    - {{name: public.patient, rows: 1}}
    - {{name: public.result, rows: {rows}}}
  statement_timeout: 10s
  lock_timeout: 2s
probes:
  - name: sum of the results
    kind: command
    run: "{{database_programs}}/psql -X -A -t -h {{database_host}} -U {{database_role}} -d lis -c 'TABLE total'"
    expect_text: "{expected}"
    interval: 1s
    count: 1
    failures_allowed: 0
    timeout: 10s
thresholds: {{failed_in_wave: 0, failed_in_all: 0, unreachable_in_wave: 0}}
"""


@dataclass
class Corrections:
    hospital: Hospital
    cluster: Cluster
    folder: Path

    def upgrader(self, person: str, *arguments: str, check: bool = True) -> Answer:
        return self.hospital.upgrader(person, "--lang", "en", *arguments, check=check)

    def drop(self, version: str, rows: int, text: str = RAISE, expected: str = "500.000") -> Path:
        folder = self.folder / version
        folder.mkdir()
        (folder / "fix.sql").write_text(text)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        manifest = MANIFEST.format(system=SYSTEM, version=version, vendor=VENDOR, sha256=sha256,
                                   size=len(text.encode()), rows=rows, expected=expected)  # fmt: skip
        (folder / "release.yml").write_text(manifest)
        sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in
                ("fix.sql", "release.yml")]  # fmt: skip
        (folder / "SHA256SUMS").write_text("".join(sums))
        sign(folder / "SHA256SUMS", self.hospital.drop.vendor_key, Namespace.RELEASE)
        return folder

    def planned(self, version: str, rows: int, **more: str) -> str:
        self.upgrader(ENGINEER, "stage", str(self.drop(version, rows, **more)))
        asked = self.upgrader(ENGINEER, "--json", "request", SYSTEM, version, "--kind", "data-fix",
                              "--reason", "wrong unit", "--window", "now → +4h",
                              "--soak", "2s", "--soak-interval", "1s")  # fmt: skip
        change: str = asked.json()["change"]
        self.upgrader(ENGINEER, "plan", change)
        return change

    def signed(self, change: str) -> None:
        for person in (INFORMATION, DEPARTMENT):
            self.upgrader(person, "sign", change, "--yes")

    def ask(self, statements: str) -> str:
        return self.cluster.ask(statements, role=OWNER, database=DATABASE)

    @property
    def undo_files(self) -> list[Path]:
        (host,) = self.hospital.lab.hosts
        return sorted(Path(host.upgrader_state).glob("corrections/*/undo.*"))

    def written(self) -> str:
        """Everything in the state folder, the remote and the clones, as text."""
        places = (self.hospital.state, self.hospital.directory / "clones")
        files = (path for place in places for path in place.rglob("*") if path.is_file())
        return "\n".join(path.read_bytes().decode(errors="replace") for path in files)


def with_parameters(lab: Lab, parameters: dict[str, str]) -> None:
    """The inventory says how the database of the host is reached."""
    file = lab.inventory / "hosts.yml"
    lines = "".join(f"\n                {name}: {json.dumps(value)}" for name, value in parameters.items())
    file.write_text(file.read_text().replace("upgrader_parameters:", f"upgrader_parameters:{lines}"))


@pytest.fixture(scope="module")
def corrections(tmp_path_factory: pytest.TempPathFactory, warm: Start) -> Iterator[Corrections]:
    directory = tmp_path_factory.mktemp("hospital")
    with postgres_cluster() as cluster, temporary_lab(directory / "lab", hosts=1) as lab:
        cluster.ask(TABLES + f"CREATE VIEW total AS {SUM};", database=DATABASE)
        with_parameters(lab, cluster.parameters)
        hospital = Hospital.build(directory, lab, default_cache() / "lab-drop", start=warm)
        yield Corrections(hospital, cluster, tmp_path_factory.mktemp("drops"))


def test_a_correction_is_tried_signed_run_once_accepted_and_closed(corrections: Corrections, tmp_path: Path) -> None:
    change = corrections.planned(GOOD, 4)

    shown = corrections.upgrader(HEAD, "sign", change, "approve", check=False).out
    assert "UPDATE result SET value = value * 10" in shown
    assert "expects 4 rows in public.result" in shown
    dry = corrections.upgrader(INFORMATION, "--json", "dry-run", change).json()
    assert corrections.ask(SUM) == "50.000"
    (host,) = dry["hosts"]
    patient, result, *_ = host["rows"]
    assert (patient["before"]["name"], patient["before"]["weight"], patient["after"]["weight"]) == (PATIENT, 1.1, 0.55)
    assert (result["before"]["value"], result["after"]["value"]) == (5.0, 50.0)
    assert PATIENT not in corrections.written()
    unsigned = corrections.upgrader(ENGINEER, "--json", "apply", change, check=False)
    assert unsigned.json()["code"] == "approvals-missing"

    corrections.signed(change)
    applied = corrections.upgrader(ENGINEER, "--json", "apply", change).json()
    assert applied["counts"] == {"upgraded": 1}
    assert corrections.ask(SUM) == "500.000"
    corrections.upgrader(ENGINEER, "apply", change)
    assert corrections.ask(SUM) == "500.000"

    corrections.upgrader(ENGINEER, "soak", change)
    corrections.upgrader(DEPARTMENT, "accept", change, "--yes")
    closed = corrections.upgrader(ENGINEER, "--json", "close", change, "--to", str(tmp_path)).json()
    assert closed["ending"] == "completed"
    evidence = bundle_text(Path(closed["bundle"]))
    digest = hashlib.sha256(corrections.undo_files[0].read_bytes()).hexdigest()
    assert f"5 rows; undo file sha256:{digest}" in evidence
    assert PATIENT in corrections.undo_files[0].read_text()
    assert PATIENT not in evidence + corrections.written()
    assert "UPDATE result SET value = value * 10" in evidence


def bundle_text(bundle: Path) -> str:
    with tarfile.open(bundle) as archive:
        members = [archive.extractfile(member) for member in archive if member.isfile()]
        return "\n".join(member.read().decode(errors="replace") for member in members if member)


def test_another_count_than_the_signed_one_changes_nothing(corrections: Corrections) -> None:
    change = corrections.planned(WRONG_COUNT, 5)
    before = corrections.ask(SUM)

    dry = corrections.upgrader(ENGINEER, "dry-run", change, check=False)
    corrections.signed(change)
    applied = corrections.upgrader(ENGINEER, "--json", "apply", change, check=False)

    assert dry.code == 14
    assert "expected 5 rows in public.result, found 4" in dry.out
    assert applied.code == 30
    told: dict[str, Any] = applied.json()
    assert (told["state"], told["stopped_because"]) == ("rolled-back", "too-many-failed-in-wave")
    assert corrections.ask(SUM) == before
    assert len(corrections.undo_files) == 1  # of the one before


def test_it_is_taken_back_only_as_long_as_nobody_changed_the_rows(corrections: Corrections) -> None:
    text = "UPDATE result SET value = 1 WHERE id = 5;\nUPDATE patient SET weight = 2 WHERE id = 1;\n"
    change = corrections.planned(LATER, 1, text=text, expected="451.000")
    corrections.signed(change)
    corrections.upgrader(ENGINEER, "apply", change, check=False)
    corrections.ask("UPDATE result SET value = 7 WHERE id = 5")

    stuck = corrections.upgrader(ENGINEER, "--json", "rollback", change, "--reason", "wrong row", check=False)
    assert stuck.code == 31
    assert corrections.ask("SELECT value FROM result WHERE id = 5") == "7.000"

    corrections.ask("UPDATE result SET value = 1 WHERE id = 5")
    back = corrections.upgrader(ENGINEER, "--json", "apply", change, check=False)
    assert (back.code, back.json()["state"]) == (30, "rolled-back")
    assert corrections.ask("SELECT value FROM result WHERE id = 5") == "50.000"
