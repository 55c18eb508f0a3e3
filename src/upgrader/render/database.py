"""A database that goes to a new version, as those read it who sign for it."""

from collections.abc import Iterable

from upgrader.domain.releases.database import DatabaseTerms, Way
from upgrader.language import Texts


def database_lines(database: DatabaseTerms, texts: Texts) -> Iterable[str]:
    """Which database, every migration in its order, what leads back and how far."""
    yield f"  {texts('database.head', database=database.name, product=database.product)}"
    for number, migration in enumerate(database.migrations, 1):
        alone = f"   {texts('database.each')}" if migration.sql and migration.way is Way.EACH else ""
        yield f"    {number}  {migration.command or migration.sql}{alone}"
    yield f"  {texts('database.tables', tables=database.shown_tables)}"
    yield f"  {texts(f'database.{database.promise}')}"
