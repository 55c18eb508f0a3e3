"""The real command line in a child of this process, which may die by its own SIGKILL right after an entry is on disk.

The child is forked from a process that has imported everything, so that a command costs its work and not its imports.
What it runs is `upgrader.__main__.main` with its own arguments, environment, folder and streams; only the journal's
`write` is wrapped, here and not in the product.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import upgrader.__main__
from upgrader.adapters.state.journal_file import JournalFile
from upgrader.cli import VERBS
from upgrader.domain.changes.journal import Entry
from upgrader.domain.changes.lifecycle import Event
from upgrader.lab.hospital import Answer, Hospital

NEEDED = ("ansible_runner.runner", "ansible_runner.config.runner", "git", "yaml", "pydantic", "upgrader.app")
Fact = tuple[str, ...]


def import_everything() -> None:
    for name in (*NEEDED, *(f"upgrader.cli.{module}" for module in VERBS.values())):
        import_module(name)


def fact_of(entry: Entry) -> Fact:
    """What an entry says, without when, and by which run: the same again is no new fact."""
    told = ("wave", "host", "playbook", "outcome", "verdict", "because", "ending", "result")
    return (entry.event.value, *(f"{key}={entry.data[key]}" for key in told if key in entry.data))


@dataclass
class Killer:
    """Kills its own process once a fact is on disk that was not there when the command began."""

    known: frozenset[Fact]
    write: Callable[..., Entry] = field(default=JournalFile.write)

    def arm(self) -> None:
        killer = self

        def write_and_die(
            journal: JournalFile, event: Event, data: Mapping[str, Any], *, at: datetime, actor: str
        ) -> Entry:
            entry = killer.write(journal, event, data, at=at, actor=actor)
            if fact_of(entry) not in killer.known:
                os.kill(os.getpid(), signal.SIGKILL)
            return entry

        JournalFile.write = write_and_die  # type: ignore[method-assign, assignment]


def facts_in(path: Path) -> list[Fact]:
    return [fact_of(entry) for entry in JournalFile(path).history().entries]


def run(hospital: Hospital, person: str, *arguments: str, killer: Killer | None = None) -> Answer:
    """Run the command line as `person`; the code of an answer is negative when the child was killed."""
    key = hospital.people_keys.get(person)
    who = ("--site", str(hospital.clone(person)), "--as", person, *(("--key", str(key)) if key else ()))
    environment = {**os.environ, **hospital.surroundings()}
    out, err = (hospital.directory / name for name in ("forked.out", "forked.err"))
    child = os.fork()
    if child == 0:
        _be_the_child((*who, *arguments), environment, hospital.directory, (out, err), killer)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return Answer(arguments, code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))


def _be_the_child(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    streams: tuple[Path, Path],
    killer: Killer | None,
) -> NoReturn:
    code = 70
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in enumerate(streams, 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", encoding="utf-8"), open(2, "w", encoding="utf-8")  # noqa: SIM115
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.argv = ["upgrader", *arguments]
        if killer is not None:
            killer.arm()
        upgrader.__main__.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:  # the child must never go on as a second test run
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
