"""The transaction where systemd is the service manager: on machines that boot, reboot and lose their power."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.sh_host import SCRIPT, SYSTEM, Build, ShHost, make_build
from contracts.ssh_fleet import export_tree, upgrade_of
from upgrader.adapters.hosts.ansible import AnsibleFleet
from upgrader.domain.changes.playbook import PlaybookResult, PlaybookRun
from upgrader.lab.host import LabHost
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.lab import Lab
from upgrader.lab.machines import PROGRAMS
from upgrader.lab.programs import missing_programs

MISSING = missing_programs(PROGRAMS)
NO_MACHINES = "NO MACHINES TRIED: " + ("not root" if os.geteuid() != 0 else f"missing {', '.join(MISSING)}")
pytestmark = [
    pytest.mark.machines,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or bool(MISSING), reason=NO_MACHINES),
]

UNIT = """\
[Unit]
Description=Examination scheduling @version@
StartLimitIntervalSec=0
[Service]
ExecStart=@root@/current/bin/run
Restart=always
RestartSec=0.2
[Install]
WantedBy=multi-user.target
"""
INSTALLED = f"/etc/systemd/system/{SYSTEM}.service"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with temporary_lab(tmp_path_factory.mktemp("systemd"), hosts=1, machines=True) as made:
        yield made


@pytest.fixture
def host(lab: Lab) -> Iterator[LabHost]:
    """A machine on which version 1.0 was installed, and from which everything is removed afterwards."""
    host = lab.hosts[0]
    yield host
    lab.run(
        host,
        f"systemctl disable --now {SYSTEM}; systemctl stop upgrader-{SYSTEM}-deadman; systemctl reset-failed;"
        f" rm -rf /opt/{SYSTEM} /var/lib/upgrader /etc/systemd/system/*{SYSTEM}*; systemctl daemon-reload",
    )


def unit_build(folder: Path, version: str, *, run: str = "exec sleep 100000", health: str = "exit 0") -> Build:
    return make_build(
        folder,
        version,
        health=health,
        **{"bin/run": f"#!/bin/sh\n{run}\n", "etc/unit.in": UNIT},
    )


def changes(build: Build, base: str, **changed: Any) -> dict[str, Any]:
    config = [{"from": "etc/unit.in", "to": "etc/exam-scheduling.service"}]
    return upgrade_of(build, {"exam-01": base}, config=config, **changed)


def tree_of(lab: Lab) -> Path:
    tree = lab.directory / "tree"
    if not tree.exists():
        export_tree(tree)
        shutil.copytree(lab.inventory, tree / "inventory")
    return tree


def run(lab: Lab, upgrade: dict[str, Any], verb: str = "upgrade") -> PlaybookResult:
    order = PlaybookRun(
        playbook=f"playbooks/{verb}.yml",
        tree=str(tree_of(lab)),
        hosts=("exam-01",),
        upgrade=upgrade,
        forks=1,
        timeout_seconds=120,
        dry_run=False,
    )
    return AnsibleFleet(lab.directory / "artifacts", lab.ssh_key).run(order, lambda _: None)


def apply_without_confirming(lab: Lab, host: LabHost, build: Build, base: str, **inputs: str | int) -> None:
    """What a controller does that dies before it can confirm. Returns at once; the host goes on alone."""
    values = ShHost(Path("/"), "", "").lines(
        build,
        base=base,
        root="/opt",
        state="/var/lib/upgrader",
        manager="systemd",
        service=SYSTEM,
        unit="etc/exam-scheduling.service",
        **{"config.from": "etc/unit.in", "config.to": "etc/exam-scheduling.service"},
        **inputs,
    )
    incoming = f"/var/lib/upgrader/{SYSTEM}/incoming"
    lab.run(host, f"mkdir -p {incoming}")
    send = [*lab.ssh_command(host), f"cat >{incoming}/{build.sha256}.0.part"]
    subprocess.run(send, input=build.path.read_bytes(), check=True)
    subprocess.run([*lab.ssh_command(host), "cat >/tmp/transaction.sh"], input=SCRIPT.encode(), check=True)
    begin = "cat >/tmp/inputs; setsid sh /tmp/transaction.sh apply </tmp/inputs >/tmp/told 2>&1 &"
    subprocess.run([*lab.ssh_command(host), begin], input=values.encode(), check=True, timeout=30)


def facts(lab: Lab, host: LabHost) -> list[str]:
    journal = lab.run(host, f"cut -d' ' -f5 /var/lib/upgrader/{SYSTEM}/journal")
    return journal.stdout.split()


def wait_for(what: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.2)
    return what()


def described(lab: Lab, host: LabHost) -> str:
    """What systemd says of the service: its state and the version in its unit file."""
    return lab.run(host, f"systemctl is-active {SYSTEM}; systemctl show -P Description {SYSTEM}").stdout


def wants(lab: Lab, host: LabHost) -> list[str]:
    """Our own units, which should not outlive a change."""
    listed = lab.run(host, "ls /etc/systemd/system /etc/systemd/system/multi-user.target.wants; systemctl list-units")
    return [line for line in listed.stdout.splitlines() if f"upgrader-{SYSTEM}" in line]


def outcome(result: PlaybookResult) -> tuple[str, str, str]:
    (report,) = result.reports
    return (report.outcome.value, report.step, report.current)


@pytest.fixture
def as_clerk(lab: Lab, host: LabHost) -> Iterator[Callable[..., PlaybookResult]]:
    """Runs a playbook on the machine as an ordinary user, who may become nobody; host variables are added."""
    lab.run(host, "useradd --create-home --home-dir /srv/clerk clerk; install -d -m 700 -o clerk /srv/clerk/.ssh")
    lab.run(host, "install -m 600 -o clerk /root/.ssh/authorized_keys /srv/clerk/.ssh/")
    variables = tree_of(lab) / "inventory" / "host_vars" / "exam-01.yml"
    variables.parent.mkdir(exist_ok=True)

    def run_as_clerk(upgrade: dict[str, Any], **added: str) -> PlaybookResult:
        lines = {"ansible_user": "clerk", **added}
        variables.write_text("".join(f"{name}: {value}\n" for name, value in lines.items()))
        return run(lab, upgrade)

    yield run_as_clerk
    variables.unlink()


RUNS = "active\nExamination scheduling {}\n"


def test_a_service_is_installed_upgraded_and_taken_back(lab: Lab, host: LabHost, tmp_path: Path) -> None:
    old, new = unit_build(tmp_path, "1.0"), unit_build(tmp_path, "2.0")

    assert outcome(run(lab, changes(old, ""))) == ("upgraded", "healthy", "1.0")
    assert described(lab, host) == RUNS.format("1.0")
    assert outcome(run(lab, changes(new, "1.0", change="CHG-2026-0002"))) == ("upgraded", "healthy", "2.0")
    assert described(lab, host) == RUNS.format("2.0")
    assert outcome(run(lab, changes(new, "1.0", change="CHG-2026-0002"))) == ("unchanged", "probe", "2.0")
    assert lab.run(host, f"systemctl is-enabled {SYSTEM}").stdout == "enabled\n"
    assert outcome(run(lab, changes(new, "1.0", change="CHG-2026-0002"), "rollback")) == (
        "rolled-back",
        "revert",
        "1.0",
    )
    assert described(lab, host) == RUNS.format("1.0")
    assert wants(lab, host) == []


def test_a_unit_that_crash_loops_is_taken_back(lab: Lab, host: LabHost, tmp_path: Path) -> None:
    run(lab, changes(unit_build(tmp_path, "1.0"), ""))
    looping = changes(unit_build(tmp_path, "2.0", run="sleep 0.1; exit 1"), "1.0", change="CHG-2026-0002")
    looping["service"] |= {"settle_seconds": 2}

    result = run(lab, looping)

    assert outcome(result)[0] == "rolled-back"
    assert outcome(result)[1] in ("settle", "health")
    assert described(lab, host) == RUNS.format("1.0")
    assert wants(lab, host) == []


def test_a_first_install_that_fails_leaves_no_unit(lab: Lab, host: LabHost, tmp_path: Path) -> None:
    result = run(lab, changes(unit_build(tmp_path, "1.0", health="exit 1"), ""))

    assert outcome(result) == ("rolled-back", "health", "")
    assert lab.run(host, f"ls {INSTALLED} /opt/{SYSTEM}/current").returncode != 0
    assert lab.run(host, f"systemctl is-active {SYSTEM}").stdout != "active\n"
    assert wants(lab, host) == []


def test_without_a_confirmation_the_timer_takes_the_host_back(lab: Lab, host: LabHost, tmp_path: Path) -> None:
    run(lab, changes(unit_build(tmp_path, "1.0"), ""))

    apply_without_confirming(lab, host, unit_build(tmp_path, "2.0"), "1.0", confirm_seconds=2)

    assert wait_for(lambda: "healthy" in facts(lab, host)[-3:]), lab.run(host, "cat /tmp/told").stdout
    assert described(lab, host) == RUNS.format("2.0")
    assert wait_for(lambda: facts(lab, host)[-1] == "taken-back")
    assert described(lab, host) == RUNS.format("1.0")
    assert wait_for(lambda: wants(lab, host) == [])


@pytest.mark.parametrize("moment", ["armed", "switch-started", "healthy"])
def test_a_host_that_loses_power_goes_back_when_it_boots(lab: Lab, host: LabHost, tmp_path: Path, moment: str) -> None:
    run(lab, changes(unit_build(tmp_path, "1.0"), ""))
    slow = unit_build(tmp_path, "2.0", health="sleep 3")
    before = len(facts(lab, host))

    apply_without_confirming(lab, host, slow, "1.0", confirm_seconds=600, health_seconds=20)
    assert wait_for(lambda: moment in facts(lab, host)[before:]), lab.run(host, "cat /tmp/told").stdout
    lab.power_off(host)
    lab.power_on(host)

    assert wait_for(lambda: facts(lab, host)[-1] == "taken-back", 30), facts(lab, host)
    assert described(lab, host) == RUNS.format("1.0")
    assert lab.run(host, f"readlink /opt/{SYSTEM}/current").stdout == "versions/1.0\n"
    assert wait_for(lambda: wants(lab, host) == [])


def test_a_user_who_may_not_change_the_system_changes_nothing(
    lab: Lab, host: LabHost, tmp_path: Path, as_clerk: Callable[..., PlaybookResult]
) -> None:
    run_as_root = run(lab, changes(unit_build(tmp_path, "1.0"), ""))
    new = changes(unit_build(tmp_path, "2.0"), "1.0", change="CHG-2026-0002")

    plain = as_clerk(new)
    by_sudo = as_clerk(new, ansible_become="true")

    assert outcome(run_as_root) == ("upgraded", "healthy", "1.0")
    assert outcome(plain)[:2] == ("failed", "rights"), plain.reports[0].detail
    assert outcome(by_sudo)[:2] == ("failed", "rights")
    assert by_sudo.reports[0].detail == "Missing sudo password"
    assert described(lab, host) == RUNS.format("1.0")


def test_a_user_without_any_rights_upgrades_what_is_their_own(
    lab: Lab, host: LabHost, tmp_path: Path, as_clerk: Callable[..., PlaybookResult]
) -> None:
    own = {
        "upgrader_root": "/srv/clerk/opt",
        "upgrader_state": "/srv/clerk/state",
        "upgrader_service_manager": "script",
    }
    old, new = make_build(tmp_path, "1.0"), make_build(tmp_path, "2.0")

    installed = as_clerk(upgrade_of(old, {"exam-01": ""}), **own)
    upgraded = as_clerk(upgrade_of(new, {"exam-01": "1.0"}, change="CHG-2026-0002"), **own)

    assert outcome(installed) == ("upgraded", "healthy", "1.0"), installed.reports[0].detail
    assert outcome(upgraded) == ("upgraded", "healthy", "2.0"), upgraded.reports[0].detail
    assert lab.run(host, "find /srv/clerk/opt /srv/clerk/state ! -user clerk").stdout == ""
    lab.run(host, f"/srv/clerk/opt/{SYSTEM}/current/bin/service stop; rm -rf /srv/clerk/opt /srv/clerk/state")
