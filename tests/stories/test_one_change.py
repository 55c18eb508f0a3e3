"""One change, from vendor drop to closed; and two bad releases. All is asserted on the hosts themselves."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from stories.attacks.evidence import FORGED, Forger, Row
from stories.friday import is_refusal
from stories.hosts import answers, appointment_on, journal_on, version_on
from upgrader.lab.hospital import ENGINEER, HEAD, OWNER, Hospital
from upgrader.lab.releases import SYSTEM

pytestmark = pytest.mark.lab

BASE, GOOD, NOBODY_LOGS_IN, DIES_AT_START = "3.1.9", "3.5.10", "3.7.1", "3.6.1"


def versions(hospital: Hospital) -> set[str]:
    return {version_on(hospital.lab, host) for host in hospital.lab.hosts}


def assert_served(hospital: Hospital) -> None:
    """Every host answers an ordinary user, and what was entered before the change is there."""
    for host in hospital.lab.hosts:
        assert answers(host), host.name
        assert host.name in appointment_on(host)


def test_a_good_release_goes_from_the_drop_to_closed(hospital: Hospital) -> None:
    change = hospital.change_ready(GOOD, "--wave-size", "2")
    blocked_and_lifted(hospital)
    assert versions(hospital) == {BASE}

    applied = hospital.upgrader(ENGINEER, "--json", "apply", change).json()

    assert applied["state"] == "soaking"
    assert applied["counts"] == {"upgraded": 3}
    assert versions(hospital) == {GOOD}
    assert_served(hospital)

    before = [journal_on(hospital.lab, host) for host in hospital.lab.hosts]
    again = hospital.upgrader(ENGINEER, "apply", change)
    assert again.code == 0
    assert [journal_on(hospital.lab, host) for host in hospital.lab.hosts] == before

    hospital.upgrader(ENGINEER, "soak", change)
    hospital.upgrader(OWNER, "accept", change, "--yes")
    renew_trust(hospital)
    assert_no_secret_gets_into_a_bundle(hospital, change)
    closed = hospital.upgrader(ENGINEER, "--json", "close", change, "--to", str(archive(hospital))).json()
    assert closed["ending"] == "completed"
    assert_evidence_holds(hospital, Path(closed["bundle"]))
    assert_is_self_contained(Path(closed["report"]))


@pytest.mark.parametrize("row", FORGED, ids=[row.forgery.__name__ for row in FORGED])
def test_a_bundle_is_not_believed_when(row: Row, hospital: Hospital, tmp_path: Path) -> None:
    """After the first change of this module: its bundle, in other hands."""
    (whole,) = archive(hospital).glob("*.evidence.tar")
    row.forgery(Forger.of(hospital, whole, tmp_path))

    answer = hospital.upgrader(
        ENGINEER, "--json", "--lang", "en", "evidence", "verify", str(tmp_path / whole.name), check=False
    )

    assert answer.code == row.exit_code
    assert row.names in is_refusal(answer, row.code)["message"]


def test_a_release_in_which_nobody_can_log_in_is_taken_back_from_the_canary_alone(hospital: Hospital) -> None:
    assert versions(hospital) == {GOOD}
    change = hospital.change_ready(NOBODY_LOGS_IN)
    untouched = [journal_on(hospital.lab, host) for host in hospital.lab.hosts[1:]]

    applied = hospital.upgrader(ENGINEER, "--json", "apply", change, check=False)

    assert applied.code == 30
    assert applied.json()["state"] == "rolled-back"
    assert applied.json()["stopped_because"] == "wave-unstable"
    assert applied.json()["counts"] == {"rolled-back": 1, "not-run": 2}
    assert versions(hospital) == {GOOD}
    assert [journal_on(hospital.lab, host) for host in hospital.lab.hosts[1:]] == untouched
    assert_served(hospital)
    assert hospital.upgrader(ENGINEER, "--json", "close", change).json()["ending"] == "rolled-back"


def test_a_release_that_dies_at_start_is_taken_back_by_the_host_itself(hospital: Hospital) -> None:
    assert versions(hospital) == {GOOD}
    change = hospital.change_ready(DIES_AT_START)

    applied = hospital.upgrader(ENGINEER, "--json", "apply", change, check=False)

    assert applied.code == 30
    assert applied.json()["stopped_because"] == "too-many-failed-in-wave"
    canary = next(host for host in applied.json()["hosts"] if host["wave"] == 0)
    assert canary["outcome"] == "rolled-back"
    assert "defusedxml" in canary["detail"]
    assert versions(hospital) == {GOOD}
    assert_served(hospital)
    assert hospital.upgrader(ENGINEER, "apply", change, check=False).code == 30
    assert versions(hospital) == {GOOD}


def archive(hospital: Hospital) -> Path:
    """Where the first change of this module is put when it is closed."""
    folder = hospital.directory / "archive"
    folder.mkdir(exist_ok=True)
    return folder


def assert_no_secret_gets_into_a_bundle(hospital: Hospital, change: str) -> None:
    """Here the secret is what somebody wrote as the reason of the change; once it is another one, the change closes."""
    secret = hospital.state / "secrets" / "exam-db"
    secret.parent.mkdir(mode=0o700)
    secret.write_text("defect 2291\n")
    secret.chmod(0o600)
    close = ("--json", "--lang", "en", "close", change, "--to", str(archive(hospital)))
    is_refusal(hospital.upgrader(ENGINEER, *close, check=False), "evidence-holds-secret")
    assert list(archive(hospital).iterdir()) == []
    secret.write_text("changed-since\n")


def blocked_and_lifted(hospital: Hospital) -> None:
    """The release was found bad, and others said that it is not; the bundle holds both words."""
    release = (SYSTEM, GOOD, "--reason", "alarms come twice")
    hospital.upgrader(ENGINEER, "known-bad", "add", *release)
    hospital.upgrader(HEAD, "known-bad", "unblock", *release)


def renew_trust(hospital: Hospital) -> None:
    """A new version of the trust file comes in between: what was signed under the old one stays proven."""
    policy = hospital.directory / "policy.yml"
    said = json.loads(policy.read_text(encoding="utf-8"))
    policy.write_text(json.dumps({**said, "expires": "2099-12-31"}, ensure_ascii=False), encoding="utf-8")
    hospital.upgrader(ENGINEER, "trust", "update", "--policy", str(policy), "--root-key", str(hospital.root_key))


PROGRAMS = ("sh", "tar", "sed", "awk", "grep", "cut", "paste", "sort", "head", "tail", "tr", "mkdir", "sha256sum")
BY_HAND = Path(__file__).parents[2] / "docs" / "evidence-by-hand.md"


def by_hand(bundle: Path) -> str:
    """Run the lines of docs/evidence-by-hand.md as they stand, with these programs and ssh-keygen, and nothing else."""
    desk = bundle.parent / "desk"
    shutil.rmtree(desk, ignore_errors=True)
    (desk / "bin").mkdir(parents=True)
    for program in (*PROGRAMS, "ssh-keygen"):
        (desk / "bin" / program).symlink_to(str(shutil.which(program)))
    (lines,) = re.findall(r"^```sh\n(.*?)^```$", BY_HAND.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    done = subprocess.run(
        [desk / "bin" / "sh", "-c", lines.replace("BUNDLE", str(bundle))],
        cwd=desk,
        env={"PATH": str(desk / "bin"), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("everything holds / 全部成立\n")
    shutil.rmtree(desk)
    return done.stdout


def assert_evidence_holds(hospital: Hospital, bundle: Path) -> None:
    """The bundle verifies, and another root is not believed."""
    verified = hospital.upgrader(ENGINEER, "--json", "evidence", "verify", str(bundle)).json()
    assert len(verified["signatures"]) == 5
    root = verified["root"]
    told = by_hand(bundle)
    assert f"root fingerprint {root}" in told
    known = re.findall(rf"^known-bad/{SYSTEM}/(block|unblock)_.*\.json (.*)\n(.*)$", told, re.MULTILINE)
    assert known == [(mark, "holds", "it speaks of this release") for mark in ("block", "unblock")]
    assert hospital.upgrader(ENGINEER, "evidence", "verify", str(bundle), "--root", root).code == 0
    assert hospital.upgrader(ENGINEER, "evidence", "verify", str(bundle), "--root", "0" * 64, check=False).code == 10


def assert_is_self_contained(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    assert "程序变更" in text
    assert "exam-scheduling" in text
    assert not {'src="http', "<script", 'href="http'} & set(text.split())
