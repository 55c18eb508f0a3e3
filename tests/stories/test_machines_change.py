"""One change on whole machines with systemd: units, real services, a power cut, a rollback. Root on Debian only.

Nobody logs in there as root: on the one machine our user becomes root by sudo with a password, on the other without.
"""

import os
import shlex
import time
from collections.abc import Iterator

import pytest

from stories.hosts import answers, appointment_on, enter_appointment, version_on
from upgrader.domain.errors import LabFailed
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import ENGINEER, Hospital, Start
from upgrader.lab.host import LabHost
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.machines import PROGRAMS
from upgrader.lab.programs import missing_programs
from upgrader.lab.releases import SYSTEM

MISSING = missing_programs(PROGRAMS)
USER, SECRET, PASSWORD = "upgrade", "sudo-exam", "correct horse 电池 $`'\"\\%"
NO_MACHINES = "NO MACHINES TRIED: " + ("not root" if os.geteuid() != 0 else f"missing {', '.join(MISSING)}")
BASE, GOOD, DIES_AT_START = "3.1.9", "3.5.10", "3.6.1"

pytestmark = [
    pytest.mark.machines,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or bool(MISSING), reason=NO_MACHINES),
]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory, warm: Start) -> Iterator[Hospital]:
    """A hospital of two machines that run 3.1.9 as a systemd service, with an appointment on each."""
    directory = tmp_path_factory.mktemp("machines")
    with temporary_lab(directory / "lab", hosts=2, machines=True) as lab:
        hospital = Hospital.build(directory, lab, default_cache() / "lab-drop", start=warm)
        hospital.install_by_hand(BASE)
        for host in lab.hosts:
            enter_appointment(host)
        asks, trusts = lab.hosts
        let_in(hospital, asks, "ALL", {"ansible_become_password": f"secret:{SECRET}"})
        let_in(hospital, trusts, "NOPASSWD: ALL", {})
        hospital.git(ENGINEER, "add", "inventory")
        hospital.git(ENGINEER, "commit", "--quiet", "-m", "nobody logs in as root")
        hospital.git(ENGINEER, "push", "--quiet")
        yield hospital


def let_in(hospital: Hospital, host: LabHost, rule: str, variables: dict[str, str]) -> None:
    """Make an ordinary user on this machine who may become root as `rule` of sudoers says, and have upgrader use it."""
    for command in (
        f"useradd --create-home --shell /bin/sh {USER}",
        f"install -d -m 700 -o {USER} /home/{USER}/.ssh",
        f"install -m 600 -o {USER} /root/.ssh/authorized_keys /home/{USER}/.ssh/",
        f"echo {USER}:{shlex.quote(PASSWORD)} | chpasswd",
        f"echo '{USER} ALL=(ALL) {rule}' >/etc/sudoers.d/{USER} && chmod 440 /etc/sudoers.d/{USER}",
    ):
        assert hospital.lab.run(host, command).returncode == 0, command
    folder = hospital.clone(ENGINEER) / "inventory" / "host_vars"
    folder.mkdir(exist_ok=True)
    lines = {"ansible_user": USER, "ansible_become": "true", **variables}
    (folder / f"{host.name}.yml").write_text("".join(f"{name}: {value}\n" for name, value in lines.items()))


def keep_password(hospital: Hospital, password: str) -> None:
    """Where the controller finds the password, and the hosts to which it may go."""
    for folder in ("secrets", "secret-hosts"):
        (hospital.state / folder).mkdir(mode=0o700, exist_ok=True)
    kept = hospital.state / "secrets" / SECRET
    kept.touch(mode=0o600)
    kept.write_text(f"{password}\n", encoding="utf-8")
    known = (hospital.clone(ENGINEER) / "inventory" / "known_hosts").read_text()
    (hospital.state / "secret-hosts" / SECRET).write_text(known)


def unit(hospital: Hospital, host: LabHost) -> str:
    return hospital.lab.run(host, f"systemctl is-active {SYSTEM}").stdout.strip()


def wait_until_served(host: LabHost, seconds: float = 60) -> None:
    """A machine that boots answers a moment later."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if answers(host):
                return
        except LabFailed:
            pass
        time.sleep(0.5)
    raise AssertionError(f"{host.name} does not answer")


def test_a_release_goes_onto_machines_survives_a_power_cut_and_is_taken_back(machines: Hospital) -> None:
    lab = machines.lab
    keep_password(machines, PASSWORD)
    change = machines.change_ready(GOOD)

    machines.upgrader(ENGINEER, "apply", change)

    for host in lab.hosts:
        assert version_on(lab, host) == GOOD
        assert unit(machines, host) == "active"
        assert host.name in appointment_on(host)

    cut = lab.hosts[0]
    lab.power_off(cut)
    lab.power_on(cut)
    wait_until_served(cut)
    assert version_on(lab, cut) == GOOD
    assert host.name in appointment_on(host)

    machines.upgrader(ENGINEER, "rollback", change, "--reason", "rehearsal")

    for host in lab.hosts:
        assert version_on(lab, host) == BASE
        assert unit(machines, host) == "active"
        assert answers(host)
        assert host.name in appointment_on(host)
    kept = [path for path in machines.state.rglob("*") if path.is_file() and path.name != SECRET]
    assert [path for path in kept if PASSWORD.encode() in path.read_bytes()] == []


def test_a_password_goes_to_no_host_key_that_this_controller_does_not_know(machines: Hospital) -> None:
    keep_password(machines, PASSWORD)
    known = machines.state / "secret-hosts" / SECRET
    known.write_text("".join(line for line in known.open() if machines.lab.hosts[0].known_as not in line))
    asked = machines.upgrader(ENGINEER, "--json", "request", SYSTEM, GOOD, "--window", "now → +4h", "--reason", "x")
    change = asked.json()["change"]

    refused = machines.upgrader(ENGINEER, "--json", "plan", change, check=False)
    keep_password(machines, "not " + PASSWORD)
    wrong = machines.upgrader(ENGINEER, "--json", "plan", change, check=False)
    keep_password(machines, PASSWORD)

    assert (refused.code, refused.json()["code"]) == (10, "secret-not-for-host"), refused.out
    assert (wrong.code, wrong.json()["code"]) == (14, "host-not-ready"), wrong.out
    assert "Incorrect sudo password" in wrong.json()["message"]


def test_a_unit_that_crashes_at_start_is_taken_back_by_the_machine(machines: Hospital) -> None:
    lab = machines.lab
    good = machines.change_ready(GOOD)
    machines.upgrader(ENGINEER, "apply", good)
    bad = machines.change_ready(DIES_AT_START)

    applied = machines.upgrader(ENGINEER, "--json", "apply", bad, check=False)

    assert applied.code == 30
    assert {version_on(lab, host) for host in lab.hosts} == {GOOD}
    for host in lab.hosts:
        assert unit(machines, host) == "active"
        assert host.name in appointment_on(host)
