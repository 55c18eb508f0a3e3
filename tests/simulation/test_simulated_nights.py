"""Two hundred nights that were thrown with dice, through the real flow: nothing runs on, nobody is forgotten.

`UPGRADER_NIGHTS=5000` passes more of them; a night is named by its seed, which shows the same night again.
"""

import os

import pytest

import builders
from simulation.simulated_night import Night, end_of, random_weather
from upgrader.domain.changes.lifecycle import State
from upgrader.domain.changes.playbook import HostOutcome
from upgrader.domain.changes.verdict import Verdict

NIGHTS = int(os.environ.get("UPGRADER_NIGHTS", "200"))
OVER = {State.SOAKING, State.ROLLED_BACK, State.STUCK, State.APPLYING, State.AUTHORIZED, State.PLANNED}


def lived(seed: int) -> Night:
    night = Night(random_weather(seed))
    night.live()
    return night


def fates(night: Night) -> dict[str, str]:
    """Each host as it was, as planned, or named; whoever is none of these is `lost`."""
    change, found = night.change, {}
    for host in night.fleet.hosts.values():
        state = change.hosts[host.name]
        wave = change.waves[state.wave]
        if host.installed == builders.OLD:
            found[host.name] = "as it was"
        elif host.name in night.named:
            found[host.name] = "named"
        elif wave.verdict == Verdict.STABLE and state.outcome in (HostOutcome.UPGRADED, HostOutcome.UNCHANGED):
            found[host.name] = "as planned"
        elif wave.verdict == Verdict.STABLE:
            found[host.name] = "named"  # within the thresholds: it stands among those that were left behind
        else:
            found[host.name] = "lost"
    return found


@pytest.mark.parametrize("tens", range(0, NIGHTS, 10))
def test_every_night_ends_in_time_with_every_host_as_it_was_as_planned_or_named(tens: int) -> None:
    for seed in range(tens, tens + 10):
        night = lived(seed)
        end = end_of(night)
        late = [act for act in night.acts if act.host not in night.named and act.ends > end]
        early = [act for act in night.acts if act.begins < night.opens]
        lost = {host: fate for host, fate in fates(night).items() if fate == "lost"}

        assert night.state in OVER, (seed, night.state)
        assert not late, (seed, end, late, night.refused)
        assert not early, (seed, early)
        assert not lost, (seed, lost, night.refused)
        twice = [host.name for host in night.fleet.hosts.values() if host.switches > 1 + host.takebacks]
        assert not twice, (seed, twice)
