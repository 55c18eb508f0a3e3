"""Measurements and the verdict over them: three answers, and silence is not yes (after Argo Rollouts' analyses)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from upgrader.domain.releases.probe import Probe


class Reading(StrEnum):
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    NO_ANSWER = "no-answer"


class Verdict(StrEnum):
    STABLE = "stable"
    UNSTABLE = "unstable"
    INCONCLUSIVE = "inconclusive"  # we could not tell; a person decides


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one probe saw on one host, once. `detail` is one line."""

    host: str
    probe: str
    at: datetime
    reading: Reading
    detail: str


@dataclass(frozen=True, slots=True)
class Place:
    """One probe on one host: how often it was asked, how often all was well, and the last thing that it saw."""

    host: str
    probe: str
    verdict: Verdict
    asked: int
    healthy: int
    last: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict over many measurements, probe by probe and host by host."""

    verdict: Verdict
    measurements: int
    places: tuple[Place, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """One sentence for every place that is not stable."""
        bad = [place for place in self.places if place.verdict is not Verdict.STABLE]
        return tuple(f"{place.host} · {place.probe}: {place.last or 'no measurement'}" for place in bad)


def judge_probe(readings: Iterable[Reading], probe: Probe) -> Verdict:
    """Judge one probe on one host.

    Unstable when more readings than allowed were bad. Stable only when all `count` readings came in and no more than
    `failures_allowed` were not healthy. Otherwise we could not tell: silence is not health, and not illness either.
    """
    seen = Counter(readings)
    asked = seen.total()
    if seen[Reading.UNHEALTHY] > probe.failures_allowed:
        return Verdict.UNSTABLE
    if asked >= max(1, probe.count) and asked - seen[Reading.HEALTHY] <= probe.failures_allowed:
        return Verdict.STABLE
    return Verdict.INCONCLUSIVE


def judge(measurements: Iterable[Measurement], probes: Iterable[Probe], hosts: Iterable[str]) -> Judgement:
    """Judge a group of hosts: unstable as soon as one probe on one host is, stable only when every one is."""
    by_place: dict[tuple[str, str], list[Measurement]] = {}
    for measurement in measurements:
        by_place.setdefault((measurement.host, measurement.probe), []).append(measurement)
    probes, hosts = tuple(probes), tuple(hosts)
    if not probes or not hosts:
        raise ValueError("no probe or no host: a verdict over nothing is not a verdict")
    places = tuple(_place(host, probe, by_place.get((host, probe.name), [])) for host in hosts for probe in probes)
    found = {place.verdict for place in places}
    worst = next(v for v in (Verdict.UNSTABLE, Verdict.INCONCLUSIVE, Verdict.STABLE) if v in found)
    return Judgement(worst, sum(place.asked for place in places), places)


def _place(host: str, probe: Probe, seen: Sequence[Measurement]) -> Place:
    """`last` is the last thing that was wrong; where nothing was, the last thing seen."""
    bad = [measurement for measurement in seen if measurement.reading is not Reading.HEALTHY]
    last = (bad or list(seen))[-1].detail if seen else ""
    verdict = judge_probe((measurement.reading for measurement in seen), probe)
    return Place(host, probe.name, verdict, len(seen), len(seen) - len(bad), last)
