"""Brakes through the real command line: one process applies, another one pauses, stops and aborts."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stories.hosts import version_on
from upgrader.lab.hospital import ENGINEER, HEAD, Hospital

pytestmark = pytest.mark.lab

BASE, GOOD = "3.1.9", "3.5.10"
PATIENCE = 120  # seconds; how long an event of another process may take before the story gives up


def test_a_running_change_is_paused_stopped_resumed_and_aborted_from_another_process(hospital: Hospital) -> None:
    change = hospital.change_ready(GOOD, "--canaries", "1", "--wave-size", "1", "--soak-interval", "1s")
    journal = hospital.state / "changes" / change / "journal.jsonl"

    with applying(hospital, change) as process:
        wait_for(journal, '"event":"wave judged"')
        hospital.upgrader(HEAD, "pause", change, "--reason", "emergency admission")
        wait_for(journal, '"event":"measured while paused"', times=2)
        done = versions(hospital)
        wait_for(journal, '"event":"measured while paused"', times=4)
        assert versions(hospital) == done
        assert GOOD in done
        assert BASE in done
        assert "emergency admission" in hospital.upgrader(ENGINEER, "--lang", "en", "status", change).out
        hospital.upgrader(HEAD, "stop", "--all", "--reason", "HIS is down")
        assert process.wait(PATIENCE) == 10
    refused = hospital.upgrader(ENGINEER, "--json", "apply", change, check=False)
    assert (refused.code, refused.json()["code"]) == (10, "all-stopped")
    hospital.upgrader(HEAD, "stop", "--lift", "--reason", "it was the storage")

    measured = journal.read_text(encoding="utf-8").count('"event":"measured while paused"')
    with applying(hospital, change) as process:
        wait_for(journal, '"event":"measured while paused"', times=measured + 1)
        hospital.upgrader(HEAD, "resume", change, "--reason", "all clear")
        assert process.wait(PATIENCE) == 0
    assert set(versions(hospital)) == {GOOD}

    aborted = hospital.upgrader(HEAD, "--json", "abort", change, "--reason", "enough for tonight", check=False)
    assert (aborted.code, aborted.json()["state"]) == (30, "rolled-back")
    assert set(versions(hospital)) == {BASE}


@contextmanager
def applying(hospital: Hospital, change: str) -> "Iterator[subprocess.Popen[bytes]]":
    """A process that applies; it ends with the story, whatever that found."""
    who = ["--site", str(hospital.clone(ENGINEER)), "--as", ENGINEER, "--key", str(hospital.people_keys[ENGINEER])]
    process = subprocess.Popen(
        [sys.executable, "-m", "upgrader", *who, "apply", change],
        env={**os.environ, **hospital.surroundings()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def wait_for(journal: Path, mark: str, times: int = 1) -> None:
    deadline = time.monotonic() + PATIENCE
    while journal.read_text(encoding="utf-8").count(mark) < times:
        assert time.monotonic() < deadline, f"no {mark}"
        time.sleep(0.1)


def versions(hospital: Hospital) -> list[str]:
    return [version_on(hospital.lab, host) for host in hospital.lab.hosts]
