"""What release.yml says of a database that goes to a new version with its program, under `database:`."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from upgrader.adapters.documents.correction import IDENTIFIER
from upgrader.adapters.documents.fields import File, Flag, InsideCommand, Label
from upgrader.adapters.documents.models import Finding, Model, at_least_one, reads, repeated
from upgrader.adapters.documents.values import matching, one_of, seconds
from upgrader.domain.releases.build_kind import BuildKind, kind_of_name
from upgrader.domain.releases.database import (
    DatabaseTerms,
    DataPromise,
    MainTable,
    Migration,
    Others,
    Product,
    RowsPromise,
    Way,
)

HALF_A_DAY = 12 * 3600


class _Table(Model):
    name: Annotated[str, reads(matching(rf"{IDENTIFIER}\.{IDENTIFIER}", "public.result", str))]
    rows: Annotated[RowsPromise, reads(one_of(RowsPromise))] = RowsPromise.SAME
    probe: Label | None = None

    def to_domain(self) -> MainTable:
        return MainTable(self.name, self.rows, self.probe or "")


class _Migration(Model):
    sql: File | None = None
    transaction: Flag = True
    command: InsideCommand | None = None

    def findings(self) -> Iterator[Finding]:
        if (self.sql is None) is (self.command is None):
            yield Finding((), "missing-key", {"key": "sql | command"})

    def to_domain(self) -> Migration:
        return Migration(Way.WHOLE if self.transaction else Way.EACH, self.command or "", self.sql)


class DatabaseModel(Model):
    product: Annotated[Product, reads(one_of(Product))]
    name: Annotated[str, reads(matching(IDENTIFIER, "lis", str))]
    tables: Annotated[tuple[_Table, ...], at_least_one()]
    migrations: Annotated[tuple[_Migration, ...], at_least_one()]
    others: Annotated[Others, reads(one_of(Others))]
    lock_timeout: Annotated[int, reads(seconds(1, 600))]
    statement_timeout: Annotated[int, reads(seconds(1, HALF_A_DAY))]
    limit: Annotated[int, reads(seconds(1, HALF_A_DAY))]

    def findings(self) -> Iterator[Finding]:
        yield from repeated(("tables", n, "name", table.name) for n, table in enumerate(self.tables))
        yield from repeated(("migrations", n, "sql", step.sql) for n, step in enumerate(self.migrations) if step.sql)

    def to_domain(self, promise: DataPromise) -> DatabaseTerms:
        return DatabaseTerms(
            product=self.product,
            name=self.name,
            promise=promise,
            tables=tuple(table.to_domain() for table in self.tables),
            migrations=tuple(step.to_domain() for step in self.migrations),
            others=self.others,
            lock_seconds=self.lock_timeout,
            statement_seconds=self.statement_timeout,
            limit_seconds=self.limit,
        )


def promise_findings(*, is_database: bool, promise: DataPromise) -> Iterator[Finding]:
    """A release that changes a database says what leads back; any other one leaves the data where they are."""
    fitting = (DataPromise.RESTORE, DataPromise.IRREVERSIBLE) if is_database else (DataPromise.KEEP,)
    if promise not in fitting:
        yield Finding(("data",), "wrong-value", {"expected": " | ".join(fitting), "found": promise.value})


def database_findings(
    database: DatabaseModel, builds: Sequence[str], probes: Sequence[str], *, has_service: bool
) -> Iterator[Finding]:
    """What does not go together with the rest of the release. `builds` and `probes` are names."""
    files = [file for file in builds if kind_of_name(file) is BuildKind.SQL]
    programs = [n for n, file in enumerate(builds) if kind_of_name(file) is BuildKind.TAR]
    for n in programs[1:]:
        yield Finding(("builds", n), "one-build-only", {"found": len(programs), "strategy": "database"})
    if has_service and not programs:
        yield Finding(("service",), "no-program-among-builds", {"found": "service"})
    for n, step in enumerate(database.migrations):
        if step.sql is not None and step.sql not in files:
            yield Finding(("database", "migrations", n, "sql"), "not-among-builds", {"found": step.sql})
        if step.command is not None and not programs:
            yield Finding(("database", "migrations", n, "command"), "no-program-among-builds", {"found": step.command})
    named = {step.sql for step in database.migrations}
    for n, file in enumerate(builds):
        if file in files and file not in named:
            yield Finding(("builds", n, "file"), "not-a-migration", {"found": file})
    for n, table in enumerate(database.tables):
        if table.probe is not None and table.probe not in probes:
            yield Finding(("database", "tables", n, "probe"), "probe-unknown", {"found": table.probe})
