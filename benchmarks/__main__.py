"""Print the table: what a person waits for, and what it costs this machine.

Wall and CPU seconds of whole processes and their children (getrusage(2)); medians over several runs.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from upgrader.app import Choices, open_site
from upgrader.flow.authorize import examine
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import ENGINEER, Hospital
from upgrader.lab.janitor import temporary_lab

HOSTS = 12
BASE, GOOD = "3.1.9", "3.5.10"


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds, median over the runs."""

    wall: float
    cpu: float
    runs: int


def main() -> None:
    rows: list[tuple[str, Cost, str]] = []
    rows.append(("upgrader --help", of_process(["--help"], runs=7), "goal: 0.15 s wall"))
    with tempfile.TemporaryDirectory() as folder, temporary_lab(Path(folder) / "lab", hosts=HOSTS) as lab:
        hospital = Hospital.build(Path(folder) / "hospital", lab, default_cache() / "lab-drop")
        hospital.install_by_hand(BASE)
        change = hospital.change_ready(GOOD, "--wave-size", str(HOSTS), "--canaries", "0")
        rows.append(("gate, 4 signatures, in process", of_gate(hospital, change, runs=5), "goal: 0.2 s CPU with 5"))
        rows.append((f"plan again, {HOSTS} hosts asked", of_verb(hospital, "plan", change, "--diff"), ""))
        rows.append((f"apply, {HOSTS} hosts, one wave, probes", of_verb(hospital, "apply", change), ""))
        rows.append(("apply again: nothing to do", of_verb(hospital, "apply", change), ""))
        rows.append(("status", of_verb(hospital, "status", change, runs=5), ""))
        rows.append((f"rollback, {HOSTS} hosts", of_verb(hospital, "rollback", change, "--reason", "bench"), ""))
    print(f"{'what':44} {'wall s':>8} {'CPU s':>8}  runs")
    for what, cost, note in rows:
        print(f"{what:44} {cost.wall:8.2f} {cost.cpu:8.2f}  {cost.runs:4}  {note}")


def measure(act: Callable[[], object], runs: int) -> Cost:
    """Run `act` and give the medians of what it took, its ended children included."""
    walls, cpus = [], []
    for _ in range(runs):
        started, before = time.perf_counter(), _cpu()
        act()
        walls.append(time.perf_counter() - started)
        cpus.append(_cpu() - before)
    return Cost(statistics.median(walls), statistics.median(cpus), runs)


def of_process(arguments: list[str], runs: int) -> Cost:
    command = [sys.executable, "-m", "upgrader", *arguments]
    return measure(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL), runs)


def of_verb(hospital: Hospital, *arguments: str, runs: int = 1) -> Cost:
    return measure(lambda: hospital.upgrader(ENGINEER, *arguments), runs)


def of_gate(hospital: Hospital, change: str, runs: int) -> Cost:
    """The gate alone: fetch, re-hash, export, make the plan again, verify every signature; no interpreter start."""
    site = open_site(Choices(hospital.clone(ENGINEER), str(hospital.state), ENGINEER))

    def ask() -> None:
        with examine(site, change) as examined:
            assert examined.standing.is_complete

    return measure(ask, runs)


def _cpu() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
