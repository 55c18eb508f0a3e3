"""A correction of data as people read it: the statements before they sign, and the rows that a dry run shows."""

from collections.abc import Iterable, Mapping
from typing import Any

from upgrader.domain.releases.correction import PlannedCorrection, RowImage
from upgrader.flow.planning.dry_run import DryRun
from upgrader.language import Texts

FEW_ROWS = 20
LONGEST_VALUE = 60


def statements(correction: PlannedCorrection, texts: Texts) -> Iterable[str]:
    """The whole text that will run, numbered, and how many rows of which table it may touch."""
    yield f"  {texts('correction.database', database=correction.database)}"
    for table in correction.tables:
        yield f"  {texts('correction.rows', table=table.name, count=table.rows)}"
    yield f"  {texts('correction.limits', statement=correction.statement_seconds, lock=correction.lock_seconds)}"
    yield f"  {texts('correction.statements')}"
    width = len(str(len(correction.statements)))
    for number, line in enumerate(correction.statements, 1):
        yield f"    {number:>{width}}  {line}"


def dry_run(told: DryRun, texts: Texts, *, all_rows: bool) -> list[str]:
    plan = told.plan
    lines = [texts("dryrun.head", change=plan.change, release=plan.release_name, digest=plan.digest.short)]
    for host in told.hosts:
        mark = "✓" if host.goes_well else "✗"
        lines.append(f"  {mark} {host.host}  {host.detail}")
        shown = host.images if all_rows else host.images[:FEW_ROWS]
        for image in shown:
            lines += _row(image, texts)
        if len(shown) < len(host.images):
            lines.append(f"    … {texts('dryrun.more', count=len(host.images) - len(shown))}")
    lines.append(texts("dryrun.nothing-stays"))
    return lines


def dry_run_json(told: DryRun) -> Mapping[str, Any]:
    return {
        "format": "upgrader.dry-run/1",
        "change": told.plan.change,
        "plan": told.plan.digest.hex,
        "exit_code": int(told.exit_code),
        "hosts": [
            {
                "host": host.host,
                "goes_well": host.goes_well,
                "step": host.step,
                "detail": host.detail,
                "rows": [
                    {"table": row.table, "key": row.key, "before": row.before, "after": row.after}
                    for row in host.images
                ],
            }
            for host in told.hosts
        ],
    }


def _row(image: RowImage, texts: Texts) -> Iterable[str]:
    """One row: its key, and the columns that differ."""
    key = ", ".join(f"{name}={_shown(value)}" for name, value in image.key.items())
    yield f"    {_shown(image.table)}  {key}  {_what(image, texts)}"
    before, after = image.before or {}, image.after or {}
    for column in {**before, **after}:
        if before.get(column) != after.get(column):
            old, new = (_shown(side[column]) if column in side else "" for side in (before, after))
            yield f"      {_shown(column)}: {' → '.join(value for value in (old, new) if value)}"


def _what(image: RowImage, texts: Texts) -> str:
    if image.before is None:
        return texts("dryrun.inserted")
    return texts("dryrun.deleted") if image.after is None else texts("dryrun.changed")


def _shown(value: object) -> str:
    """A value of the database on a terminal: no character of it may do more than be read."""
    text = "NULL" if value is None else str(value)
    plain = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
    return plain if len(plain) <= LONGEST_VALUE else f"{plain[: LONGEST_VALUE - 1]}…"
