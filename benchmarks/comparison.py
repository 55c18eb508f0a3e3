"""The comparison: every contender in turn, round by round, on the same hosts from the same start."""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.contenders import Contender, PlainPlaybook, Pyinfra, SshScript, Upgrader
from benchmarks.cost import Cost, Meter, Peak, median, watched_memory
from benchmarks.fleet import Fleet
from benchmarks.polling import polled
from benchmarks.vendor_drop import NEW, OLD, build_bench_drop
from upgrader.lab.janitor import temporary_lab

QUIET_SECONDS = 0.5  # what the run before left behind may end
CONTENDERS = (Upgrader, SshScript, Pyinfra, PlainPlaybook)


@dataclass(slots=True)
class Result:
    """What one contender took, one entry a round."""

    name: str
    first: list[Cost] = field(default_factory=list)
    again: list[Cost] = field(default_factory=list)


@contextmanager
def fleet_of(hosts: int, megabytes: int) -> Iterator[tuple[Fleet, Path]]:
    """Hosts with the old version, and a folder beside them; everything is gone when the block is left."""
    with tempfile.TemporaryDirectory(prefix="upgrader-bench-") as name:
        folder = Path(name)
        drop = build_bench_drop(folder / "drop", megabytes=megabytes)
        with temporary_lab(folder / "lab", hosts=hosts) as lab:
            fleet = Fleet(lab, drop)
            fleet.reset(drop.old)
            yield fleet, folder


def compare(meter: Meter, *, hosts: int, megabytes: int, rounds: int, seconds: float) -> Sequence[Result]:
    """Run every contender `rounds` times; after `seconds` no new round begins, but every contender had one."""
    started = time.monotonic()
    with fleet_of(hosts, megabytes) as (fleet, folder):
        contenders: list[Contender] = [kind(fleet, folder / kind.__name__) for kind in CONTENDERS]
        for contender in contenders:
            _say(f"{contender.name}: preparing")
            contender.prepare(rounds)
        results = [Result(contender.name) for contender in contenders]
        for _ in range(rounds):
            round_started = time.monotonic()
            for contender, result in zip(contenders, results, strict=True):
                _play(meter, fleet, contender, result)
            took = time.monotonic() - round_started
            if time.monotonic() + took > started + seconds:
                break
    return results


def _play(meter: Meter, fleet: Fleet, contender: Contender, result: Result) -> None:
    fleet.reset(fleet.drop.old)
    for first, costs in ((True, result.first), (False, result.again)):
        time.sleep(QUIET_SECONDS)
        costs.append(meter.measure(contender.command(first=first).run))
        fleet.check(NEW)
        _say(f"{contender.name}: {costs[-1].wall:.1f} s, {costs[-1].cpu:.1f} CPU s{'' if first else ', no change'}")


def _say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


def memory(meter: Meter, *, hosts: int, megabytes: int) -> Peak:
    """The most memory that the controller of one `apply` over all hosts took, with everything it started."""
    peak = Peak()
    with fleet_of(hosts, megabytes) as (fleet, folder):
        ours = Upgrader(fleet, folder / "upgrader")
        ours.prepare(rounds=1)
        with watched_memory(meter, peak) as started:
            ours.command(first=True).run(started)
        fleet.check(NEW)
    return peak


def delta(*, hosts: int, megabytes: int) -> tuple[int, int]:
    """Bytes sent to one host that holds the old build, of which a twentieth differs; and those of the new build."""
    with fleet_of(hosts, megabytes) as (fleet, folder):
        ours = Upgrader(fleet, folder / "upgrader")
        ours.prepare(rounds=1, versions=(OLD, NEW))
        fleet.keep_base(fleet.drop.old)
        ours.command(first=True).run()
        fleet.check(NEW)
        return max(ours.bytes_sent()), fleet.drop.new.archive.stat().st_size


def downtime(*, hosts: int, megabytes: int) -> Sequence[tuple[str, float, float]]:
    """Name, median and worst seconds without an answer, as a client outside saw them on every host."""
    seen = []
    with fleet_of(hosts, megabytes) as (fleet, folder):
        for contender in (Upgrader(fleet, folder / "upgrader"), PlainPlaybook(fleet, folder / "plain")):
            fleet.reset(fleet.drop.old)
            contender.prepare(rounds=1)
            with polled(fleet.hosts) as gaps:
                contender.command(first=True).run()
            fleet.check(NEW)
            seen.append((contender.name, gaps.median, gaps.worst))
    return seen


def table(results: Sequence[Result], hosts: int) -> Iterator[str]:
    """The lines of the table: medians, and ratios to the plain playbook and to the ssh script."""
    plain = results[CONTENDERS.index(PlainPlaybook)]
    yield f"{'N = ' + str(hosts):24} {'first run':>24} {'no-change run':>26}  rounds"
    yield f"{'':24} {'wall s':>8} {'CPU s':>7} {'× plain':>7} {'wall s':>9} {'CPU s':>8} {'× plain':>7}"
    for result in results:
        first, again = median(result.first), median(result.again)
        faster, faster_again = median(plain.first).wall / first.wall, median(plain.again).wall / again.wall
        yield (
            f"{result.name:24} {first.wall:8.1f} {first.cpu:7.1f} {faster:7.1f} "
            f"{again.wall:9.1f} {again.cpu:8.1f} {faster_again:7.1f}  {len(result.first):4}"
        )
