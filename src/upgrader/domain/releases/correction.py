"""A correction of data: statements that run once, in one transaction, and touch exactly the rows that were said.

It is staged, planned, signed and applied as any release is, with the strategy `data-fix`; what it is called is its
version, and a host has it or has nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from upgrader.domain.canonical import hidden_character
from upgrader.domain.errors import Refused

LARGEST_STATEMENTS = 64 * 1024
NOT_RUN = ""  # what a host has installed as long as the correction was not run there


@dataclass(frozen=True, slots=True)
class TableRows:
    """A table, as schema.name, and in how many different rows of it something is inserted, changed or deleted."""

    name: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What the vendor says of the statements. `tables` is all that they touch, parents before their children."""

    database: str
    tables: tuple[TableRows, ...]
    statement_seconds: int
    lock_seconds: int

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCorrection:
    """The correction as the signers see it: with the statements themselves, line by line."""

    database: str
    tables: tuple[TableRows, ...]
    statement_seconds: int
    lock_seconds: int
    statements: tuple[str, ...]


def planned(correction: Correction, statements: tuple[str, ...]) -> PlannedCorrection:
    return PlannedCorrection(
        database=correction.database,
        tables=correction.tables,
        statement_seconds=correction.statement_seconds,
        lock_seconds=correction.lock_seconds,
        statements=statements,
    )


def read_statements(content: bytes, file: str) -> tuple[str, ...]:
    """The lines of a .sql build, exactly as they run and as the signers read them.

    Raises Refused `statements-unreadable` for what no person could read as it is: not UTF-8, longer than
    LARGEST_STATEMENTS bytes, empty, or with a character that hides (tabs and carriage returns too).
    """
    try:
        lines = tuple(content.decode("utf-8").removesuffix("\n").split("\n"))
    except UnicodeDecodeError as error:
        raise Refused(
            "statements-unreadable", file=file, line=_line_of(content, error.start), found="UTF-8?"
        ) from error
    if len(content) > LARGEST_STATEMENTS:
        found = f"{len(content)} > {LARGEST_STATEMENTS}"
        raise Refused("statements-unreadable", file=file, line=len(lines), found=found)
    if not any(line.strip() for line in lines):
        raise Refused("statements-unreadable", file=file, line=1, found="-")
    for number, line in enumerate(lines, 1):
        if hidden := hidden_character(line):
            raise Refused("statements-unreadable", file=file, line=number, found=hidden)
    return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class RowImage:
    """One row as it was and as it would be, as a dry run saw it. None where there is no such row."""

    table: str
    key: Mapping[str, Any]
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


def read_images(told: object) -> tuple[RowImage, ...]:
    """The rows that a database host told. Raises ValueError for what is not a list of them."""
    match told:
        case list():
            return tuple(_image(row) for row in told)
        case _:
            raise ValueError("not a list of rows")


def _image(row: object) -> RowImage:
    match row:
        case {
            "table": str(table),
            "key": dict(key),
            "before": dict() | None as before,
            "after": dict() | None as after,
        }:
            return RowImage(table=table, key=key, before=before, after=after)
        case _:
            raise ValueError("not a row")


def _line_of(content: bytes, place: int) -> int:
    return content.count(b"\n", 0, place) + 1
