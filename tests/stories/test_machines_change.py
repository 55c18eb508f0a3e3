"""One change on whole machines with systemd: units, real services, a power cut, a rollback. Root on Debian only."""

import os
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
        yield hospital


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
