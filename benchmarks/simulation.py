"""A hospital of 3,000 workstations that never existed: the night of a change, the days after it, and their cost.

The fleet and the clock are those of tests/simulation; the flow is the real one.
"""

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cost import Meter
from benchmarks.fleet import BenchFailed

WORKSTATIONS = 3000
MOST_CPU_SECONDS, MOST_MEGABYTES = 60, 300


def lines(meter: Meter) -> Iterator[str]:
    """How long the days take to simulate, and the most memory that this process has held.

    Raises BenchFailed when the night costs more than it may: in CPU seconds, for other work on the machine is not its.
    """
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from simulation.simulated_days import Days, days_of

    lived: list[Days] = []
    cost = meter.measure(lambda: lived.append(days_of(WORKSTATIONS)))
    days = lived[0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if days.cpu > MOST_CPU_SECONDS or peak > MOST_MEGABYTES:
        raise BenchFailed(f"a simulated night: {days.cpu:.0f} CPU s and {peak:.0f} MB; more than it may take")
    yield f"{WORKSTATIONS} workstations, one night and five days: {cost.wall:.0f} s wall, {cost.cpu:.0f} s CPU"
    yield f"  the night alone: {days.cpu:.1f} s CPU"
    yield f"  away after the night {days.waited}, left with an owner after the days {days.excepted}"
    yield f"  journal {len(days.night.hospital.journal.lines)} lines; memory {peak:.0f} MB (goal: 60 s a night, 300 MB)"
