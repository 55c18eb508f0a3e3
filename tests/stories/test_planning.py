"""Planning asks the hosts before anybody has signed: what was only pushed must not run for that."""

import re
from pathlib import Path

import pytest

from stories.attacker import Attacker
from upgrader.lab.hospital import ENGINEER, Hospital
from upgrader.lab.releases import SYSTEM

pytestmark = pytest.mark.lab

GOOD = "3.5.10"


def ready(hospital: Hospital) -> str:
    """A change that is asked for, and not planned yet."""
    hospital.staged(GOOD)
    words = ("--reason", "defect 2291", "--window", "now → +4h")
    change: str = hospital.upgrader(ENGINEER, "--json", "request", SYSTEM, GOOD, *words).json()["change"]
    return change


def test_a_plan_runs_nothing_that_was_pushed_and_not_signed(hospital: Hospital, tmp_path: Path) -> None:
    change, attacker = ready(hospital), Attacker.of(hospital, tmp_path)
    ran, on_host = tmp_path / "ran", tmp_path / "on-host"
    preflight = attacker.path("playbooks/preflight.yml")
    more = f"""
- name: More
  hosts: all
  gather_facts: false
  tasks:
    - {{name: There, ansible.builtin.raw: 'touch {on_host}'}}
    - name: Here
      ansible.builtin.command: touch {ran}
      delegate_to: localhost
      vars: {{ansible_connection: local}}
"""
    preflight.write_text(preflight.read_text(encoding="utf-8") + more, encoding="utf-8")
    attacker.push()

    planned = hospital.upgrader(ENGINEER, "plan", change, "--diff")

    assert planned.code == 0
    assert not ran.exists()
    assert not on_host.exists()


def test_a_template_in_the_inventory_is_not_evaluated(hospital: Hospital, tmp_path: Path) -> None:
    change, attacker = ready(hospital), Attacker.of(hospital, tmp_path)
    ran = tmp_path / "ran"
    hosts = attacker.path("inventory/hosts.yml")
    evil = f"upgrader_state: \"{{{{ lookup('pipe', 'touch {ran}') }}}}\""
    text, count = re.subn(r"upgrader_state: .*", lambda _: evil, hosts.read_text(encoding="utf-8"), count=1)
    assert count == 1
    hosts.write_text(text, encoding="utf-8")
    attacker.push()

    planned = hospital.upgrader(ENGINEER, "--json", "plan", change, "--diff", check=False)

    assert planned.json()["code"] == "inventory-value-malformed"
    assert not ran.exists()
