"""A request: one change asked for, by whom, for which hosts, when and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from upgrader.domain.changes.demand import Demand
from upgrader.domain.changes.joint import Half, JointPart
from upgrader.domain.changes.late import Late
from upgrader.domain.changes.particulars import Particulars
from upgrader.domain.names import ChangeId, PersonId, SystemId, Version


class Kind(StrEnum):
    """The kind of a change; the trust file holds one rule for each kind that the hospital allows."""

    NORMAL = "normal"
    STANDARD = "standard"
    EMERGENCY = "emergency"
    DATA_FIX = "data-fix"


@dataclass(frozen=True, slots=True)
class ChangeWindow:
    """When the change may run: from `opens` up to, and without, `closes`; in UTC. `zone` is for people (IANA name)."""

    opens: datetime
    closes: datetime
    zone: str

    def is_open(self, now: datetime) -> bool:
        return self.opens <= now < self.closes


@dataclass(frozen=True, slots=True)
class WaveSizes:
    canaries: int
    size: int


class WhenUnstable(StrEnum):
    """What follows when the soak finds the system unstable."""

    HOLD = "hold"
    ROLL_BACK = "roll-back"


@dataclass(frozen=True, slots=True)
class Soak:
    """How long the system is watched after the last wave, how often, and what follows when it is unstable."""

    duration: timedelta
    interval: timedelta
    when_unstable: WhenUnstable


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`downgrade` says why hosts should go back to an older release than they have; None where no host may.

    `demand` is what the hospital waits for, and in how many working days.
    `supersedes` is the change in whose place this one is asked for. `late` says when workstations that were away may be
    upgraded after the window; without it only within the window. `joint` are all changes that were asked for together,
    this one among them, in the order in which they run.
    """

    change: ChangeId
    kind: Kind
    system: SystemId
    version: Version
    reason: str
    requester: PersonId
    hosts: str
    window: ChangeWindow
    waves: WaveSizes
    soak: Soak
    downgrade: str | None = None
    supersedes: ChangeId | None = None
    demand: Demand | None = None
    late: Late | None = None
    joint: tuple[JointPart, ...] = ()
    particulars: Particulars = field(default_factory=Particulars)

    @property
    def only(self) -> Half | None:
        """The half of the hosts that this change is for, where the others have a change of their own; None: all."""
        return next((part.only for part in self.joint if part.change == self.change), None)

    def as_data(self) -> Mapping[str, Any]:
        """What the journal keeps of it."""
        demand = {"demand": self.demand.as_data()} if self.demand else {}
        return {"system": self.system, "version": self.version, "kind": self.kind, "reason": self.reason, **demand}
