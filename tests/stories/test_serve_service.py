"""The service as a process of its own, over real hosts: killed in the middle of a wave, ended by SIGTERM, and in time.

Nothing here waits for a time of day but one deadline: it waits for facts in the journal, and asks hosts what was done.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stories.hosts import answers, journal_on, version_on
from upgrader.adapters.state.journal_file import JournalFile
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.verdict import Verdict
from upgrader.lab.hospital import ENGINEER, INFORMATION, Hospital

pytestmark = pytest.mark.lab

BASE, GOOD = "3.1.9", "3.5.10"
PATIENCE = 240  # seconds until something that has to come is given up


def test_killed_and_ended_in_the_middle_it_ends_as_planned_and_no_host_is_touched_twice(hospital: Hospital) -> None:
    change = hospital.change_ready(GOOD, "--wave-size", "1")
    scheduled = hospital.upgrader(ENGINEER, "--json", "schedule", change).json()
    assert scheduled["by"] == ENGINEER
    assert change in hospital.upgrader(ENGINEER, "schedule").out

    with serving(hospital) as service:
        wait_for(lambda: waves(hospital, change) >= 1)
        second = hospital.upgrader(ENGINEER, "--json", "serve", "--once", check=False)
        assert (second.code, second.json()["code"]) == (11, "locked")
        children = children_of(service.pid)
        service.kill()
        service.wait(30)
        wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert history(hospital, change).state is State.APPLYING

    with serving(hospital) as service:
        wait_for(lambda: waves(hospital, change) >= 2)
        service.terminate()
        assert service.wait(PATIENCE) == 143
    stopped = history(hospital, change)
    assert all_started_waves_were_judged(stopped)

    last = hospital.upgrader(ENGINEER, "serve", "--once")
    assert "applying" not in last.out
    ended = history(hospital, change)
    assert ended.state in (State.SOAKING, State.STABLE)
    assert {version_on(hospital.lab, host) for host in hospital.lab.hosts} == {GOOD}
    assert all(answers(host) for host in hospital.lab.hosts)
    for host in hospital.lab.hosts:
        assert began(journal_on(hospital.lab, host)) == 1, host.name

    with serving(hospital) as service:  # four seconds of soak, measured without anybody
        wait_for(lambda: history(hospital, change).state is State.STABLE)
        assert "upgrader-serve" not in hospital.upgrader(ENGINEER, "status").out
        service.send_signal(signal.SIGINT)
        assert service.wait(PATIENCE) == 130
    hospital.upgrader(ENGINEER, "rollback", change, "--reason", "end of the test")


def test_what_could_not_begin_in_time_is_not_begun_late(hospital: Hospital) -> None:
    change = hospital.change_ready(GOOD)
    ordered = hospital.upgrader(ENGINEER, "--json", "schedule", change, "--expires", "+10s").json()
    wait_for(lambda: datetime.now(UTC) > datetime.fromisoformat(ordered["expires"]))
    served = hospital.upgrader(ENGINEER, "--json", "serve", "--once", check=False)

    expired = history(hospital, change)
    assert served.code == 12
    assert expired.state is State.PLANNED
    assert expired.of(Event.START_EXPIRED)
    assert not expired.of(Event.APPLY_STARTED)
    assert {version_on(hospital.lab, host) for host in hospital.lab.hosts} == {BASE}


@contextmanager
def serving(hospital: Hospital) -> Iterator[subprocess.Popen[bytes]]:
    """`upgrader serve` as nobody in particular, without anybody's signing key."""
    command = [sys.executable, "-m", "upgrader", "--site", str(hospital.clone(INFORMATION)), "--json"]
    surroundings = {**os.environ, **hospital.surroundings(), **hospital.environment}
    log = (hospital.directory / "serve.log").open("ab")
    process = subprocess.Popen(
        [*command, "serve", "--interval", "1s"], env=surroundings, stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait(30)
        log.close()


def wait_for(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.1)


def history(hospital: Hospital, change: str) -> History:
    return JournalFile(hospital.state / "changes" / change / "journal.jsonl").history()


def waves(hospital: Hospital, change: str) -> int:
    return len({entry.data["wave"] for entry in history(hospital, change).of(Event.WAVE_STARTED)})


def all_started_waves_were_judged(found: History) -> bool:
    started = {entry.data["wave"] for entry in found.of(Event.WAVE_STARTED)}
    judged = {e.data["wave"] for e in found.of(Event.WAVE_JUDGED) if e.data["verdict"] == Verdict.STABLE}
    return started == judged


def began(journal: str) -> int:
    """How many transactions began here for the new version."""
    return sum(" began " in line and f" {GOOD} " in f"{line} " for line in journal.splitlines())


def children_of(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in found.split()]
