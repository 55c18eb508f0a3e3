"""What hosts said they run when they were last asked, outside any change."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from upgrader.domain.names import SystemId


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one host said, and when; an empty version is a host on which nothing is."""

    version: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Sightings:
    """Of one system, by host name. A host that never answered is left out."""

    system: SystemId
    hosts: Mapping[str, Sighting]
