"""The runbook is true: each block of commands that it calls tried is run here as it stands, and the hosts are asked."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from stories.hosts import answers, appointment_on, version_on
from upgrader.adapters.trust.ssh_signatures import fingerprint
from upgrader.lab.hospital import ENGINEER, INFORMATION, OWNER, TESTER, Hospital
from upgrader.lab.host import LabHost
from upgrader.lab.keys import ensure_key, public_text
from upgrader.lab.releases import SYSTEM

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.xdist_group("runbook")]

BASE, GOOD = "3.1.9", "3.5.10"
DOCS = Path(__file__).parents[2] / "docs"
TRIED = re.compile(r"^<!-- tried: ([a-z-]+) -->\n```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks_of(file: str) -> dict[str, str]:
    return dict(TRIED.findall((DOCS / file).read_text(encoding="utf-8")))


BLOCKS = blocks_of("runbook.md")


@dataclass(frozen=True, slots=True)
class Night:
    """The engineer on the night on which things go wrong: a change that everybody signed, and the runbook."""

    hospital: Hospital
    change: str
    folder: Path

    def places(self, **more: object) -> Mapping[str, str]:
        """What stands in the runbook in capitals, and what it is here."""
        known = {
            "CHANGE": self.change,
            "SYSTEM": SYSTEM,
            "FOLDER": self.folder,
            "STATE": self.hospital.state,
            "CLONE": self.hospital.clone(ENGINEER),
            "DROP-FOLDER": self.hospital.drop.release(GOOD),
            "BACKUP.tar.gz": self.hospital.directory / "backup.tar.gz",
        }
        return {name: str(place) for name, place in {**known, **more}.items()}

    def tried(self, name: str, **more: object) -> str:
        """Run one block of the runbook at the engineer's desk, with plain programs; give what it said."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", filled(BLOCKS[name], self.places(**more))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
            cwd=self.hospital.clone(ENGINEER),
            env={**os.environ, **self._surroundings()},
        )
        assert done.returncode == 0, f"{name}: {done.stdout}"
        return done.stdout

    def tried_on(self, host: LabHost, name: str) -> dict[str, object]:
        """Run one block on a host itself; give its last line, a JSON object."""
        block = filled(BLOCKS[name], self.places()).replace("/var/lib/upgrader", host.upgrader_state)
        done = self.hospital.lab.run(host, block, timeout=120)
        assert done.returncode == 0, done.stderr
        fact: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
        return fact

    def versions(self) -> list[str]:
        return [version_on(self.hospital.lab, host) for host in self.hospital.lab.hosts]

    def _surroundings(self) -> Mapping[str, str]:
        return {
            **self.hospital.surroundings(),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ANSIBLE_PRIVATE_KEY_FILE": str(self.hospital.lab.ssh_key),
            "UPGRADER_PERSON": ENGINEER,
            "UPGRADER_KEY": str(self.hospital.people_keys[ENGINEER]),
        }


def filled(block: str, places: Mapping[str, str]) -> str:
    """The block with its words in capitals filled in, the longest first."""
    names = sorted(places, key=len, reverse=True)
    return re.sub("|".join(rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in names), lambda m: places[m[0]], block)


@pytest.fixture(scope="module")
def signed(hospital: Hospital) -> str:
    """A change that everybody signed and nobody applied."""
    return hospital.change_ready(GOOD, "--wave-size", "2")


@pytest.fixture
def night(hospital: Hospital, signed: str, tmp_path: Path) -> Night:
    return Night(hospital, signed, tmp_path / "by-hand")


def test_both_languages_type_the_same_commands() -> None:
    assert blocks_of("runbook.zh.md") == BLOCKS
    assert len(BLOCKS) == len(TRIED.findall((DOCS / "runbook.md").read_text(encoding="utf-8")))


def test_a_dead_controller_is_replaced_by_hand_with_what_it_exported(night: Night, tmp_path: Path) -> None:
    canary, *others = night.hospital.lab.hosts
    night.tried("export")
    moved = Night(night.hospital, night.change, tmp_path / "moved")
    night.folder.rename(moved.folder)
    moved.tried("upgrade", HOST=canary.name)

    assert night.versions() == [GOOD, BASE, BASE]
    assert answers(canary)
    assert all(canary.name in appointment_on(canary) for _ in others)

    moved.tried("rollback", HOST=canary.name)

    assert night.versions() == [BASE, BASE, BASE]
    assert canary.name in appointment_on(canary)


def test_without_upgrader_the_folder_is_made_from_a_clone_and_the_drop(night: Night, tmp_path: Path) -> None:
    host = night.hospital.lab.hosts[1]
    night.hospital.git(ENGINEER, "pull", "--quiet", "origin", "main")
    exported = Night(night.hospital, night.change, tmp_path / "exported")
    exported.tried("export")

    said = night.tried("by-hand-folder")

    assert json.loads((night.folder / "upgrade.json").read_text()) == json.loads(
        (exported.folder / "upgrade.json").read_text()
    )
    assert tree(night.folder / "tree") == tree(exported.folder / "tree")
    record = next((night.hospital.clone(ENGINEER) / "approvals" / night.change).glob(f"approve_{INFORMATION}_*.json"))
    assert json.loads(record.read_text())["plan"] in said
    public = public_text(night.hospital.people_keys[INFORMATION])
    checked = {"SIGNER": INFORMATION, "PUBLIC-KEY": public, "RECORD": record}
    assert "Good" in night.tried("check-signature", **checked)

    night.tried("upgrade", HOST=host.name)

    assert night.versions() == [BASE, GOOD, BASE]
    assert answers(host)


def test_a_host_tells_of_itself_and_goes_back_without_a_controller(night: Night) -> None:
    host = night.hospital.lab.hosts[1]
    assert version_on(night.hospital.lab, host) == GOOD

    told = night.tried_on(host, "host-status")
    assert (told["current"], told["running"], told["healthy"], told["key_state"]) == (GOOD, True, True, "confirmed")

    taken = night.tried_on(host, "host-revert")
    assert (taken["outcome"], taken["current"]) == ("rolled-back", BASE)
    assert version_on(night.hospital.lab, host) == BASE
    assert host.name in appointment_on(host)


def test_what_was_done_by_hand_and_what_a_backup_forgot_is_counted_when_the_controller_is_back(
    night: Night, tmp_path: Path
) -> None:
    night.tried("backup")
    night.tried("export")
    night.tried("upgrade", HOST=night.hospital.lab.hosts[0].name)
    first = night.hospital.upgrader(ENGINEER, "--json", "apply", night.change).json()
    assert first["counts"] == {"upgraded": 3}

    night.hospital.state.rename(tmp_path / "lost")
    night.tried("restore")
    assert night.hospital.upgrader(ENGINEER, "doctor").code == 0
    stale = night.hospital.upgrader(ENGINEER, "--json", "apply", night.change, check=False)
    assert (stale.code, stale.json()["code"]) == (13, "journal-older-than-hosts")
    ours, newest = (folder / "changes" / night.change for folder in (night.hospital.state, tmp_path / "lost"))
    shutil.rmtree(ours)
    shutil.copytree(newest, ours)
    again = night.hospital.upgrader(ENGINEER, "--json", "apply", night.change).json()

    assert again["state"] == "soaking"
    assert again["counts"] == {"upgraded": 3}
    assert night.versions() == [GOOD, GOOD, GOOD]


def test_a_lost_trust_file_comes_back_from_a_bundle_and_an_expired_one_is_renewed(night: Night, tmp_path: Path) -> None:
    hospital = night.hospital
    hospital.upgrader(ENGINEER, "soak", night.change)
    hospital.upgrader(OWNER, "accept", night.change, "--yes")
    hospital.upgrader(ENGINEER, "close", night.change, "--to", str(tmp_path))
    before = hospital.upgrader(ENGINEER, "trust", "show").out
    shutil.rmtree(hospital.state / "trust")
    assert hospital.upgrader(ENGINEER, "trust", "show", check=False).code == 10

    said = night.tried("trust-from-bundle", BUNDLE=tmp_path / f"{night.change}.evidence.tar")

    assert said == before
    policy = json.loads(hospital.policy())
    policy["expires"] = "2099-12-31"
    (tmp_path / "policy.yml").write_text(json.dumps(policy, ensure_ascii=False), encoding="utf-8")
    renewed = {"ROOT-KEY": hospital.root_key, "policy.yml": tmp_path / "policy.yml"}
    assert "2099-12-31" in night.tried("trust-update", **renewed)


def test_a_key_comes_is_lost_and_a_person_leaves(night: Night, tmp_path: Path) -> None:
    """OWNER gets a second key, loses the first, and is still the one who accepts; TESTER leaves."""
    new = ensure_key(tmp_path / "new", comment="new")
    first = fingerprint(public_text(night.hospital.people_keys[OWNER]))
    places = {"PERSON": OWNER, "NEW-KEY": new, "FOLDER": tmp_path, "ROOT-KEY": night.hospital.root_key}

    asked = night.tried("trust-enrol-ask", **places)
    enrolled = night.tried("trust-enrol", **places)

    assert fingerprint(public_text(new)) in asked
    assert fingerprint(public_text(new)) in enrolled
    lost = {**places, "PERSON": f"{OWNER} --fingerprint {first}"}
    assert first in night.tried("trust-revoke", **lost)
    assert TESTER in night.tried("trust-leave", **{**places, "PERSON": TESTER})
    assert f"✗ {TESTER}" in night.hospital.upgrader(ENGINEER, "trust", "show").out


def tree(folder: Path) -> dict[str, bytes]:
    """The files below a folder, without what Python leaves there."""
    paths = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
