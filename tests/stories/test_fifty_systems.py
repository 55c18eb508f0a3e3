"""A fifty-first system comes into the reference site: one group, one description, one release, and no code."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stories.drops import DropToBe
from upgrader.adapters.site_template import inventory_files
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import ENGINEER, Answer, Hospital
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.programs import missing_programs
from upgrader.lab.releases import SYSTEM

MISSING = missing_programs(("sshd", "ssh", "ssh-keygen", "git"))
VERSION, MEALS = "3.1.9", "patient-meals"
GROUP = """\
all:
  children:
    patient_meals:
      children:
        patient_meals_web:
          hosts:
            {host}:
"""
DESCRIPTION = """\
upgrader_system:
  id: patient-meals
  number: 51
  name: {zh: "病员膳食管理系统", en: "Patient meals"}
  tiers: [web]
  clients: []
  hours: day
  criticality: 3
  depends_on: [inpatient-management]
"""


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """The fifty systems of the reference site, and one host that really answers."""
    if MISSING:
        pytest.skip(f"NO LAB: {', '.join(MISSING)} is not installed; run tools/system-packages as root")
    directory = tmp_path_factory.mktemp("hospital")
    with temporary_lab(directory / "lab", hosts=1) as lab:
        hospital = Hospital.build(directory, lab, default_cache() / "lab-drop")
        inventory = {path: content.decode() for path, content in inventory_files(None).items()}
        known_hosts = hospital.clone(ENGINEER) / "inventory" / "known_hosts"
        inventory["inventory/known_hosts"] += known_hosts.read_text()
        inventory["inventory/reference.yml"] = inventory.pop("inventory/hosts.yml")  # the lab has a hosts.yml too
        push(hospital, inventory)
        yield hospital


def push(hospital: Hospital, files: dict[str, str]) -> None:
    for path, text in files.items():
        (hospital.clone(ENGINEER) / path).parent.mkdir(parents=True, exist_ok=True)
        (hospital.clone(ENGINEER) / path).write_text(text, encoding="utf-8")
    hospital.git(ENGINEER, "add", "--all", "inventory")
    hospital.git(ENGINEER, "commit", "--quiet", "--message", "inventory")
    hospital.git(ENGINEER, "push", "--quiet")


def asked(hospital: Hospital, *arguments: str) -> Answer:
    return hospital.upgrader(ENGINEER, "--json", "--lang", "en", *arguments, check=False)


def let_the_vendor_deliver(hospital: Hospital, system: str) -> None:
    policy = json.loads(hospital.policy())
    policy["vendors"][0]["systems"].append(system)
    file = hospital.directory / "policy-with-another-system.yml"
    file.write_text(json.dumps(policy, ensure_ascii=False), encoding="utf-8")
    hospital.upgrader(ENGINEER, "trust", "update", "--policy", str(file), "--root-key", str(hospital.root_key))


def test_a_fifty_first_system_is_a_group_and_a_release(hospital: Hospital, tmp_path: Path) -> None:
    (host,) = hospital.lab.hosts
    group = GROUP.format(host=host.name)
    push(hospital, {"inventory/meals.yml": group, "inventory/group_vars/patient_meals.yml": DESCRIPTION})
    let_the_vendor_deliver(hospital, MEALS)
    drop = DropToBe.copy_of(hospital.drop, VERSION, tmp_path)
    drop.replace(f"system: {SYSTEM}", f"system: {MEALS}")
    drop.sign()

    staged = asked(hospital, "stage", str(drop.folder))
    window = ("--reason", "first installation", "--window", "now → +4h")
    change = hospital.upgrader(ENGINEER, "--json", "request", MEALS, VERSION, *window).json()["change"]
    planned = asked(hospital, "plan", change)
    weighed = asked(hospital, "approvals", change)
    listed = asked(hospital, "systems").json()["systems"]

    assert (staged.code, planned.code) == (0, 0), staged.err + planned.err
    assert [one["name"] for one in planned.json()["plan"]["hosts"]] == [host.name]
    assert planned.json()["plan"]["affects"] == []
    assert weighed.json()["plan"] == planned.json()["digest"]  # the gate made the same plan again
    assert [one["described"]["number"] for one in listed if one["described"]] == list(range(1, 52))
    meals = next(one for one in listed if one["id"] == MEALS)
    assert (meals["staged"], meals["open"][0]["change"]) == ([VERSION], change)
    assert [(one["host"], one["part"]) for one in meals["hosts"]] == [(host.name, "web")]
    admission = next(one for one in listed if one["id"] == "inpatient-management")
    assert MEALS in admission["dependents"]


def test_what_hosts_say_when_they_are_asked_is_remembered(hospital: Hospital) -> None:
    told = asked(hospital, "systems", MEALS, "--ask")
    again = asked(hospital, "systems", MEALS).json()["systems"][0]

    assert told.code == 0, told.err
    assert [one["installed"] for one in again["hosts"]] == [""]  # it answered: nothing is there
    assert again["hosts"][0]["at"]


def test_a_plan_that_meets_windows_hosts_names_them_before_any_host_is_asked(hospital: Hospital) -> None:
    window = ("--reason", "all of them", "--window", "now → +4h", "--hosts", "patient_meals:windows_workstations")
    change = hospital.upgrader(ENGINEER, "--json", "request", MEALS, VERSION, *window).json()["change"]

    refused = asked(hospital, "plan", change)

    assert (refused.code, refused.json()["code"]) == (10, "platform-not-served"), refused.err
    assert refused.json()["fields"]["hosts"] == "finance-01, records-01"


def test_doctor_shows_where_a_description_is_wrong(hospital: Hospital) -> None:
    """Comes last: the branch is left with it."""
    wrong = DESCRIPTION.replace("inpatient-management", "inpatient-managment")
    push(hospital, {"inventory/group_vars/patient_meals.yml": wrong})

    told = hospital.upgrader(ENGINEER, "--lang", "en", "doctor", check=False)

    assert "inventory/group_vars/patient_meals.yml:9:16" in told.out
    assert "nobody describes a system inpatient-managment" in told.out
