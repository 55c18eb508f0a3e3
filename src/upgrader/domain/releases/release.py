"""A release: what the vendor delivers for one system and one version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from upgrader.domain.digest import Digest
from upgrader.domain.names import FileName, PersonId, SystemId, Version
from upgrader.domain.releases.build_kind import BuildKind
from upgrader.domain.releases.correction import Correction
from upgrader.domain.releases.database import DatabaseTerms, DataPromise
from upgrader.domain.releases.probe import Probe
from upgrader.domain.releases.work import Work


class Strategy(StrEnum):
    """How the builds reach a host. One Ansible role each."""

    ARCHIVE = "archive"  # versioned folders and the link `current`
    PACKAGE = "package"  # Debian packages, put in by dpkg
    FILES = "files"  # a set of files that replaces some of those installed
    DATABASE = "database"  # a database with its migrations, and the program that goes with it
    DATA_FIX = "data-fix"  # statements on a database: a correction of data
    WINDOWS = "windows"  # staged and verified today; nothing carries it to a host yet


# What each strategy can carry to a host.
CONSUMED: Mapping[Strategy, frozenset[BuildKind]] = {
    Strategy.ARCHIVE: frozenset({BuildKind.TAR}),
    Strategy.PACKAGE: frozenset({BuildKind.DEB}),
    Strategy.FILES: frozenset({BuildKind.TAR, BuildKind.ZIP}),
    Strategy.DATABASE: frozenset({BuildKind.TAR, BuildKind.SQL}),
    Strategy.DATA_FIX: frozenset({BuildKind.SQL}),
    Strategy.WINDOWS: frozenset({BuildKind.EXE, BuildKind.MSI, BuildKind.ZIP}),
}


LARGEST_SHOWN = 1024 * 1024  # of a migration, in bytes: a larger one is known by its SHA-256 alone


@dataclass(frozen=True, slots=True)
class Build:
    """One deliverable, known by its SHA-256. `size` in bytes."""

    file: FileName
    sha256: Digest
    size: int


def digest_of(builds: Sequence[Build]) -> Digest:
    """One SHA-256 for all that a version is made of: its only build's, else that of the list `SHA256  FILE`, sorted."""
    if len(builds) == 1:
        return builds[0].sha256
    return Digest.of("".join(sorted(f"{build.sha256.hex}  {build.file}\n" for build in builds)).encode())


@dataclass(frozen=True, slots=True)
class Service:
    """The service of a system: its systemd unit and the vendor's own start and stop script.

    Both are paths below the folder that the strategy works on: the version's own for an archive, `/` for packages, the
    target for files. Only an archive brings its unit; it is empty where the unit is on the host already.
    """

    name: str
    unit: str
    script: str
    settle_seconds: int


@dataclass(frozen=True, slots=True)
class Health:
    """The command in the build that answers, on the host, whether the program is well (exit 0)."""

    command: str
    timeout_seconds: int


# A release without a program of its own: a correction of data.
NO_SERVICE = Service("", "", "", 0)
NO_HEALTH = Health("", 1)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration file that is made from the vendor's template with the site's parameters."""

    source: str
    target: str


class HeldPackages(StrEnum):
    """What becomes of a package that the site holds at its version."""

    REFUSE = "refuse"  # the host fails before the change
    LIFT = "lift"  # upgraded all the same, and held again afterwards


class UnfinishedPackages(StrEnum):
    """What becomes of packages that an earlier run of dpkg left half installed or half configured."""

    REFUSE = "refuse"
    REPAIR = "repair"  # by `dpkg --configure -a`, before the change; refused when that does not mend them


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageTerms:
    """How the packages are put in. `name` is the one whose version, without its epoch, is the release's.

    `restore` are folders below `/` that go back together with the packages. `limit_seconds` is for one call of dpkg
    with all its maintainer scripts, `lock_seconds` for waiting until another program lets go of dpkg.
    """

    name: str
    held: HeldPackages
    unfinished: UnfinishedPackages
    restore: tuple[str, ...]
    limit_seconds: int
    lock_seconds: int


@dataclass(frozen=True, slots=True)
class ReplacedFile:
    """A file of a partial upgrade, and the SHA-256 of the one that it replaces; None for a file that is new."""

    path: str
    sha256: Digest | None


@dataclass(frozen=True, slots=True)
class FilesTerms:
    """Where a set of files goes, and what is there before.

    An empty `target` is a copy of the folder of the installed version, which becomes a version of its own. Else files
    are replaced in that folder of the host, one by one, and `version_file` below it tells which version is installed.
    """

    target: str
    version_file: str
    replaces: tuple[ReplacedFile, ...]


class WhenBusy(StrEnum):
    """What follows when somebody still works on a host at the end of the time that is waited."""

    DEFER = "defer"  # the host is pending, and asked again another time
    GO_ON = "go-on"  # after a second notice


@dataclass(frozen=True, slots=True)
class Busy:
    """How a host finds out whether somebody works on it: `command` is a program of the build, 0 nobody, 1 somebody.

    `notice` is a program of the build that tells whoever works there.
    """

    command: str
    wait_seconds: int
    then: WhenBusy
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Takes:
    """How long one host takes, by the vendor's word; it is relied on until journals tell better."""

    upgrade_seconds: int
    rollback_seconds: int


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
    parameters: Mapping[str, str]  # the vendor's defaults; what the site sets for a host comes first
    keep: int
    probes: tuple[Probe, ...]
    thresholds: Thresholds
    correction: Correction | None = None  # for the strategy `data-fix` alone
    packager: PersonId | None = None  # who put the drop together and vouches for it, in the vendor's place
    package: PackageTerms | None = None  # for the strategy of that name only, as is `files`
    files: FilesTerms | None = None
    takes: Takes | None = None
    busy: Busy | None = None
    database: DatabaseTerms | None = None  # for the strategy of that name only
    work: Work | None = None
    works_with: Mapping[SystemId, tuple[str, ...]] = field(default_factory=dict)  # versions of others, or patterns
    clients_first: bool = False  # the vendor says that workstations have to be upgraded before servers

    @property
    def name(self) -> str:
        return f"{self.system} {self.version}"

    @property
    def shown(self) -> tuple[Build, ...]:
        """What of the release stands in the site repository, to be read: documents, and statements for a database."""
        if self.correction is not None:
            return (*self.documents, *self.builds)
        if self.database is None:
            return self.documents
        files = {migration.sql for migration in self.database.migrations}
        return (*self.documents, *(b for b in self.builds if b.file in files and b.size <= LARGEST_SHOWN))

    @property
    def longest_seconds(self) -> int:
        """When a playbook is stopped that does not come to its end: far beyond what is declared here for one host."""
        declared = (self.takes.upgrade_seconds, self.takes.rollback_seconds) if self.takes else (0,)
        waits = [terms.longest_seconds for terms in (self.database, self.work) if terms is not None]
        return max(900, 3 * max(declared)) + sum(waits)

    def may_follow(self, installed: str) -> bool:
        """Whether this release may be put over `installed`; an empty text is a host that has nothing yet."""
        return any(fnmatchcase(installed, pattern) for pattern in self.follows)

    def may_work_with(self, other: SystemId, version: str) -> bool:
        """Whether it works beside this version of another system; a system that it does not name is no matter."""
        return other not in self.works_with or any(fnmatchcase(version, one) for one in self.works_with[other])

    def opens_way_back_to(self, version: str) -> bool:
        """Whether a host that has this release may go back to `version`: it came that way, and the data stayed good."""
        return self.data is DataPromise.KEEP and self.may_follow(version)
