"""Locks: one holder at a time, told who it is; nothing stays behind when a holder dies."""

import errno
import fcntl
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from upgrader.adapters.state import lock_folder
from upgrader.adapters.state.lock_folder import mount_of, read_mounts
from upgrader.adapters.state.locks import Locks
from upgrader.domain.errors import Locked, PreflightFailed

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)

HOLD_UNTIL_KILLED = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from upgrader.adapters.state.locks import Locks
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
        "machine": socket.gethostname(),
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

    (alive,) = Locks(tmp_path).list_held()
    assert (alive.name, alive.holder, alive.alive) == ("host-01", "zhang.min", True)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    (dead,) = Locks(tmp_path).list_held()
    assert (dead.holder, dead.purpose, dead.since, dead.alive) == ("zhang.min", "apply", "2026-11-21T00:00:00Z", False)

    with Locks(tmp_path).hold(["host-01"], "apply", "li.na", NOW):
        pass


def test_looking_at_locks_takes_none_from_anybody(tmp_path: Path) -> None:
    locks = Locks(tmp_path)
    with locks.hold(["lis"], "apply CHG-2026-0001", "li.na", NOW):
        assert [one.purpose for one in locks.list_held()] == ["apply CHG-2026-0001"]
        with pytest.raises(Locked), locks.hold(["lis"], "apply CHG-2026-0002", "zhang.min", NOW):
            pass
    assert locks.list_held() == []


MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:40 / /srv/v4 rw - nfs4 files:/state rw,vers=4.2,local_lock=none
31 22 0:41 / /srv/v3 rw - nfs files:/state rw,vers=3,nolock,local_lock=all
32 22 0:42 / /srv/with\\040blank rw - fuse.sshfs me@files:/ rw
33 22 0:43 / /srv/win rw - cifs //files/state rw,nobrl
34 31 8:2 / /srv/v3/local rw - xfs /dev/sdb1 rw
"""


@pytest.mark.parametrize(
    ("folder", "weakness"),
    [
        ("/var/lib/state", ""),
        ("/srv/v4/state", ""),
        ("/srv/v3/state", "nfs local_lock=all,nolock"),
        ("/srv/with blank", "fuse.sshfs"),
        ("/srv/win/a/b", "cifs nobrl"),
        ("/srv/v3/local/state", ""),
    ],
)
def test_a_file_system_whose_locks_others_do_not_see_is_known(folder: str, weakness: str) -> None:
    found = mount_of(Path(folder), read_mounts(MOUNTS))

    assert found is not None
    assert found.weakness == weakness


def test_such_a_file_system_is_refused_before_anything_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n31 22 0:41 / {tmp_path} rw - nfs files:/ rw,nolock\n")
    monkeypatch.setattr(lock_folder, "MOUNTS", mounts)

    with pytest.raises(PreflightFailed, match="locks-not-shared"), Locks(tmp_path / "l").hold(["a"], "-", "-", NOW):
        pass

    assert list((tmp_path / "l").iterdir()) == []


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_that_takes_no_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        if operation != fcntl.LOCK_UN:
            raise OSError(error, "no locks")

    monkeypatch.setattr(fcntl, "flock", no_locks)

    with pytest.raises(PreflightFailed, match="locks-not-shared"), Locks(tmp_path).hold(["a"], "-", "-", NOW):
        pass


@pytest.mark.parametrize("names", [[], [""], ["../outside"], [".hidden"], ["a/b"], ["a\n"]])
def test_no_name_and_bad_names_are_mistakes_of_the_program(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ValueError, match="lock"), Locks(tmp_path / "locks").hold(names, "apply", "li.na", NOW):
        pass


def test_a_file_system_that_fails_at_locking_is_told_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(descriptor: int) -> bool:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("upgrader.adapters.state.locks.try_lock", fails)

    with pytest.raises(PreflightFailed) as caught, Locks(tmp_path).hold(["host-01"], "apply", "li.na", NOW):
        pass

    assert caught.value.code == "lock-not-possible"
    assert caught.value.fields == {"name": "host-01", "reason": "Input/output error"}
