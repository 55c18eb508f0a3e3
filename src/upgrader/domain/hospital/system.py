"""A system of the hospital: what it is made of, when it must run, and which other systems it needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from upgrader.domain.names import SystemId


class Tier(StrEnum):
    """A part of a system that runs on servers."""

    WEB = "web"
    DATABASE = "db"
    INTERFACE = "interface"  # a message service
    JOB = "job"  # a batch that runs by the clock


class Client(StrEnum):
    """A part of a system that people hold in their hands."""

    DESKTOP = "desktop"
    KIOSK = "kiosk"
    MOBILE = "mobile"  # its program comes from the server part


class Hours(StrEnum):
    """When a system must run."""

    ALWAYS = "24x7"
    DAY = "day"  # out-patient hours
    OFFICE = "office"


class Criticality(StrEnum):
    """What happens when a system stands still."""

    AT_ONCE = "1"  # patient care or cash stops at once
    SLOWED = "2"  # care is slowed
    MANAGEMENT = "3"


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """`number` is the hospital's own. `name` is by language. `depends_on` are the systems without which it can't work.

    `stands_in_for` is the system whose work it does while that one is down, such as a contingency cashier.
    `databases` and `interfaces` are what it works on beside its hosts: two systems that name the same one are never
    changed at once.
    """

    id: SystemId
    number: int
    name: Mapping[str, str]
    tiers: tuple[Tier, ...]
    clients: tuple[Client, ...]
    hours: Hours
    criticality: Criticality
    depends_on: tuple[SystemId, ...] = ()
    stands_in_for: SystemId | None = None
    databases: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()


def group_of(system: str) -> str:
    """The inventory's group of a system: Ansible's names know no hyphen."""
    return system.replace("-", "_")
