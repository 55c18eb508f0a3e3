"""A release: what the vendor delivers for one system and one version."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from upgrader.domain.build_kind import BuildKind
from upgrader.domain.digest import Digest
from upgrader.domain.names import FileName, PersonId, SystemId, Version
from upgrader.domain.probe import Probe


class Strategy(StrEnum):
    """How a build reaches a host. One Ansible role each."""

    ARCHIVE = "archive"
    WINDOWS = "windows"  # staged and verified today; nothing carries it to a host yet


# What each strategy can carry to a host.
CONSUMED: Mapping[Strategy, frozenset[BuildKind]] = {
    Strategy.ARCHIVE: frozenset({BuildKind.TAR}),
    Strategy.WINDOWS: frozenset({BuildKind.EXE, BuildKind.MSI, BuildKind.ZIP}),
}


class DataPromise(StrEnum):
    """What a release says of the data it works on."""

    KEEP = "keep"  # shared data stays in place; the version before can read what this one writes


@dataclass(frozen=True, slots=True)
class Build:
    """One deliverable, known by its SHA-256. `size` in bytes."""

    file: FileName
    sha256: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Service:
    """The service of a system: its systemd unit and the vendor's own start and stop script, both inside the build."""

    name: str
    unit: str
    script: str
    settle_seconds: int


@dataclass(frozen=True, slots=True)
class Health:
    """The command in the build that answers, on the host, whether the program is well (exit 0)."""

    command: str
    timeout_seconds: int


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration file that is made from the vendor's template with the site's parameters."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How many hosts may fail before the change stops and is taken back."""

    failed_in_wave: int
    failed_in_all: int
    unreachable_in_wave: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    system: SystemId
    version: Version
    vendor: PersonId
    released: str
    summary: Mapping[str, str]
    follows: tuple[str, ...]
    strategy: Strategy
    data: DataPromise
    downtime_seconds: int
    builds: tuple[Build, ...]
    documents: tuple[Build, ...]
    service: Service
    health: Health
    config: tuple[ConfigFile, ...]
    keep: int
    probes: tuple[Probe, ...]
    thresholds: Thresholds
    packager: PersonId | None = None  # who put the drop together and vouches for it, in the vendor's place

    @property
    def name(self) -> str:
        return f"{self.system} {self.version}"

    def may_follow(self, installed: str) -> bool:
        """Whether this release may be put over `installed`; an empty text is a host that has nothing yet."""
        return any(fnmatchcase(installed, pattern) for pattern in self.follows)

    def opens_way_back_to(self, version: str) -> bool:
        """Whether a host that has this release may go back to `version`: it came that way, and the data stayed good."""
        return self.data is DataPromise.KEEP and self.may_follow(version)
