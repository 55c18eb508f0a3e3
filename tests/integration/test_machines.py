"""Machines that boot, reboot and lose their power: the lab's other kind of host, tried for real."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from upgrader.domain.errors import LabFailed
from upgrader.lab.by_hand import switch_by_hand, unpack_by_hand
from upgrader.lab.drop import build_drop, default_cache, put_appointment, read_appointment
from upgrader.lab.host import SERVICE_PORT, LabHost
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.lab import Lab, silent
from upgrader.lab.machines import PROGRAMS
from upgrader.lab.processes import with_marker
from upgrader.lab.programs import missing_programs

MISSING = missing_programs(PROGRAMS)
NO_MACHINES = "NO MACHINES TRIED: " + ("not root" if os.geteuid() != 0 else f"missing {', '.join(MISSING)}")

pytestmark = [pytest.mark.machines, pytest.mark.slow]
needs_machines = pytest.mark.skipif(os.geteuid() != 0 or bool(MISSING), reason=NO_MACHINES)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with temporary_lab(tmp_path_factory.mktemp("machines"), hosts=2, machines=True) as lab:
        yield lab


def boot_id(lab: Lab, host: LabHost) -> str:
    return lab.run(host, "cat /proc/sys/kernel/random/boot_id").stdout


def left_behind(lab: Lab) -> list[str]:
    """Processes, mounts, network interfaces and control groups that still carry the lab's name."""
    processes = [f"process {p.pid}" for p in with_marker("UPGRADER_LAB", lab.record.id)]
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(lab.directory) in line]
    links = [link.name for link in Path("/sys/class/net").iterdir() if lab.record.id in link.name]
    nspawn = [str(path) for path in Path("/run/systemd/nspawn").rglob(f"*{lab.record.id}*")]
    groups = [path.name for path in Path("/sys/fs/cgroup").glob(f"**/*{lab.record.id}*")]
    return [*processes, *mounts, *links, *nspawn, *groups]


@needs_machines
def test_each_machine_is_a_debian_with_its_own_name_and_systemd(lab: Lab) -> None:
    for host in lab.hosts:
        state = lab.run(host, "systemctl is-system-running --wait; hostname; cat /proc/1/comm; cat /etc/machine-id")
        name, first, machine_id = state.stdout.split()[1:]
        assert state.stdout.startswith("running\n")
        assert (name, first) == (host.name, "systemd")
        assert len(machine_id) == 32

    assert len({lab.run(host, "cat /etc/machine-id").stdout for host in lab.hosts}) == 2
    assert [status.is_up for status in lab.status()] == [True, True]


@needs_machines
def test_a_machine_comes_back_from_a_reboot_with_its_data(lab: Lab) -> None:
    host, other = lab.hosts
    before, beside = boot_id(lab, host), boot_id(lab, other)
    lab.run(host, "echo kept >/var/lib/kept; systemd-run --on-active=3600 true")

    lab.reboot(host)

    assert boot_id(lab, host) != before
    assert boot_id(lab, other) == beside
    assert lab.run(host, "cat /var/lib/kept").stdout == "kept\n"


@needs_machines
def test_a_machine_whose_plug_was_pulled_keeps_its_disk_and_boots_again(lab: Lab) -> None:
    host, other = lab.hosts
    beside = boot_id(lab, other)
    lab.run(host, "echo kept >/opt/before")

    lab.power_off(host)
    assert [status.is_up for status in lab.status()] == [False, True]
    assert (host.root / "opt/before").read_text() == "kept\n"
    lab.power_on(host)

    assert lab.run(host, "cat /opt/before").stdout == "kept\n"
    assert boot_id(lab, other) == beside


@needs_machines
def test_a_service_installed_by_hand_survives_reboot_and_power_cut(lab: Lab) -> None:
    host = lab.hosts[0]
    drop = build_drop(lab.drop, default_cache() / "lab-drop", silent)
    unpack_by_hand(lab, host, drop.archive("3.5.10"), "3.5.10")
    done = switch_by_hand(lab, host, "3.5.10")
    assert done.returncode == 0, done.stderr
    put_appointment(host.address, SERVICE_PORT, "one", "MRI knee")
    assert any("radicale" in line for line in lab.status()[0].services)

    lab.reboot(host)
    assert lab.run(host, "/opt/exam-scheduling/current/bin/health 20").returncode == 0
    assert read_appointment(host.address, SERVICE_PORT, "one") == "MRI knee"

    lab.power_off(host)
    lab.power_on(host)
    assert lab.run(host, "/opt/exam-scheduling/current/bin/health 20").returncode == 0
    assert read_appointment(host.address, SERVICE_PORT, "one") == "MRI knee"


@needs_machines
def test_nothing_is_left_behind_even_after_half_was_killed(tmp_path: Path, lab: Lab) -> None:
    with temporary_lab(tmp_path, hosts=2, machines=True) as other:
        assert other.record.subnet != lab.record.subnet
        (main,) = [status.pid for status in other.status()[:1]]
        assert main is not None
        os.kill(main, signal.SIGKILL)
        time.sleep(0.3)
        other.down()
        assert left_behind(other) == []

        again = Lab.up(tmp_path, hosts=2, machines=True)
        assert [status.is_up for status in again.status()] == [True, True]

    assert left_behind(other) == []
    assert [status.is_up for status in lab.status()] == [True, True]


def test_without_root_it_is_said_clearly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(LabFailed) as caught:
        Lab.up(tmp_path, hosts=1, machines=True)

    assert caught.value.code == "lab-machines-unavailable"


@needs_machines
def test_a_machine_is_reached_with_its_pinned_key_only(lab: Lab) -> None:
    listed = (lab.inventory / "known_hosts").read_text()
    scanned = subprocess.run(
        ["ssh-keyscan", "-t", "ed25519", lab.hosts[0].address], capture_output=True, text=True, check=True
    ).stdout

    assert scanned.strip() in listed
