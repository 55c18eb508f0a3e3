# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a strategy alone asks of the variable `upgrade`, and what work that comes by itself does, as inputs of the transaction script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NEW = "new"
STATEMENTS = ".sql"
PRODUCTS = {"postgresql": "database", "oracle": "database_oracle", "sql-server": "database_sqlserver"}


def script_of(upgrade: Mapping[str, Any]) -> str:
    """The name of the script that carries this out: the strategy's own, but for files that go into a folder of the host."""
    strategy = str(upgrade["strategy"])
    if strategy == "database":
        return PRODUCTS[upgrade["database"]["product"]]
    return "files_in_place" if strategy == "files" and upgrade["files"]["target"] else strategy


def strategy_terms(upgrade: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and value of each input. Raises KeyError, TypeError or ValueError where the variable is not whole."""
    match upgrade["strategy"]:
        case "package":
            yield from _package(upgrade["package"])
            for earlier in upgrade.get("earlier", ()):
                for build in earlier["builds"]:
                    yield "previous", f"{earlier['version']} {build['sha256']} {int(build['size'])} {build['file']}"
        case "files":
            yield from _files(upgrade["files"])
        case "database":
            yield from _database(upgrade["database"], upgrade["builds"])
        case "data-fix":
            yield from _correction(upgrade["correction"])


def work_terms(upgrade: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The same for work that comes by itself, where the release has any: messages, jobs."""
    if messages := upgrade.get("interface"):
        yield "intake_stop", str(messages["intake"]["stop"])
        yield "intake_start", str(messages["intake"]["start"])
        yield "queue", str(messages["queue"])
        yield "drain_seconds", str(int(messages["drain_seconds"]))
        yield "count_in", str(messages["count_in"])
        yield "count_out", str(messages["count_out"])
        yield "replay", str(messages.get("replay", ""))
        yield "held_back", str(messages.get("held", ""))
    if job := upgrade.get("job"):
        yield "job", str(job["command"])
        yield "job_seconds", str(int(job["wait_seconds"]))
        yield "job_then", str(job["then"])
        schedule = job.get("schedule", {})
        yield "schedule_stop", str(schedule.get("stop", ""))
        yield "schedule_start", str(schedule.get("start", ""))


def _package(terms: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "package", str(terms["name"])
    yield "held", str(terms["held"])
    yield "unfinished", str(terms["unfinished"])
    yield "limit_seconds", str(int(terms["limit_seconds"]))
    yield "lock_seconds", str(int(terms["lock_seconds"]))
    for path in terms["restore"]:
        yield "restore", str(path)


def _files(terms: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if terms["target"]:
        yield "target", str(terms["target"])
        yield "version_file", str(terms["version_file"])
    for replaced in terms["replaces"]:
        yield "replaces", f"{replaced.get('sha256', NEW)} {replaced['path']}"


def _database(terms: Mapping[str, Any], builds: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    digests = {str(build["file"]): str(build["sha256"]) for build in builds}
    for file, digest in digests.items():
        if not file.endswith(STATEMENTS):
            yield "program", digest
    yield "database", str(terms["name"])
    yield "promise", str(terms["promise"])
    yield "others", str(terms["others"])
    for name in ("lock_seconds", "statement_seconds", "limit_seconds"):
        yield name, str(int(terms[name]))
    for table in terms["tables"]:
        yield "table", f"{table['name']} {table['rows']}"
    for step in terms["migrations"]:
        if file := step.get("sql", ""):
            yield "migration", f"sql {step['way']} {digests[file]} {file}"
        else:
            yield "migration", f"command - - {step['command']}"


def _correction(terms: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "database", str(terms["database"])
    yield "statement_seconds", str(int(terms["statement_seconds"]))
    yield "lock_seconds", str(int(terms["lock_seconds"]))
    for table in terms["tables"]:
        yield "table", f"{table['name']} {int(table['rows'])}"
