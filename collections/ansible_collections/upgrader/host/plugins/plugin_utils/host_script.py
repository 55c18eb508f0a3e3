# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The transaction script as one text, put together from its parts below `plugins/host/`.

`python host_script.py archive` prints it: the same text that a host gets, to read, to check, or to run by hand.
"""

from __future__ import annotations

import sys
from pathlib import Path

SHARED = ("front", "judge", "receive", "limit", "journal", "answer", "conversation")
# What has a version before and after, and a service.
VERSIONED = ("verbs", "configure", "deadman", "switch", "service", "user", "work", "messages", "job")
DATABASE = (*VERSIONED, "unpack", "versions", "database/site", "restore_point", "strategy/database")
# What differs for each product that a database may be of.
PRODUCTS = {
    "database": ("sqlstate", "split_postgresql", "migrate_postgresql"),
    "database_oracle": ("migrate_oracle",),  # never tried, and refused by plan
    "database_sqlserver": ("migrate_sqlserver",),  # as well
}
# What each strategy adds; where two parts define the same function, the later one counts.
STRATEGIES = {
    "archive": (*VERSIONED, "unpack", "versions", "strategy/archive"),
    "package": (*VERSIONED, "strategy/package"),
    "files": (*VERSIONED, "unpack", "versions", "replaced", "strategy/files"),
    "files_in_place": (*VERSIONED, "unpack", "replaced", "strategy/files_in_place"),
    "data-fix": ("database/site", "database/sqlstate", "database/postgresql", "strategy/data-fix"),
    **{name: (*DATABASE, *(f"database/{part}" for part in parts)) for name, parts in PRODUCTS.items()},
}
CALL = "#:call\n"
HERE = Path(__file__).parent.parent / "host"


def host_script(strategy: str) -> str:
    """Every part, those of the one strategy last, up to the line after which the sender writes the call.

    `strategy` is one of STRATEGIES. Raises KeyError for any other.
    """
    files = [HERE / f"{part}.sh" for part in (*SHARED, *STRATEGIES[strategy])]
    return "\n".join(file.read_text(encoding="utf-8") for file in files) + "\n" + CALL


if __name__ == "__main__":
    sys.stdout.write(host_script(sys.argv[1]) + 'main "$@"\n')
