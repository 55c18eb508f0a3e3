"""The journal on disk: what was written is there, what was changed is seen, and a power cut leaves no half fact."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from upgrader.adapters.state.journal_file import JournalFile
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, Locked, PreflightFailed, Refused

NOW = datetime(2026, 11, 21, 15, 0, 0, 987654, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "CHG-2026-0001" / "journal.jsonl"


def written(path: Path, facts: int = 3) -> bytes:
    """A journal with some facts in it; gives its bytes."""
    with JournalFile(path) as journal:
        journal.write(Event.CHANGE_REQUESTED, {"release": "lis 4.2.1"}, at=NOW, actor="li.na")
        journal.write(Event.PLAN_MADE, {"plan": Digest.of(b"plan")}, at=NOW, actor="li.na")
        for number in range(facts - 2):
            journal.write(Event.GATE_REFUSED, {"number": number, "says": "信息科 未签"}, at=NOW, actor="gate")
    return path.read_bytes()


def test_what_was_written_is_read_back_the_same(path: Path) -> None:
    with JournalFile(path) as journal:
        entry = journal.write(
            Event.CHANGE_REQUESTED, {"plan": Digest.of(b"x"), "hosts": ("a", "b")}, at=NOW, actor="li.na"
        )
        in_memory = journal.history()

    assert JournalFile(path).history() == in_memory
    assert entry.data == {"plan": Digest.of(b"x").hex, "hosts": ["a", "b"]}
    assert entry.at == NOW.replace(microsecond=0)
    assert in_memory.state is State.REQUESTED


def test_a_journal_that_is_not_there_is_empty_and_not_made_by_reading(path: Path) -> None:
    assert JournalFile(path).history().entries == ()
    assert not path.parent.exists()


def test_it_goes_on_where_it_stopped(path: Path) -> None:
    written(path)

    with JournalFile(path) as journal:
        entry = journal.write(Event.PLAN_MADE, {}, at=NOW, actor="li.na")

    assert entry.seq == 3
    assert JournalFile(path).history().state is State.PLANNED


def test_what_is_not_allowed_now_is_refused_and_not_written(path: Path) -> None:
    before = written(path)

    with JournalFile(path) as journal:
        with pytest.raises(Refused, match="change-not-in-state"):
            journal.write(Event.APPLY_STARTED, {}, at=NOW, actor="li.na")
        journal.write(Event.PLAN_MADE, {}, at=NOW, actor="li.na")

    assert path.read_bytes().startswith(before)
    assert len(JournalFile(path).history().entries) == 4


@pytest.mark.parametrize("line", [0, 1, 2])
def test_an_edited_line_is_found(path: Path, line: int) -> None:
    lines = written(path).splitlines(keepends=True)
    lines[line] = lines[line].replace(b'"actor":"', b'"actor":"x')
    path.write_bytes(b"".join(lines))

    if line == 2:  # the last line is chained to nothing yet: the head that people sign shows it
        assert JournalFile(path).history().head != Digest.of(lines[line].replace(b'"actor":"x', b'"actor":"'))
    else:
        with pytest.raises(Integrity, match="journal-chain-broken"):
            JournalFile(path).history()


def test_a_removed_a_doubled_and_a_respelled_line_are_found(path: Path) -> None:
    first, second, third = written(path).splitlines(keepends=True)

    for content in (second + third, first + third, first + first + second, first + second.replace(b":", b": ") + third):
        path.write_bytes(content)
        with pytest.raises(Integrity):
            JournalFile(path).history()
        with pytest.raises(Integrity), JournalFile(path) as journal:
            journal.write(Event.PLAN_MADE, {}, at=NOW, actor="li.na")
        assert path.read_bytes() == content


def test_an_order_that_cannot_be_is_found(path: Path) -> None:
    with JournalFile(path) as journal:
        journal.write(Event.CHANGE_REQUESTED, {}, at=NOW, actor="li.na")
    path.write_bytes(path.read_bytes().replace(b"change requested", b"apply started"))

    with pytest.raises(Integrity, match="journal-order-broken"):
        JournalFile(path).history()


def test_wherever_a_power_cut_tears_the_last_line_the_rest_holds(path: Path) -> None:
    whole = written(path)
    start = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(start + 1, len(whole) - 1, 7):
        path.write_bytes(whole[:cut])
        assert len(JournalFile(path).history().entries) == 2
        assert path.read_bytes() == whole[:cut], "a reader must not mend: somebody may be writing"

        with JournalFile(path) as journal:
            journal.write(Event.PLAN_MADE, {}, at=NOW, actor="li.na")

        assert journal.set_aside is not None
        assert journal.set_aside.read_bytes() == whole[start:cut]
        assert path.read_bytes().startswith(whole[:start])
        told, after = JournalFile(path).history().entries[2:]
        assert (told.event, told.data["bytes"]) == (Event.TORN_LINE_MOVED_ASIDE, cut - start)
        assert told.data["file"] == journal.set_aside.name
        assert after.event is Event.PLAN_MADE


def test_a_torn_first_line_leaves_an_empty_journal(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"actor":"li.n')

    with JournalFile(path) as journal:
        journal.write(Event.CHANGE_REQUESTED, {}, at=NOW, actor="li.na")

    assert [entry.event for entry in JournalFile(path).history().entries] == [
        Event.TORN_LINE_MOVED_ASIDE,
        Event.CHANGE_REQUESTED,
    ]


@pytest.mark.parametrize(
    "tail", [b"hello", b'{"actor":"li.na"}', b'{"seq":3', b"\0\0x", b'{"actor":"li.na","at":"x"}\0']
)
def test_what_no_power_cut_leaves_behind_is_never_cut_off(path: Path, tail: bytes) -> None:
    whole = written(path) + tail
    path.write_bytes(whole)

    with pytest.raises(Integrity, match="journal-line-damaged"), JournalFile(path) as journal:
        journal.write(Event.PLAN_MADE, {}, at=NOW, actor="li.na")

    assert path.read_bytes() == whole


def test_a_whole_last_line_that_does_not_follow_is_refused_not_cut(path: Path) -> None:
    whole = written(path)
    again = whole + whole.splitlines()[-1]
    path.write_bytes(again)

    with pytest.raises(Integrity, match="journal-chain-broken"), JournalFile(path) as journal:
        journal.write(Event.PLAN_MADE, {}, at=NOW, actor="li.na")

    assert path.read_bytes() == again


def test_a_last_line_that_only_lacks_its_line_feed_counts(path: Path) -> None:
    whole = written(path)
    path.write_bytes(whole[:-1])
    assert len(JournalFile(path).history().entries) == 3

    with JournalFile(path) as journal:
        journal.write(Event.PLAN_MADE, {}, at=NOW, actor="li.na")

    assert journal.set_aside is None
    assert path.read_bytes().startswith(whole)


def test_a_tail_of_zeros_after_a_power_cut_is_set_aside(path: Path) -> None:
    whole = written(path)
    path.write_bytes(whole + bytes(4096))

    with JournalFile(path) as journal:
        journal.write(Event.PLAN_MADE, {}, at=NOW, actor="li.na")

    assert len(JournalFile(path).history().entries) == 5


def test_a_damaged_line_before_the_last_is_never_mended(path: Path) -> None:
    whole = written(path)
    path.write_bytes(b'{"actor":"li.n\n' + whole)

    with pytest.raises(Integrity, match="journal-line-damaged"), JournalFile(path) as journal:
        journal.write(Event.PLAN_MADE, {}, at=NOW, actor="li.na")


def test_two_writers_are_one_too_many_but_readers_are_welcome(path: Path) -> None:
    with JournalFile(path) as first:
        first.write(Event.CHANGE_REQUESTED, {}, at=NOW, actor="li.na")
        second = JournalFile(path)

        assert second.history().state is State.REQUESTED
        with pytest.raises(Locked, match="journal-in-use"):
            second.write(Event.PLAN_MADE, {}, at=NOW, actor="zhang.min")

    second.write(Event.PLAN_MADE, {}, at=NOW, actor="zhang.min")
    second.close()


def test_a_file_that_changes_behind_our_back_is_noticed(path: Path) -> None:
    for change in (
        lambda: path.write_bytes(b""),
        lambda: path.open("ab").write(b"{}\n"),
        lambda: path.unlink(),
        lambda: (path.with_name("other").write_bytes(path.read_bytes()), path.with_name("other").replace(path)),
    ):
        path.unlink(missing_ok=True)
        with JournalFile(path) as journal:
            journal.write(Event.CHANGE_REQUESTED, {}, at=NOW, actor="li.na")
            change()
            with pytest.raises(Integrity, match="journal-changed"):
                journal.write(Event.PLAN_MADE, {}, at=NOW, actor="li.na")


FILL_THE_DISK = """
import resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from upgrader.adapters.state.journal_file import JournalFile
from upgrader.domain.errors import PreflightFailed
from upgrader.domain.changes.lifecycle import Event
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, now = Path(sys.argv[1]), datetime(2026, 11, 21, tzinfo=UTC)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, resource.RLIM_INFINITY))
journal = JournalFile(path)
try:
    journal.write(Event.PLAN_MADE, {"long": "x" * 500}, at=now, actor="li.na")
except PreflightFailed as error:
    print(error.code)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.write(Event.PLAN_MADE, {"long": "x" * 500}, at=now, actor="li.na")
"""


def test_a_full_disk_stops_before_the_act_and_tears_no_line(path: Path) -> None:
    """A limit on the size of a file cuts the line in its middle, as a disk that fills up does."""
    before = written(path)

    ended = subprocess.run([sys.executable, "-c", FILL_THE_DISK, str(path)], capture_output=True, check=True, text=True)

    assert ended.stdout == "journal-not-written\n"
    assert path.read_bytes().startswith(before)
    assert len(JournalFile(path).history().entries) == 4
    assert sorted(entry.name for entry in path.parent.iterdir()) == [path.name]


@pytest.mark.skipif(os.geteuid() != 0, reason="a real full disk: mounting a tmpfs needs root")
def test_a_disk_that_is_really_full_pauses_before_the_next_act_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=True)
    try:
        path, ballast = disk / "CHG-2026-0001" / "journal.jsonl", disk / "ballast"
        whole = written(path)
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        journal, acts = JournalFile(path), []

        def act() -> None:
            """Act after act, each after its entry."""
            for _ in range(1000):
                journal.write(Event.PLAN_MADE, {"long": "x" * 300}, at=NOW, actor="li.na")
                acts.append(path.read_bytes())

        with pytest.raises(PreflightFailed, match="journal-not-written"):
            act()

        before = acts[-1] if acts else whole
        assert path.read_bytes() == before
        assert len(JournalFile(path).history().of(Event.PLAN_MADE)) == len(acts) + 1

        ballast.unlink()
        with JournalFile(path) as again:
            again.write(Event.PLAN_MADE, {}, at=NOW, actor="li.na")
        assert len(JournalFile(path).history().of(Event.PLAN_MADE)) == len(acts) + 2
    finally:
        journal.close()
        subprocess.run(["umount", str(disk)], check=True)


def test_a_failed_fsync_takes_the_line_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written(path)
    journal = JournalFile(path)
    journal.write(Event.PLAN_MADE, {}, at=NOW, actor="li.na")
    after_one = path.read_bytes()

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda descriptor: os.close(-1))
        with pytest.raises(PreflightFailed, match="journal-not-written"):
            journal.write(Event.PLAN_MADE, {}, at=NOW, actor="li.na")

    assert path.read_bytes() == after_one != before
    journal.write(Event.PLAN_MADE, {}, at=NOW, actor="li.na")
    assert len(journal.history().entries) == 5


def test_thousands_of_facts_do_not_slow_down(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU time alone: the disk's own time to sync is the same for every line."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    with JournalFile(path) as journal:
        journal.write(Event.CHANGE_REQUESTED, {}, at=NOW, actor="li.na")

        def spend(facts: int) -> timedelta:
            start = time.process_time()
            for number in range(facts):
                journal.write(Event.HOST_REPORTED, {"host": f"host-{number}"}, at=NOW, actor="apply")
            return timedelta(seconds=time.process_time() - start)

        first, last = spend(1000), (spend(3000), spend(1000))[1]

    assert last < 2 * first + timedelta(milliseconds=50)


def test_a_journal_that_can_not_be_opened_says_so_before_anything_is_done(path: Path) -> None:
    path.mkdir(parents=True)

    with pytest.raises(PreflightFailed) as caught, JournalFile(path) as journal:
        journal.write(Event.CHANGE_REQUESTED, {}, at=NOW, actor="li.na")

    assert caught.value.code == "journal-not-written"
    assert caught.value.fields["reason"] == "Is a directory"
