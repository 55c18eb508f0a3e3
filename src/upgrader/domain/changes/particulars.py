"""Particulars: what the application form asks of a change, and nothing but the requester could know.

They stand under `form:` in request.yml; each is None, or empty, until somebody says it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ChangeType(StrEnum):
    """变更类型: what the change is about; a change may be of several types."""

    FUNCTION = "function"
    DEFECT = "defect"
    REGULATION = "regulation"
    INTERFACE = "interface"
    DATABASE = "database"
    DATA = "data"
    EMERGENCY = "emergency"


class ChangeClass(StrEnum):
    """变更级别: a major change is signed by the functional departments too."""

    NORMAL = "normal"
    MAJOR = "major"
    EMERGENCY = "emergency"


class Risk(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class ProtectionLevel(StrEnum):
    """等保级别 of the system (GB/T 22239-2019)."""

    ONE = "1"
    TWO = "2"
    THREE = "3"
    FOUR = "4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Particulars:
    """What is asked for by hand. Texts are one line each."""

    protection_level: ProtectionLevel | None = None
    types: tuple[ChangeType, ...] = ()
    change_class: ChangeClass | None = None
    module: str | None = None
    vendor_contact: str | None = None
    contents: str | None = None  # what changes for those who use it, in the requester's words
    affected_systems: str | None = None
    departments: str | None = None  # departments, and how many workstations each
    backup: str | None = None
    rollback_trigger: str | None = None
    rollback_decides: str | None = None
    rehearsed: str | None = None
    risk: Risk | None = None
    contingency: str | None = None
    notice: str | None = None
    training: str | None = None
    system_owner: str | None = None


CHOICES: Mapping[str, type[StrEnum]] = {
    "protection_level": ProtectionLevel,
    "change_class": ChangeClass,
    "risk": Risk,
}
TEXTS = tuple(name for name in Particulars.__dataclass_fields__ if name not in {*CHOICES, "types"})
