"""What people ask lies in files: whole, kept, seen by every process, and never taken for a yes when it is damaged."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from upgrader.adapters.state.brake_files import BrakeFiles
from upgrader.domain.changes.brake import Ask, Brake
from upgrader.domain.errors import Refused
from upgrader.domain.names import ChangeId, PersonId

CHANGE = ChangeId("CHG-2026-0142")
SINCE = datetime(2026, 11, 21, 15, tzinfo=UTC)
PAUSE = Brake(ask=Ask.PAUSE, change=CHANGE, person=PersonId("li.na"), since=SINCE, reason="三病区急诊")
STOP = replace(PAUSE, ask=Ask.STOP, change=None)


def test_an_ask_is_seen_by_others_and_the_first_one_stands(tmp_path: Path) -> None:
    BrakeFiles(tmp_path / "brakes").ask(PAUSE)
    other = BrakeFiles(tmp_path / "brakes")

    assert other.ask(replace(PAUSE, reason="another")) == PAUSE
    assert other.asked(CHANGE) == [PAUSE]
    assert other.asked("CHG-2026-0001") == []
    assert any(Path(file).exists() for file in other.holding(CHANGE))
    assert not any(Path(file).exists() for file in other.holding("CHG-2026-0001"))

    other.done(PAUSE)
    other.done(PAUSE)
    assert other.asked(CHANGE) == []


def test_a_stop_holds_every_change_until_it_is_lifted_and_both_are_kept(tmp_path: Path) -> None:
    brakes = BrakeFiles(tmp_path)
    brakes.ask(STOP)
    assert brakes.stopped() == STOP
    assert any(Path(file).exists() for file in brakes.holding("CHG-2026-0001"))

    brakes.lift(replace(STOP, ask=Ask.LIFT, reason="found"))

    assert brakes.stopped() is None
    assert sorted(path.suffix for path in (tmp_path / "past").iterdir()) == [".lift", ".stop"]


@pytest.mark.parametrize("content", [b"", b"{}", b"hello", b"[]", b'{"format": "upgrader.brake/2"}'])
def test_a_damaged_file_refuses(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "all.stop").write_bytes(content)
    (tmp_path / f"{CHANGE}.pause").write_bytes(content)

    with pytest.raises(Refused, match="brake-unreadable"):
        BrakeFiles(tmp_path).stopped()
    with pytest.raises(Refused, match="brake-unreadable"):
        BrakeFiles(tmp_path).asked(CHANGE)
