"""Workstations that are off in the night of a change come in by themselves over days, or somebody answers for them.

`UPGRADER_WORKSTATIONS=3000` is the whole hospital; `python -m benchmarks simulation` measures that.
"""

import os

import builders
from simulation.simulated_days import days_of
from upgrader.domain.changes.playbook import HostOutcome
from upgrader.domain.errors import ExitCode

WORKSTATIONS = int(os.environ.get("UPGRADER_WORKSTATIONS", "200"))


def test_a_third_of_the_workstations_is_off_and_each_ends_done_or_with_an_owner() -> None:
    days = days_of(WORKSTATIONS)
    change, hosts = days.night.change, days.night.fleet.hosts

    assert days.exit_code is ExitCode.OFFLINE_LEFT
    assert WORKSTATIONS * 0.2 < days.waited < WORKSTATIONS * 0.4
    done = {name for name, state in change.hosts.items() if state.outcome is HostOutcome.UPGRADED}
    assert done == {name for name, host in hosts.items() if host.installed == builders.NEW}
    assert set(hosts) - done == set(change.exceptions)
    assert len(change.exceptions) == days.excepted < WORKSTATIONS * 0.05
    assert change.unowned == ()
    assert max(host.switches for host in hosts.values()) == 1
