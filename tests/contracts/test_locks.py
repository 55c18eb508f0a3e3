"""Locks: one holder at a time, told who it is; nothing stays behind when a holder dies."""

import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from upgrader.adapters.locks import Locks
from upgrader.domain.errors import Locked

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)

HOLD_UNTIL_KILLED = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from upgrader.adapters.locks import Locks
with Locks(Path(sys.argv[1])).hold(["host-01"], "apply", "zhang.min", datetime(2026, 11, 21, tzinfo=UTC)):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_told_who_holds_what_since_when(tmp_path: Path) -> None:
    locks = Locks(tmp_path)

    with (
        locks.hold(["host-01", "host-02"], "apply CHG-2026-0001", "li.na", NOW),
        pytest.raises(Locked) as refusal,
        locks.hold(["host-02", "host-03"], "apply CHG-2026-0002", "zhang.min", NOW),
    ):
        pass

    assert refusal.value.code == "locked"
    assert refusal.value.fields == {
        "name": "host-02",
        "holder": "li.na",
        "purpose": "apply CHG-2026-0001",
        "since": "2026-11-21T15:00:00Z",
    }


def test_who_does_not_get_all_holds_none(tmp_path: Path) -> None:
    locks = Locks(tmp_path)
    with locks.hold(["b"], "apply", "li.na", NOW):
        with pytest.raises(Locked), locks.hold(["a", "b", "c"], "apply", "zhang.min", NOW):
            pass

        with locks.hold(["a", "c"], "apply", "wang.fang", NOW):
            pass


def test_a_lock_can_be_taken_again_after_it_was_let_go(tmp_path: Path) -> None:
    locks = Locks(tmp_path)
    for holder in ("li.na", "zhang.min"):
        with locks.hold(["lis"], "apply", holder, NOW):
            pass

    assert (tmp_path / "lis").read_bytes() == b""


def test_a_lock_is_let_go_when_the_work_fails(tmp_path: Path) -> None:
    locks = Locks(tmp_path)
    with pytest.raises(ZeroDivisionError), locks.hold(["lis"], "apply", "li.na", NOW):
        raise ZeroDivisionError

    with locks.hold(["lis"], "apply", "li.na", NOW):
        pass


def test_a_dead_holder_holds_nothing(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD_UNTIL_KILLED, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(Locked, match=r"zhang\.min"), Locks(tmp_path).hold(["host-01"], "apply", "li.na", NOW):
        pass

    holder.send_signal(signal.SIGKILL)
    holder.communicate()

    with Locks(tmp_path).hold(["host-01"], "apply", "li.na", NOW):
        pass


@pytest.mark.parametrize("names", [[], [""], ["../outside"], [".hidden"], ["a/b"], ["a\n"]])
def test_no_name_and_bad_names_are_mistakes_of_the_program(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ValueError, match="lock"), Locks(tmp_path / "locks").hold(names, "apply", "li.na", NOW):
        pass
