"""The way back: by a person's word, after a dead controller, and when hosts do not answer."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stories.hosts import answers, appointment_on, journal_on, version_on
from upgrader.lab.hospital import ENGINEER, OWNER, Hospital
from upgrader.lab.releases import SYSTEM

pytestmark = pytest.mark.lab

BASE, GOOD = "3.1.9", "3.5.10"
PATIENCE = 240  # seconds until something that has to come is given up


def versions(hospital: Hospital) -> set[str]:
    return {version_on(hospital.lab, host) for host in hospital.lab.hosts}


def assert_served(hospital: Hospital) -> None:
    for host in hospital.lab.hosts:
        assert answers(host), host.name
        assert host.name in appointment_on(host)


def test_a_person_takes_a_change_back_during_its_soak_and_people_are_told(hospital: Hospital, tmp_path: Path) -> None:
    change = hospital.change_ready(GOOD, "--wave-size", "3")
    notify = tell_people(hospital, tmp_path)
    hospital.upgrader(ENGINEER, "apply", change)
    assert versions(hospital) == {GOOD}

    taken = hospital.upgrader(ENGINEER, "--json", "rollback", change, "--reason", "the ward can't print").json()

    assert taken["state"] == "rolled-back"
    assert taken["counts"] == {"rolled-back": 3}
    assert versions(hospital) == {BASE}
    assert_served(hospital)
    wait_for(lambda: topics(tmp_path, change) == ["begun", "soaking", "going-back", "taken-back"])
    wait_for(lambda: "4 messages did not reach dead" in hospital.upgrader(ENGINEER, "status", change).out)
    notify.unlink()
    again = hospital.upgrader(ENGINEER, "--json", "rollback", change, "--reason", "once more", check=False)
    assert again.code == 10
    assert again.json()["code"] == "change-not-in-state"


def test_a_service_that_dies_after_its_host_was_confirmed_is_found_by_the_soak_and_taken_back(
    hospital: Hospital,
) -> None:
    """What settling did not see: it ran, was healthy, was confirmed, and died later, as nobody looked."""
    change = hospital.change_ready(GOOD, "--wave-size", "3")
    hospital.upgrader(ENGINEER, "apply", change)
    ill = hospital.lab.hosts[1]
    ended = hospital.lab.run(ill, f"kill -9 $(cat '{ill.upgrader_root}/{SYSTEM}/shared/run/{SYSTEM}.pid')")
    assert ended.returncode == 0, ended.stderr

    soaked = hospital.upgrader(ENGINEER, "--json", "soak", change, check=False)
    taken = hospital.upgrader(ENGINEER, "--json", "rollback", change, "--reason", "it died", check=False)

    assert soaked.code == 33
    told = soaked.json()
    assert told["verdict"] == "unstable"
    assert {host.name for host in hospital.lab.hosts if any(host.name in reason for reason in told["reasons"])} == {
        ill.name
    }
    assert taken.json()["counts"] == {"rolled-back": 3}
    assert versions(hospital) == {BASE}
    assert_served(hospital)


def test_a_controller_that_is_killed_goes_on_where_it_was(hospital: Hospital) -> None:
    change = hospital.change_ready(GOOD, "--wave-size", "1")
    journal = hospital.state / "changes" / change / "journal.jsonl"

    stop_when(hospital, change, journal, '"event":"wave started"', times=1, by=signal.SIGTERM, code=143)
    stop_when(hospital, change, journal, '"event":"wave started"', times=3, by=signal.SIGKILL, code=-9)
    applied = hospital.upgrader(ENGINEER, "--json", "apply", change).json()

    assert applied["state"] == "soaking"
    assert applied["counts"]["upgraded"] + applied["counts"].get("unchanged", 0) == 3
    assert versions(hospital) == {GOOD}
    assert_served(hospital)
    for host in hospital.lab.hosts:
        assert journal_on(hospital.lab, host).count(f"{change}.") >= 1
    hospital.upgrader(ENGINEER, "rollback", change, "--reason", "end of the test")
    assert versions(hospital) == {BASE}


def test_a_canary_that_vanishes_stops_the_change_and_touches_nobody_else(hospital: Hospital) -> None:
    change = hospital.change_ready(GOOD)
    canary = hospital.lab.hosts[0]
    untouched = [journal_on(hospital.lab, host) for host in hospital.lab.hosts[1:]]
    hospital.lab.power_off(canary)

    applied = hospital.upgrader(ENGINEER, "--json", "apply", change, check=False)

    assert applied.code == 31  # nobody could ask the canary whether it is as it was: a person has to
    assert applied.json()["state"] == "stuck"
    assert [journal_on(hospital.lab, host) for host in hospital.lab.hosts[1:]] == untouched

    hospital.lab.power_on(canary)
    finished = hospital.upgrader(ENGINEER, "--json", "apply", change, check=False)
    assert finished.code == 30
    assert finished.json()["state"] == "rolled-back"
    assert versions(hospital) == {BASE}


def test_a_host_that_is_gone_for_good_gets_an_owner_and_the_change_comes_to_an_end(
    hospital: Hospital, tmp_path: Path
) -> None:
    change, canary = hospital.change_ready(GOOD), hospital.lab.hosts[0]
    hospital.lab.power_off(canary)
    assert hospital.upgrader(ENGINEER, "apply", change, check=False).code == 31
    refused = hospital.upgrader(OWNER, "--json", "accept", change, "--yes", check=False)
    assert refused.json()["code"] == "change-not-in-state"

    who = ("--owner", OWNER, "--due", "+14d", "--reason", "its disk burnt, a new one is on order")
    excepted = hospital.upgrader(ENGINEER, "--json", "exception", "add", change, canary.name, *who).json()
    assert excepted["state"] == "rolled-back-in-part"
    (pending,) = hospital.upgrader(ENGINEER, "--json", "pending").json()["pending"]
    assert (pending["host"], pending["exception"]["owner"], pending["overdue"]) == (canary.name, OWNER, False)
    assert hospital.upgrader(ENGINEER, "close", change, "--to", str(tmp_path), check=False).code == 10

    hospital.upgrader(OWNER, "accept", change, "--yes")
    closed = hospital.upgrader(ENGINEER, "--json", "close", change, "--to", str(tmp_path)).json()
    assert closed["ending"] == "rolled-back-in-part"
    assert hospital.upgrader(ENGINEER, "evidence", "verify", closed["bundle"]).code == 0

    hospital.lab.power_on(canary)
    hospital.upgrader(ENGINEER, "exception", "settle", change, canary.name, "--reason", "new disk, set up again")
    assert hospital.upgrader(ENGINEER, "--json", "pending").json()["pending"] == []
    again = hospital.upgrader(ENGINEER, "--json", "close", change, "--to", str(tmp_path / "again")).json()
    assert Path(again["bundle"]).read_bytes() == Path(closed["bundle"]).read_bytes()
    assert versions(hospital) == {BASE}


def tell_people(hospital: Hospital, folder: Path) -> Path:
    """A notify.yml with a gateway that works, and one that never answers."""
    (folder / "send").write_text(f"#!/bin/sh\ncat >>{folder}/sent\n", encoding="utf-8")
    (folder / "hang").write_text("#!/bin/sh\nsleep 600\n", encoding="utf-8")
    for program in ("send", "hang"):
        (folder / program).chmod(0o755)
    notify = hospital.state / "notify.yml"
    notify.write_text(
        f"""\
notifiers:
  - {{name: duty, by: command, run: [{folder}/send], per_minute: 600}}
  - {{name: dead, by: command, run: [{folder}/hang], per_minute: 600, timeout: 1s}}
""",
        encoding="utf-8",
    )
    notify.chmod(0o644)
    return notify


def topics(folder: Path, change: str) -> list[str]:
    sent = folder / "sent"
    lines = sent.read_text(encoding="utf-8").splitlines() if sent.exists() else []
    messages = [json.loads(line) for line in lines]
    return [message["topic"] for message in messages if message["change"] == change]


def wait_for(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.2)


def stop_when(
    hospital: Hospital, change: str, journal: Path, text: str, *, times: int, by: signal.Signals, code: int
) -> None:
    """Apply, and stop the controller as soon as its journal holds `text` so often; it ends with `code`.

    SIGTERM goes to the controller alone, which has to stop what it started; SIGKILL to everything that it started.
    """
    who = ["--site", str(hospital.clone(ENGINEER)), "--as", ENGINEER, "--key", str(hospital.people_keys[ENGINEER])]
    process = subprocess.Popen(
        [sys.executable, "-m", "upgrader", *who, "apply", change],
        env={**os.environ, **hospital.surroundings()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while journal.read_text(encoding="utf-8").count(text) < times:
        assert process.poll() is None, "the change was over before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if by is signal.SIGKILL:
        os.killpg(process.pid, by)
    else:
        process.send_signal(by)
    assert process.wait(timeout=60) == code
