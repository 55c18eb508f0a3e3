"""The verbs around a change: doctor, status, watch, completion, export, cancel, and a new site."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stories.hosts import version_on
from upgrader.lab.hospital import ENGINEER, INFORMATION, Hospital

pytestmark = pytest.mark.lab

GOOD = "3.5.10"


def test_doctor_finds_all_well_and_names_each_miss_with_its_fix(hospital: Hospital) -> None:
    well = hospital.upgrader(ENGINEER, "--json", "doctor", "--hosts", "all").json()
    assert {finding["health"] for finding in well["findings"]} == {"well"}
    assert sum(finding["what"].startswith("host ") for finding in well["findings"]) == 3

    gone = hospital.lab.hosts[2]
    hospital.lab.power_off(gone)
    ill = hospital.upgrader(ENGINEER, "doctor", "--hosts", "all", check=False)
    hospital.lab.power_on(gone)
    assert ill.code == 14
    assert f"✗ host {gone.name}" in ill.out
    assert "→" in ill.out

    new = hospital.upgrader(ENGINEER, "--state", str(hospital.directory / "new"), "doctor", check=False)
    assert new.code == 14
    assert "upgrader trust init" in new.out


def test_a_host_whose_key_has_changed_is_named(hospital: Hospital) -> None:
    host = hospital.lab.hosts[0]
    other = hospital.lab.hosts[1]
    known = hospital.clone(ENGINEER) / "inventory" / "known_hosts"
    before = known.read_text(encoding="utf-8")
    keys = {line.split()[0]: line.split(maxsplit=1)[1] for line in before.splitlines()}
    mine, theirs = f"[{host.address}]:{host.port}", f"[{other.address}]:{other.port}"
    keys[mine], keys[theirs] = keys[theirs], keys[mine]
    known.write_text("".join(f"{name} {key}\n" for name, key in keys.items()), encoding="utf-8")
    publish(hospital, "inventory/known_hosts")

    ill = hospital.upgrader(ENGINEER, "--json", "doctor", "--hosts", "all", check=False).json()

    known.write_text(before, encoding="utf-8")
    publish(hospital, "inventory/known_hosts")
    assert [f["code"] for f in ill["findings"] if f["health"] == "ill"] == ["host-key-changed"] * 2


def test_a_change_is_exported_cancelled_and_told_of(hospital: Hospital, tmp_path: Path) -> None:
    change = hospital.change_ready(GOOD)
    folder = tmp_path / "by hand"
    exported = hospital.upgrader(ENGINEER, "--json", "export", change, str(folder)).json()
    assert exported["waves"][0] == [hospital.lab.hosts[0].name]
    variable = json.loads((folder / "upgrade.json").read_text(encoding="utf-8"))["upgrade"]
    (build,) = variable["builds"]
    assert (folder / "tree" / build["path"]).stat().st_size == build["size"]
    assert (folder / "tree" / "playbooks" / "upgrade.yml").is_file()

    pending = hospital.upgrader(ENGINEER, "status", "--detailed-exitcode", check=False)
    assert pending.code == 20
    assert change in pending.out
    watched = hospital.upgrader(ENGINEER, "watch", change)
    assert hospital.lab.hosts[0].name in watched.out

    hospital.upgrader(ENGINEER, "cancel", change, "--reason", "not this week")
    refused = hospital.upgrader(ENGINEER, "--json", "apply", change, check=False)
    assert (refused.code, refused.json()["code"]) == (10, "change-not-in-state")
    assert {version_on(hospital.lab, host) for host in hospital.lab.hosts} == {"3.1.9"}


def test_a_plan_again_is_the_same_plan_and_diff_writes_nothing(hospital: Hospital) -> None:
    change = hospital.change_ready(GOOD)
    hospital.git(ENGINEER, "pull", "--quiet")
    before = hospital.git(ENGINEER, "rev-parse", "HEAD").out

    again = hospital.upgrader(ENGINEER, "--json", "plan", change).json()
    difference = hospital.upgrader(INFORMATION, "plan", change, "--diff")

    assert again["plan"]["revision"] == 1
    assert hospital.git(ENGINEER, "rev-parse", "HEAD").out == before
    assert "+++" not in difference.out
    hospital.upgrader(ENGINEER, "cancel", change, "--reason", "done looking")


def test_the_shell_completes_verbs_and_changes(hospital: Hospital) -> None:
    verbs = complete(hospital, "upgrader st")
    changes = complete(hospital, "upgrader apply CHG")

    assert {"plain,stage", "plain,status"} <= set(verbs)
    assert any(line.startswith("plain,CHG-") for line in changes)


def test_init_does_not_write_over_what_is_there(hospital: Hospital, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine", encoding="utf-8")
    words = ("--name", "other-hospital", "--hospital", "另一医院", "Another Hospital")

    refused = hospital.upgrader(ENGINEER, "init", str(tmp_path), *words, check=False)

    assert refused.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def publish(hospital: Hospital, path: str) -> None:
    hospital.git(ENGINEER, "commit", "--quiet", "--message", "inventory", "--", path)
    hospital.git(ENGINEER, "push", "--quiet")


def complete(hospital: Hospital, typed: str) -> list[str]:
    """What the shell is offered for a line that is being typed."""
    words = typed.split(" ")
    told = subprocess.run(
        [sys.executable, "-m", "upgrader"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=hospital.clone(ENGINEER),
        env={
            "PATH": "/usr/bin:/bin",
            "_UPGRADER_COMPLETE": "bash_complete",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(words) - 1),
        },
    )
    return told.stdout.split()
