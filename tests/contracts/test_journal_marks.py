"""Marks: a journal that this machine wrote last is told from one that was put back, or written elsewhere."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from upgrader.adapters.state.journal_file import JournalFile
from upgrader.adapters.state.journal_marks import JournalMarks
from upgrader.domain.changes.lifecycle import Event

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "changes" / "CHG-2026-0001" / "journal.jsonl"


def written(path: Path, marks: JournalMarks, *events: Event) -> bytes:
    """One opening for each entry, as commands do."""
    for event in events:
        with JournalFile(path, marks) as journal:
            journal.write(event, {}, at=NOW, actor="li.na")
    return path.read_bytes()


def test_what_this_machine_wrote_last_is_vouched_for_and_an_older_copy_is_not(path: Path, tmp_path: Path) -> None:
    marks = JournalMarks(tmp_path)
    older = written(path, marks, Event.CHANGE_REQUESTED, Event.PLAN_MADE)
    newer = written(path, marks, Event.PLAN_AUTHORIZED)
    assert JournalFile(path, marks).is_vouched()

    path.write_bytes(older)
    assert not JournalFile(path, marks).is_vouched()
    written(path, marks, Event.GATE_REFUSED)
    assert not JournalFile(path, marks).is_vouched(), "an entry on top of an older journal makes it no newer"

    path.write_bytes(newer)
    assert JournalFile(path, marks).is_vouched()


def test_after_a_start_of_the_machine_nothing_is_vouched_for_until_the_hosts_were_asked(
    path: Path, tmp_path: Path
) -> None:
    written(path, JournalMarks(tmp_path), Event.CHANGE_REQUESTED)
    started_anew = JournalMarks(tmp_path / "empty")
    (tmp_path / "empty").mkdir()
    assert not JournalFile(path, started_anew).is_vouched()

    JournalFile(path, started_anew).vouch()

    written(path, started_anew, Event.PLAN_MADE)
    assert JournalFile(path, started_anew).is_vouched()


def test_without_such_memory_or_with_a_folder_of_somebody_else_the_hosts_are_always_asked(
    path: Path, tmp_path: Path
) -> None:
    nowhere = JournalMarks(tmp_path / "none")
    written(path, nowhere, Event.CHANGE_REQUESTED)
    assert not JournalFile(path, nowhere).is_vouched()

    marks = JournalMarks(tmp_path)
    written(path, marks, Event.PLAN_MADE)
    JournalFile(path, marks).vouch()
    next(tmp_path.glob("upgrader-journals-*")).chmod(0o777)
    assert not JournalFile(path, marks).is_vouched()
