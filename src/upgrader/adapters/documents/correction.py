"""What release.yml says of a correction of data, under `correction:`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from upgrader.adapters.documents.models import Finding, Model, at_least_one, reads, repeated
from upgrader.adapters.documents.values import matching, seconds, whole
from upgrader.domain.releases.correction import NOT_RUN, Correction, TableRows

MOST_ROWS = 100_000  # every row's image goes into the undo file, and its way back is walked before the commit
IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]{0,62}"


class _Table(Model):
    name: Annotated[str, reads(matching(rf"{IDENTIFIER}\.{IDENTIFIER}", "public.result", str))]
    rows: Annotated[int, reads(whole(1, MOST_ROWS))]

    def to_domain(self) -> TableRows:
        return TableRows(self.name, self.rows)


class CorrectionModel(Model):
    database: Annotated[str, reads(matching(IDENTIFIER, "lis", str))]
    tables: Annotated[tuple[_Table, ...], at_least_one()]
    statement_timeout: Annotated[int, reads(seconds(1, 600))]
    lock_timeout: Annotated[int, reads(seconds(1, 60))]

    def findings(self) -> Iterator[Finding]:
        yield from repeated(("tables", n, "name", table.name) for n, table in enumerate(self.tables))
        if (rows := sum(table.rows for table in self.tables)) > MOST_ROWS:
            yield Finding(("tables",), "wrong-value", {"expected": f"≤ {MOST_ROWS}", "found": str(rows)})

    def to_domain(self) -> Correction:
        return Correction(
            database=self.database,
            tables=tuple(table.to_domain() for table in self.tables),
            statement_seconds=self.statement_timeout,
            lock_seconds=self.lock_timeout,
        )


def correction_findings(
    *,
    is_correction: bool,
    correction: CorrectionModel | None,
    follows: tuple[str, ...],
    others: Mapping[str, object],
    needed: Sequence[str],
) -> Iterator[Finding]:
    """What does not go together: a correction has no program, so nothing in `others`, and follows on nothing but itself
    not having run. Any other release says all that is `needed`.
    """
    if not is_correction:
        if correction is not None:
            yield Finding(("correction",), "only-for-data-fix", {"found": "correction"})
        for key in needed:
            if others[key] is None:
                yield Finding((), "missing-key", {"key": key})
        return
    if correction is None:
        yield Finding((), "missing-key", {"key": "correction"})
    if follows != (NOT_RUN,):
        yield Finding(("follows",), "wrong-value", {"expected": '[""]', "found": ", ".join(follows)})
    for key, value in others.items():
        if value:
            yield Finding((key,), "not-for-data-fix", {"found": key})
