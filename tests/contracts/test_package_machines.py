"""Packages on a whole Debian with systemd, through the shipped playbooks: upgraded, taken back, its power pulled."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.deb_host import MISSING as NO_DPKG
from contracts.deb_host import Package, make_package
from contracts.sh_host import SYSTEM, Build, whole_script
from contracts.ssh_fleet import export_tree, upgrade_of
from upgrader.adapters.hosts.ansible import AnsibleFleet
from upgrader.domain.changes.playbook import PlaybookResult, PlaybookRun
from upgrader.lab.host import LabHost
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.lab import Lab
from upgrader.lab.machines import PROGRAMS
from upgrader.lab.programs import missing_programs

MISSING = [*missing_programs(PROGRAMS), *NO_DPKG]
NO_MACHINES = "NO MACHINES TRIED: " + ("not root" if os.geteuid() != 0 else f"missing {', '.join(MISSING)}")
pytestmark = [
    pytest.mark.machines,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or bool(MISSING), reason=NO_MACHINES),
]

UNIT = """\
[Unit]
Description=Examination scheduling {version}
[Service]
ExecStart=/usr/lib/exam-scheduling/bin/run
[Install]
WantedBy=multi-user.target
"""
CONFIGURE = 'if [ "$1" = configure ]; then systemctl daemon-reload; systemctl enable --quiet exam-scheduling; fi'
REMOVE = 'if [ "$1" = remove ]; then systemctl disable --quiet --now exam-scheduling; fi'
CONFIGURATION, DATA = "etc/exam-scheduling.conf", "var/lib/exam-scheduling"
KEY = "CHG-2026-0002.0123456789ab"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with temporary_lab(tmp_path_factory.mktemp("packages"), hosts=1, machines=True) as made:
        yield made


@pytest.fixture
def host(lab: Lab) -> Iterator[LabHost]:
    host = lab.hosts[0]
    yield host
    lab.run(host, f"dpkg --purge {SYSTEM} libexam; rm -rf /var/lib/upgrader /{DATA} /{CONFIGURATION}*")


def gateway(folder: Path, version: str, *, health: str = "exit 0", postinst: str = "", depends: str = "") -> Build:
    package = Package(
        name=SYSTEM,
        version=version,
        depends=depends,
        conffiles=(CONFIGURATION,),
        scripts={"postinst": f"{postinst}\n{CONFIGURE}", "prerm": REMOVE},
        files={
            "usr/lib/exam-scheduling/bin/run": "#!/bin/sh\nexec sleep 100000\n",
            "usr/lib/exam-scheduling/bin/health": f"#!/bin/sh\n{health}\n",
            "lib/systemd/system/exam-scheduling.service": UNIT.format(version=version),
            CONFIGURATION: f"made for {version}\n",
        },
    )
    return Build(make_package(folder, package), version)


def changes(builds: tuple[Build, ...], base: str, **changed: Any) -> dict[str, Any]:
    listed = [{"file": b.path.name, "path": str(b.path), "sha256": b.sha256, "size": b.size} for b in builds]
    terms = {
        "name": SYSTEM,
        "held": "refuse",
        "unfinished": "refuse",
        "restore": [DATA],
        "limit_seconds": 60,
        "lock_seconds": 60,
    }
    several = {"digest": "5" * 64} if len(builds) > 1 else {}
    return upgrade_of(
        builds[0],
        {"exam-01": base},
        strategy="package",
        builds=listed,
        package=terms,
        config=[],
        service={"name": SYSTEM, "unit": "", "script": "", "settle_seconds": 0},
        health={"command": "usr/lib/exam-scheduling/bin/health", "seconds": 10},
        **several,
        **changed,
    )


def run(lab: Lab, upgrade: dict[str, Any], verb: str = "upgrade") -> tuple[str, str, str]:
    tree = lab.directory / "tree"
    if not tree.exists():
        export_tree(tree)
        shutil.copytree(lab.inventory, tree / "inventory")
    order = PlaybookRun(
        playbook=f"playbooks/{verb}.yml",
        tree=str(tree),
        hosts=("exam-01",),
        upgrade=upgrade,
        forks=1,
        timeout_seconds=120,
        dry_run=False,
    )
    result: PlaybookResult = AnsibleFleet(lab.directory / "artifacts", lab.ssh_key).run(order, lambda _: None)
    (report,) = result.reports
    return (report.outcome.value, report.step, report.current)


def described(lab: Lab, host: LabHost) -> str:
    """What dpkg and systemd say, and what is in the site's files."""
    show = "${db:Status-Abbrev}${Version}"
    return lab.run(
        host,
        f"dpkg-query -W -f '{show} ' {SYSTEM}; systemctl is-active {SYSTEM}; systemctl show -P Description {SYSTEM};"
        f" cat /{CONFIGURATION} /{DATA}/rows; dpkg --audit; ls /{CONFIGURATION}*",
    ).stdout


def as_planned(version: str) -> str:
    return f"ii {version} active\nExamination scheduling {version}\nas the site likes it\none row\n/{CONFIGURATION}\n"


def install(lab: Lab, host: LabHost, folder: Path) -> None:
    assert run(lab, changes((gateway(folder, "1.0"),), "")) == ("upgraded", "healthy", "1.0")
    lab.run(host, f"echo as the site likes it >/{CONFIGURATION}; mkdir -p /{DATA}; echo one row >/{DATA}/rows")


def wait_for(what: Callable[[], bool], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.3)
    return what()


def test_packages_of_a_service_are_upgraded_and_taken_back(lab: Lab, host: LabHost, tmp_path: Path) -> None:
    install(lab, host, tmp_path)
    library = Build(make_package(tmp_path, Package(name="libexam", version="1", files={"usr/lib/libexam": "x"})), "1")
    new = gateway(tmp_path, "2.0", depends="libexam", postinst=f"echo two rows >/{DATA}/rows")

    alone = run(lab, changes((new,), "1.0", change="CHG-2026-0002"))
    both = changes((new, library), "1.0", change="CHG-2026-0002")
    upgraded, again, seen = run(lab, both), run(lab, both), run(lab, both, "verify")

    assert alone[:2] == ("failed", "dependencies")
    assert upgraded == ("upgraded", "healthy", "2.0")
    assert (again[0], seen[0]) == ("unchanged", "unchanged")
    assert described(lab, host).startswith(
        "ii 2.0 active\nExamination scheduling 2.0\nas the site likes it\ntwo rows\n"
    )
    assert run(lab, both, "rollback") == ("rolled-back", "revert", "1.0")
    assert described(lab, host) == as_planned("1.0")
    assert lab.run(host, "dpkg-query -W libexam").returncode != 0

    ill = changes((gateway(tmp_path, "3.0", health="exit 1"),), "1.0", change="CHG-2026-0003")
    assert run(lab, ill) == ("rolled-back", "health", "1.0")
    assert described(lab, host) == as_planned("1.0")


def test_a_host_that_loses_power_inside_dpkg_goes_back_when_it_boots(lab: Lab, host: LabHost, tmp_path: Path) -> None:
    install(lab, host, tmp_path)
    slow = gateway(tmp_path, "2.0", postinst="touch /tmp/inside; sync; sleep 60")

    begin_without_a_controller(lab, host, slow)
    assert wait_for(lambda: lab.run(host, "ls /tmp/inside").returncode == 0), lab.run(host, "cat /tmp/told").stdout
    lab.power_off(host)
    lab.power_on(host)

    assert wait_for(
        lambda: lab.run(host, f"tail -n 1 /var/lib/upgrader/{SYSTEM}/journal").stdout.count("taken-back") == 1
    )
    assert described(lab, host) == as_planned("1.0")


def begin_without_a_controller(lab: Lab, host: LabHost, build: Build) -> None:
    """What a controller does that dies then. Returns at once; the host goes on alone."""
    inputs = {
        "format": "upgrader.host/1",
        "key": KEY,
        "system": SYSTEM,
        "version": build.version,
        "file": build.path.name,
        "sha256": build.sha256,
        "size": build.size,
        "base": "1.0",
        "root": "/opt",
        "state": "/var/lib/upgrader",
        "manager": "systemd",
        "service": SYSTEM,
        "settle_seconds": 0,
        "package": SYSTEM,
        "restore": DATA,
        "confirm_seconds": 600,
        "end": "inputs",
    }
    incoming = f"/var/lib/upgrader/{SYSTEM}/incoming"
    send = [*lab.ssh_command(host), f"mkdir -p {incoming}; cat >{incoming}/{build.sha256}.0.part"]
    subprocess.run(send, input=build.path.read_bytes(), check=True)
    keep = [*lab.ssh_command(host), "cat >/tmp/transaction.sh"]
    subprocess.run(keep, input=whole_script("package").encode(), check=True)
    begin = "cat >/tmp/inputs; setsid sh /tmp/transaction.sh apply </tmp/inputs >/tmp/told 2>&1 &"
    lines = "".join(f"{name}={value}\n" for name, value in inputs.items())
    subprocess.run([*lab.ssh_command(host), begin], input=lines.encode(), check=True, timeout=30)
