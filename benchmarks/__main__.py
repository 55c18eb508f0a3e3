"""python -m benchmarks [verbs|status|simulation|gate|hospital|pieces|apply|delta|downtime|memory]…; all if none."""

import argparse
from collections.abc import Callable, Mapping

from benchmarks import comparison, gate, large_change, pieces, simulation, verbs, whole_hospital
from benchmarks.cost import Meter, become_measured


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS], help="all, if none is named")
    parser.add_argument("--hosts", type=int, default=50, help="for apply; default 50")
    parser.add_argument("--rounds", type=int, default=3, help="for apply; default 3, fewer when the time is over")
    parser.add_argument("--megabytes", type=int, default=20, help="size of the build; default 20")
    parser.add_argument("--seconds", type=float, default=480, help="after them no new round begins")
    arguments = parser.parse_args()
    meter = become_measured()
    for name in arguments.names or BENCHMARKS:
        BENCHMARKS[name](meter, arguments)


def show_verbs(meter: Meter, _: argparse.Namespace) -> None:
    for line in verbs.lines(meter):
        print(line, flush=True)


def show_status(meter: Meter, _: argparse.Namespace) -> None:
    for line in large_change.lines(meter):
        print(line, flush=True)


def show_gate(_meter: Meter, _: argparse.Namespace) -> None:
    gate.main()


def show_hospital(meter: Meter, _: argparse.Namespace) -> None:
    for line in whole_hospital.lines(meter):
        print(line, flush=True)


def show_pieces(meter: Meter, arguments: argparse.Namespace) -> None:
    print(f"{'one host, ' + str(arguments.megabytes) + ' MB':52} {'wall s':>8} {'CPU s':>8}")
    for line in pieces.lines(meter, megabytes=arguments.megabytes):
        print(line, flush=True)


def show_comparison(meter: Meter, arguments: argparse.Namespace) -> None:
    hosts = arguments.hosts
    results = comparison.compare(
        meter, hosts=hosts, megabytes=arguments.megabytes, rounds=arguments.rounds, seconds=arguments.seconds
    )
    for line in comparison.table(results, hosts):
        print(line, flush=True)


def show_memory(meter: Meter, arguments: argparse.Namespace) -> None:
    peak = comparison.memory(meter, hosts=200, megabytes=arguments.megabytes)
    print(f"controller memory at N = 200: {peak.megabytes:.0f} MB in {peak.processes} processes (PSS; goal: 300 MB)")


def show_downtime(_meter: Meter, arguments: argparse.Namespace) -> None:
    print("downtime of a host's service at N = 10, seen by a client that asks 50 times a second")
    for name, median, worst in comparison.downtime(hosts=10, megabytes=arguments.megabytes):
        print(f"{name:24} median {median:6.2f} s   worst {worst:6.2f} s", flush=True)


def show_simulation(meter: Meter, _: argparse.Namespace) -> None:
    for line in simulation.lines(meter):
        print(line, flush=True)


def show_delta(_meter: Meter, arguments: argparse.Namespace) -> None:
    sent, size = comparison.delta(hosts=2, megabytes=arguments.megabytes)
    print(
        f"sent for a build of which 5 % changed: {sent:,} of {size:,} bytes, {sent / size:.1%} (goal: 7 %)", flush=True
    )


BENCHMARKS: Mapping[str, Callable[[Meter, argparse.Namespace], None]] = {
    "verbs": show_verbs,
    "status": show_status,
    "simulation": show_simulation,
    "gate": show_gate,
    "hospital": show_hospital,
    "pieces": show_pieces,
    "apply": show_comparison,
    "delta": show_delta,
    "downtime": show_downtime,
    "memory": show_memory,
}

if __name__ == "__main__":
    main()
