"""What a person waits for, verb by verb, on a lab with the real product; medians over several runs."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cost import Cost, Meter, median
from upgrader.app import Choices, open_site
from upgrader.flow.approval.authorize import examine
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import ENGINEER, Hospital
from upgrader.lab.janitor import temporary_lab

HOSTS = 12
BASE, GOOD = "3.1.9", "3.5.10"


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    cost: Cost
    runs: int
    goal: str = ""


def lines(meter: Meter) -> Iterator[str]:
    yield f"{'what':44} {'wall s':>8} {'CPU s':>8}  runs"
    for row in rows(meter):
        yield f"{row.what:44} {row.cost.wall:8.2f} {row.cost.cpu:8.2f}  {row.runs:4}  {row.goal}"


def rows(meter: Meter) -> Iterator[Row]:
    def row(what: str, act: Callable[[], object], runs: int = 1, goal: str = "") -> Row:
        return Row(what, median([meter.measure(act) for _ in range(runs)]), runs, goal)

    yield row("upgrader --help", help_text, runs=7, goal="goal: 0.15 s wall")
    with tempfile.TemporaryDirectory() as folder, temporary_lab(Path(folder) / "lab", hosts=HOSTS) as lab:
        hospital = Hospital.build(Path(folder) / "hospital", lab, default_cache() / "lab-drop")
        hospital.install_by_hand(BASE)
        change = hospital.change_ready(GOOD, "--wave-size", str(HOSTS), "--canaries", "0")

        def verb(*arguments: str) -> Callable[[], object]:
            return lambda: hospital.upgrader(ENGINEER, *arguments)

        yield row("gate, 4 signatures, in process", gate_of(hospital, change), runs=5, goal="goal: 0.2 s CPU with 5")
        yield row(f"plan again, {HOSTS} hosts asked", verb("plan", change, "--diff"))
        yield row(f"apply, {HOSTS} hosts, one wave, probes", verb("apply", change))
        yield row("apply again: nothing to do", verb("apply", change))
        yield row("status", verb("status", change), runs=5)
        yield row(f"rollback, {HOSTS} hosts", verb("rollback", change, "--reason", "bench"))


def help_text() -> None:
    subprocess.run([sys.executable, "-m", "upgrader", "--help"], check=True, stdout=subprocess.DEVNULL)


def gate_of(hospital: Hospital, change: str) -> Callable[[], object]:
    """The gate alone: fetch, re-hash, export, make the plan again, verify every signature; no interpreter start."""
    site = open_site(Choices(hospital.clone(ENGINEER), str(hospital.state), ENGINEER))

    def ask() -> None:
        with examine(site, change) as examined:
            assert examined.standing.is_complete

    return ask
