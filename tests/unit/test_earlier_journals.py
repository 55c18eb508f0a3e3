"""What earlier changes of a system took is found in their journals, without reading each of these whole."""

from pathlib import Path

import builders
from upgrader.adapters.state.journal_file import JournalFile
from upgrader.adapters.state.journal_search import JournalSearch
from upgrader.domain.changes.forecast import TELLING
from upgrader.domain.changes.lifecycle import Event


def write_change(folder: Path, change: str, system: str) -> None:
    with JournalFile(folder / change / "journal.jsonl") as journal:
        for event, data in (
            (Event.CHANGE_REQUESTED, {"system": system}),
            (Event.PLAN_MADE, {"plan": "0"}),
            (Event.GATE_REFUSED, {"code": '"event":"wave started"'}),
        ):
            journal.write(event, data, at=builders.NOW, actor="li.na")


def test_only_journals_of_the_system_tell_the_latest_first_and_not_that_of_the_change_itself(tmp_path: Path) -> None:
    for number, system in enumerate(("lis", "pacs", "lis", "lis", "lis")):
        write_change(tmp_path, f"CHG-2026-000{number}", system)
    torn = tmp_path / "CHG-2026-0003" / "journal.jsonl"
    torn.write_bytes(torn.read_bytes() + b'{"event":"wave started" torn\n')

    found = JournalSearch(tmp_path).earlier("lis", TELLING, but="CHG-2026-0004", most=2)

    assert [[entry.event for entry in entries] for entries in found] == [[Event.GATE_REFUSED], [Event.GATE_REFUSED]]
