"""A database that a release brings to a new version together with its program: its migrations, and what leads back."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from upgrader.domain.errors import Refused
from upgrader.domain.names import FileName
from upgrader.domain.releases.probe import Probe


class DataPromise(StrEnum):
    """What a release says of the data it works on."""

    KEEP = "keep"  # shared data stays in place; the version before can read what this one writes
    RESTORE = "restore"  # the database is changed; it goes back to the restore point, with the program
    IRREVERSIBLE = "irreversible"  # the database is changed, and nothing leads back once the new version has started


class Product(StrEnum):
    """Which database server; the host has a file of statements for each."""

    POSTGRESQL = "postgresql"
    ORACLE = "oracle"
    SQL_SERVER = "sql-server"


STEPS = 6  # two backups, two restores, and counting rows, each with the limit that the release declares
TRIED = frozenset({Product.POSTGRESQL})  # where the statements were run by our tests


class Others(StrEnum):
    """What becomes of those who are still connected to the database when the program has stopped."""

    REFUSE = "refuse"  # the host goes back before anything of the database is changed
    END = "end"  # their sessions are ended


class RowsPromise(StrEnum):
    """What the migrations do to the number of rows of a main table."""

    SAME = "same"  # another number afterwards, and the host goes back
    ANY = "any"


class Way(StrEnum):
    """How the statements of a file run."""

    WHOLE = "whole"  # all in one transaction
    EACH = "each"  # each on its own, where the database can not have them in a transaction


@dataclass(frozen=True, slots=True)
class MainTable:
    """A table, as schema.name, by which a backup is proven. `probe` names the probe that looks at its data, if any."""

    name: str
    rows: RowsPromise
    probe: str


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: a file of statements among the builds, or a command of the program. The other one is empty."""

    way: Way
    command: str
    sql: FileName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseTerms:
    """What a release says of its database. `limit_seconds` is for one backup, restore or migration command."""

    product: Product
    name: str
    promise: DataPromise
    tables: tuple[MainTable, ...]
    migrations: tuple[Migration, ...]
    others: Others
    lock_seconds: int
    statement_seconds: int
    limit_seconds: int

    @property
    def shown_migrations(self) -> str:
        """The migrations in their order, as people read them."""
        return ", ".join(migration.command or str(migration.sql) for migration in self.migrations)

    @property
    def shown_tables(self) -> str:
        return ", ".join(table.name for table in self.tables)

    @property
    def way_back(self) -> str:
        """The code of what the form says of it."""
        return "no-return" if self.promise is DataPromise.IRREVERSIBLE else "no-point-of-no-return"

    @property
    def longest_seconds(self) -> int:
        """When a host that does not come to its end has been given all its limits, for rehearsal and change."""
        return (STEPS + 2 * len(self.migrations)) * self.limit_seconds

    def check_tried(self, release: str) -> None:
        """Raises Refused `product-not-tried` where nobody has run the statements for this product yet."""
        if self.product not in TRIED:
            raise Refused("product-not-tried", release=release, product=self.product)

    def notes(self, release: str, probes: Iterable[Probe]) -> Iterator[tuple[str, Mapping[str, str]]]:
        """What whoever signs should see, as code and fields."""
        if self.promise is DataPromise.IRREVERSIBLE:
            yield "no-return", {"release": release, "database": self.name}
        if self.others is Others.END:
            yield "others-ended", {"database": self.name}
        if bare := self.tables_without_probe(probes):
            yield "tables-without-probe", {"count": str(len(bare)), "tables": ", ".join(bare[:10])}

    def tables_without_probe(self, probes: Iterable[Probe]) -> tuple[str, ...]:
        """The main tables at whose data no probe of the release looks, before or after."""
        names = {probe.name for probe in probes}
        return tuple(table.name for table in self.tables if table.probe not in names)
