"""The benchmark measures what it says: nothing that ran is missing from its sums, no failed rollout has a figure."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from benchmarks.contenders import Command, SshScript
from benchmarks.cost import Cost, Meter, median
from benchmarks.fleet import BenchFailed, Fleet
from benchmarks.polling import polled
from benchmarks.vendor_drop import NEW, OLD, build_bench_drop

from upgrader.lab.janitor import temporary_lab

ORPHAN = """
import subprocess, sys, time
from benchmarks.cost import become_measured
meter = become_measured()
def act():
    # setsid --fork: its parent ends at once, as a daemon's does.
    subprocess.run(["setsid", "--fork", "timeout", "1", "sh", "-c", "while :; do :; done"], check=True)
    time.sleep(2)
print(meter.measure(act).cpu)
sys.stdout.flush()
"""


def test_the_work_of_a_process_that_left_its_parent_is_counted() -> None:
    done = subprocess.run([sys.executable, "-c", ORPHAN], capture_output=True, text=True, check=True)

    assert float(done.stdout) > 0.1  # on a busy machine a second of spinning is less CPU


def test_the_median_is_of_walls_and_of_cpus() -> None:
    assert median([Cost(1, 30), Cost(3, 10), Cost(2, 20)]) == Cost(2, 20)


@pytest.mark.lab
def test_the_script_brings_the_hosts_to_the_new_version_and_a_client_sees_a_short_gap(tmp_path: Path) -> None:
    drop = build_bench_drop(tmp_path / "drop", megabytes=1)
    with temporary_lab(tmp_path / "lab", hosts=2) as lab:
        fleet = Fleet(lab, drop)
        fleet.reset(drop.old)
        fleet.check(OLD)
        with pytest.raises(BenchFailed, match=r"2 of 2 hosts do not serve 9\.1\.0"):
            fleet.check(NEW)
        script = SshScript(fleet, tmp_path / "script")
        script.prepare(rounds=1)
        with polled(fleet.hosts) as gaps:
            script.command(first=True).run()
        script.command(first=False).run()
        fleet.check(NEW)
        assert 0 <= gaps.median < 10
        with polled(fleet.hosts) as gaps:
            fleet.stop()
            time.sleep(0.5)
            fleet.reset(drop.old)
            time.sleep(0.2)
        assert gaps.worst >= 0.4


def test_a_rollout_that_failed_has_no_figure(tmp_path: Path) -> None:
    command = Command(("/bin/sh", "-c", "echo no such host; exit 3"), {}, tmp_path)

    with pytest.raises(BenchFailed, match=r"ended with 3.*\nno such host"):
        Meter(threading.get_native_id()).measure(command.run)
