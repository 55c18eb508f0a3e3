"""People over time, through the real command line: an emergency and what it owes, a key that is lost, a new one."""

from pathlib import Path

import pytest

from stories.friday import is_refusal
from stories.hosts import version_on
from upgrader.adapters.state.journal_file import JournalFile
from upgrader.adapters.trust.ssh_signatures import fingerprint
from upgrader.domain import plain
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION, OWNER, Answer, Hospital
from upgrader.lab.keys import ensure_key, public_text
from upgrader.lab.releases import SYSTEM

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.xdist_group("people")]

GOOD = "3.5.10"
SHORT = ("--soak", "4s", "--soak-interval", "2s")


def test_an_emergency_runs_with_one_signature_and_owes_the_others(hospital: Hospital, tmp_path: Path) -> None:
    hospital.staged(GOOD)
    change = _requested(hospital, "now → +4h")
    assert _code(_request(hospital, "now → +13h"), "window-too-long-for-kind")
    hospital.upgrader(ENGINEER, "plan", change)
    hospital.upgrader(HEAD, "sign", change, "--yes")

    applied = hospital.upgrader(ENGINEER, "--lang", "en", "apply", change)

    assert "the normal signatures are owed until" in applied.err
    assert [version_on(hospital.lab, host) for host in hospital.lab.hosts] == [GOOD] * 3
    owed = hospital.upgrader(ENGINEER, "--json", "debts").json()["debts"]
    assert [(debt["change"], debt["overdue"], debt["paid"]) for debt in owed] == [(change, False, False)]

    _let_it_be_due(hospital, change)
    hospital.upgrader(ENGINEER, "soak", change)
    hospital.upgrader(OWNER, "accept", change, "--yes")
    assert _code(_try(hospital, ENGINEER, "close", change, "--to", str(tmp_path)), "debt-unpaid")
    assert _code(_try(hospital, HEAD, "sign", change, "reject", "--yes"), "debt-takes-no-other-word")
    assert _code(_try(hospital, HEAD, "sign", change, "--person", INFORMATION, "--yes"), "debt-needs-key")

    normal = hospital.change_ready(GOOD)
    before = _callers(hospital)
    refused = _try(hospital, ENGINEER, "apply", normal)
    assert _code(refused, "debt-overdue")
    assert change in is_refusal(refused, "debt-overdue")["message"]
    assert _callers(hospital) == before, "a host was contacted"
    assert "! overdue" in _try(hospital, ENGINEER, "status").err
    assert _try(hospital, ENGINEER, "debts").code == 10

    hospital.upgrader(HEAD, "sign", change, "--yes", "--reason", "the head saw plan and run")
    assert _code(_try(hospital, ENGINEER, "apply", normal), "debt-overdue")
    hospital.upgrader(INFORMATION, "sign", change, "--yes")

    assert _try(hospital, ENGINEER, "status").err == ""
    assert hospital.upgrader(ENGINEER, "debts").code == 0
    assert hospital.upgrader(ENGINEER, "apply", normal).code == 0
    hospital.upgrader(ENGINEER, "close", change, "--to", str(tmp_path))
    bundle = str(tmp_path / f"{change}.evidence.tar")
    assert hospital.upgrader(ENGINEER, "evidence", "verify", bundle).code == 0


def test_a_new_request_in_the_place_of_an_old_one_ends_the_old_one(hospital: Hospital) -> None:
    old = hospital.change_ready(GOOD)
    asked = ("request", SYSTEM, GOOD, "--reason", "other hosts", "--window", "now → +4h", "--supersedes", old, *SHORT)

    new = _try(hospital, ENGINEER, *asked).json()["change"]

    assert hospital.upgrader(ENGINEER, "--json", "status", old).json()["state"] == "cancelled"
    assert hospital.upgrader(ENGINEER, "--json", "status", new).json()["state"] == "requested"
    assert _code(_try(hospital, ENGINEER, "apply", old), "change-not-in-state")
    other = [word.replace("other hosts", "other words") for word in asked]  # the same words would be the same request
    assert _code(_try(hospital, ENGINEER, *other), "change-not-in-state")


def test_a_lost_key_signs_nothing_and_a_new_one_does(hospital: Hospital, tmp_path: Path) -> None:
    change = hospital.change_ready(GOOD)
    root = ("--root-key", str(hospital.root_key))
    new = ensure_key(tmp_path / "new", comment="new")

    hospital.upgrader(ENGINEER, "trust", "revoke", HEAD, "--reason", "stick lost", *root)

    before = _callers(hospital)
    refused = _try(hospital, ENGINEER, "apply", change)
    assert _code(refused, "approvals-missing")
    assert "key-not-valid" in is_refusal(refused, "approvals-missing")["message"]
    assert _code(_try(hospital, HEAD, "sign", change, "--yes"), "key-not-valid")
    assert _code(_try(hospital, HEAD, "--key", str(new), "sign", change, "--yes"), "key-not-known")

    asked = hospital.upgrader(HEAD, "--key", str(new), "trust", "enrol", "--reason", "new key", "--to", str(tmp_path))
    assert fingerprint(public_text(new)) in asked.out
    (proof,) = tmp_path.glob("enrol_*.json")
    hospital.upgrader(ENGINEER, "trust", "enrol", str(proof), "--yes", "--reason", "new key", *root)
    hospital.upgrader(HEAD, "--key", str(new), "sign", change, "--yes")
    assert _callers(hospital) == before, "a host was contacted"

    assert hospital.upgrader(ENGINEER, "apply", change).code == 0

    newest = hospital.state / "trust" / "trust.3.json"
    newest.unlink()
    assert _code(_try(hospital, ENGINEER, "approvals", change), "trust-rolled-back")


def _request(hospital: Hospital, window: str) -> Answer:
    asked = ("request", SYSTEM, GOOD, "--kind", "emergency", "--reason", "nobody can book", "--window", window, *SHORT)
    return _try(hospital, ENGINEER, *asked)


def _requested(hospital: Hospital, window: str) -> str:
    change: str = _request(hospital, window).json()["change"]
    return change


def _try(hospital: Hospital, person: str, *arguments: str) -> Answer:
    return hospital.upgrader(person, "--json", "--lang", "en", *arguments, check=False)


def _code(answer: Answer, code: str) -> bool:
    is_refusal(answer, code)
    return answer.code == 10


def _callers(hospital: Hospital) -> dict[str, int]:
    """How many lines the sshd of each host wrote about those who came."""
    logs = {host.name: (host.directory / "sshd.log").read_text(encoding="utf-8") for host in hospital.lab.hosts}
    return {name: log.count("Accepted") for name, log in logs.items()}


def _let_it_be_due(hospital: Hospital, change: str) -> None:
    """Write the journal as it would stand had the debt been due by now: the clock itself can't be moved."""
    path = hospital.state / "changes" / change / "journal.jsonl"
    moved = History()
    for entry in JournalFile(path).history().entries:
        data = dict(entry.data)
        if entry.event is Event.DEBT_OPENED:
            data["due"] = plain.to_plain(entry.at)
        moved = moved.with_entry(moved.following(entry.event, data, at=entry.at, actor=entry.actor))
    path.write_bytes(b"".join(entry.to_line() for entry in moved.entries))
