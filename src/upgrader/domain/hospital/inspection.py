"""The hospital's inspections: what is looked at by day and by week outside of any change, and what that says of risks.

The maintenance contract asks for a daily inspection of databases and whole systems and a weekly one of interface
services, each logged, and for risks to be reported before they become incidents.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Self

from upgrader.domain import canonical, plain
from upgrader.domain.changes.verdict import Reading
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, Refused
from upgrader.domain.names import HostName, PersonId, SiteId, SystemId
from upgrader.domain.releases.probe import Probe

LARGEST_LOG = 64 * 1024 * 1024
NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?")


class Round(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the last number in a probe's answer may be: at most, at least, and how far from the baseline, in percent."""

    at_most: int | None = None
    at_least: int | None = None
    drift_percent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that is looked at: a probe, once, on the hosts that an inventory pattern names."""

    round: Round
    system: SystemId
    hosts: str
    probe: Probe
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One item on one host, as it was when the hospital allowed it: where the host is, and what fills in the probe."""

    round: Round
    system: SystemId
    probe: str
    host: HostName
    address: str
    port: int
    user: str
    host_key: str
    facts: Mapping[str, str]


def targets_digest(targets: Iterable[Target]) -> Digest:
    """SHA-256 over every target in one order: another host, address, key or fact is another digest."""
    ordered = sorted(targets, key=lambda target: (target.round, target.system, target.probe, target.host))
    return Digest.of(canonical.serialise({"targets": plain.to_plain(ordered)}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one probe saw on one host. `number` is the last one in `detail`, as written; None where there is none."""

    system: SystemId
    host: HostName
    probe: str
    at: datetime
    reading: Reading
    detail: str
    number: str | None = None

    @classmethod
    def of(cls, system: SystemId, host: HostName, probe: str, at: datetime, reading: Reading, detail: str) -> Self:
        numbers = NUMBER.findall(detail) if reading is Reading.HEALTHY else []
        return cls(
            system=system,
            host=host,
            probe=probe,
            at=at,
            reading=reading,
            detail=detail,
            number=numbers[-1] if numbers else None,
        )

    @property
    def place(self) -> tuple[str, str, str]:
        return self.system, self.host, self.probe


class Concern(StrEnum):
    """Why something is a risk. Silence is one too: what could not be asked is not well."""

    UNHEALTHY = "unhealthy"
    SILENT = "silent"
    ABOVE = "above"
    BELOW = "below"
    DRIFTED = "drifted"
    NO_NUMBER = "no-number"


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskFound:
    """`expected` is the limit, or what the baseline says; `found` is what was seen."""

    system: SystemId
    host: HostName
    probe: str
    concern: Concern
    expected: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionLog:
    """One inspection, as it is kept. `authorized` are the people whose signatures allowed it, `file` is inspection.yml.

    `baseline` tells that later ones are compared with this one; `compared` is when the one was made that this one was
    compared with.
    """

    format: str
    site: SiteId
    round: Round
    began: datetime
    ended: datetime
    actor: PersonId
    file: Digest
    targets: Digest
    authorized: tuple[PersonId, ...]
    sightings: tuple[Sighting, ...]
    risks: tuple[RiskFound, ...]
    baseline: bool
    compared: datetime | None = None

    FORMAT = "upgrader.inspection-log/1"

    def to_bytes(self) -> bytes:
        return canonical.serialise(plain.to_plain(self))

    @property
    def digest(self) -> Digest:
        return Digest.of(self.to_bytes())


def read_log(content: bytes, name: str) -> InspectionLog:
    """Read a log back. Raises Integrity `inspection-log-damaged` for bytes that we did not write."""
    try:
        return canonical.read_back(
            content, partial(plain.from_plain, InspectionLog), InspectionLog.to_bytes, name=name, largest=LARGEST_LOG
        )
    except (ValueError, TypeError, Refused) as error:
        raise Integrity("inspection-log-damaged", file=name, found=str(error)[:200]) from error


def find_risks(
    items: Iterable[Item], sightings: Sequence[Sighting], baseline: InspectionLog | None
) -> tuple[RiskFound, ...]:
    """Judge what was seen: by itself, by the limits of its item, and by the same thing in the baseline."""
    limits = {(item.system, item.probe.name): item.limits for item in items}
    before = {seen.place: seen for seen in baseline.sightings} if baseline else {}
    return tuple(
        risk for seen in sightings for risk in _risks(seen, limits[seen.system, seen.probe], before.get(seen.place))
    )


def _risks(seen: Sighting, limits: Limits, before: Sighting | None) -> Iterable[RiskFound]:
    def risk(concern: Concern, expected: object, found: object = seen.detail) -> RiskFound:
        return RiskFound(
            system=seen.system,
            host=seen.host,
            probe=seen.probe,
            concern=concern,
            expected=str(expected),
            found=str(found),
        )

    if seen.reading is not Reading.HEALTHY:
        was = before.detail if before is not None and before.reading is Reading.HEALTHY else Reading.HEALTHY
        yield risk(Concern.SILENT if seen.reading is Reading.NO_ANSWER else Concern.UNHEALTHY, was)
        return
    if limits == Limits():
        return
    if seen.number is None:
        yield risk(Concern.NO_NUMBER, "1")
        return
    number = Decimal(seen.number)
    if limits.at_most is not None and number > limits.at_most:
        yield risk(Concern.ABOVE, limits.at_most, number)
    if limits.at_least is not None and number < limits.at_least:
        yield risk(Concern.BELOW, limits.at_least, number)
    if limits.drift_percent is not None and before is not None and before.number is not None:
        usual = Decimal(before.number)
        if abs(number - usual) * 100 > abs(usual) * limits.drift_percent:
            yield risk(Concern.DRIFTED, f"{usual} ± {limits.drift_percent}%", number)
