"""Power pulled at every step of a transaction on a machine with systemd: the machine's first process is killed.

`test_host_systemd.py` tries three moments whenever tests run. UPGRADER_EVERY_STEP=1 tries every step of `apply` here,
which takes about a quarter of an hour; UPGRADER_STEPS=12,13 only those. docs/faults.md has the result.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from contracts.sh_host import SCRIPT, SYSTEM, Build, ShHost
from contracts.stepped import HELD, stepped
from contracts.test_host_systemd import (  # noqa: F401 # fixtures
    RUNS,
    changes,
    described,
    facts,
    host,
    lab,
    outcome,
    run,
    unit_build,
    wait_for,
    wants,
)
from contracts.test_host_systemd import pytestmark as of_machines
from upgrader.lab.host import LabHost
from upgrader.lab.lab import Lab

EVERY = bool(os.environ.get("UPGRADER_EVERY_STEP"))
CHOSEN = [int(number) for number in os.environ.get("UPGRADER_STEPS", "").split(",") if number]
pytestmark = [*of_machines, pytest.mark.skipif(not EVERY, reason="only with UPGRADER_EVERY_STEP=1")]
STATE = f"/var/lib/upgrader/{SYSTEM}"
RECORDS = f"/opt/{SYSTEM}/shared/records"


def begin(lab: Lab, host: LabHost, build: Build, number: int) -> None:  # noqa: F811
    """Send the build and the script that waits at its step `number`, and start it; with 0 it only tells its steps."""
    values = ShHost(Path("/"), "", "").lines(
        build,
        base="1.0",
        root="/opt",
        state="/var/lib/upgrader",
        manager="systemd",
        service=SYSTEM,
        unit="etc/exam-scheduling.service",
        confirm_seconds=600,
        **{"config.from": "etc/unit.in", "config.to": "etc/exam-scheduling.service"},
    )
    put(lab, host, f"{STATE}/incoming/{build.sha256}.0.part", build.path.read_bytes())
    put(lab, host, "/tmp/stepped.sh", stepped(SCRIPT, number, HELD).encode())
    put(lab, host, "/tmp/inputs", values.encode())
    background = "&" if number else ""
    lab.run(host, f"setsid sh /tmp/stepped.sh apply </tmp/inputs >/tmp/told 2>/tmp/steps {background}")


def put(lab: Lab, host: LabHost, path: str, content: bytes) -> None:  # noqa: F811
    command = f"mkdir -p {Path(path).parent} && cat >{path}"
    subprocess.run([*lab.ssh_command(host), command], input=content, check=True, timeout=60)


def fresh(lab: Lab, host: LabHost, old: Build) -> None:  # noqa: F811
    """Version 1.0, with a record of its own, whatever was here before."""
    lab.run(
        host,
        f"systemctl disable --now {SYSTEM}; systemctl stop upgrader-{SYSTEM}-deadman; systemctl reset-failed;"
        f" rm -rf /opt/{SYSTEM} /var/lib/upgrader /etc/systemd/system/*{SYSTEM}*; systemctl daemon-reload",
    )
    assert outcome(run(lab, changes(old, ""))) == ("upgraded", "healthy", "1.0")
    lab.run(host, f"echo 4711 >{RECORDS}; sync")


def is_held(lab: Lab, host: LabHost) -> bool:  # noqa: F811
    return lab.run(host, f"test -e {STATE}/held").returncode == 0


def steps_of(lab: Lab, host: LabHost, old: Build, new: Build) -> Sequence[str]:  # noqa: F811
    fresh(lab, host, old)
    begin(lab, host, new, 0)
    said = lab.run(host, "cat /tmp/steps").stdout.splitlines()
    return [line.split(" ", 2)[2] for line in said if line.startswith("step ")]


def test_a_machine_that_loses_power_at_any_step_ends_as_it_was_and_goes_on(
    lab: Lab,  # noqa: F811
    host: LabHost,  # noqa: F811
    tmp_path: Path,
) -> None:
    old, new = unit_build(tmp_path, "1.0"), unit_build(tmp_path, "2.0")
    steps = steps_of(lab, host, old, new)
    assert len(steps) > 30, steps

    wrong = []
    for number in CHOSEN or range(1, len(steps) + 1):
        moment = f"step {number} of {len(steps)}, {steps[number - 1]}"
        fresh(lab, host, old)
        begin(lab, host, new, number)
        assert wait_for(lambda: is_held(lab, host), 60), (moment, lab.run(host, "cat /tmp/told").stdout)
        lab.power_off(host)
        lab.power_on(host)
        if found := judge(lab, host, new):
            wrong.append(f"{moment}: {found}")
            print(wrong[-1], flush=True)
    assert wrong == []


def judge(lab: Lab, host: LabHost, new: Build) -> str:  # noqa: F811
    """What is not as it should be after the boot; empty when all is well.

    Power may go between the line `armed` and the unit for the boot: nothing was switched then, and the next change
    settles it.
    """
    on_the_way = {"switch-started", "healthy", "undo-started"}
    if not wait_for(lambda: facts(lab, host)[-1] not in on_the_way and described(lab, host) == RUNS.format("1.0"), 60):
        return f"{described(lab, host)!r} after the boot, journal {facts(lab, host)}"
    if lab.run(host, f"readlink /opt/{SYSTEM}/current; cat {RECORDS}").stdout != "versions/1.0\n4711\n":
        return f"not 1.0 with its records, journal {facts(lab, host)}"
    done = run(lab, changes(new, "1.0", change="CHG-2026-0009"))
    if outcome(done) != ("upgraded", "healthy", "2.0"):
        return f"then {outcome(done)} {done.reports[0].detail}"
    if described(lab, host) != RUNS.format("2.0") or not wait_for(lambda: wants(lab, host) == []):
        return f"then {described(lab, host)!r}, units {wants(lab, host)}"
    if lab.run(host, f"cat {RECORDS}").stdout != "4711\n":
        return "then its records are gone"
    return ""
