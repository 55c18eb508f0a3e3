"""The gate through the real command line: one fault each, and no host is contacted.

Everything begins as it stood on Friday evening; each row breaks one thing, and somebody honest types `upgrader apply`.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stories.attacker import Attacker
from stories.attacks import branch, known_bad, paper, records, state
from stories.attacks.row import Row
from stories.attacks.vendor import DROPS
from stories.drops import DropToBe, flipped
from stories.friday import HEAD_ROLE, INFORMATION_ROLE, RELEASE, Friday, is_refusal
from stories.hosts import answers, appointment_on, journal_on, version_on
from upgrader.adapters.state.locks import Locks
from upgrader.domain.changes.lifecycle import Event
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION, TESTER, Hospital
from upgrader.lab.releases import SYSTEM

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.xdist_group("gate")]

REFUSED = (*records.REFUSED, *paper.REFUSED, *branch.REFUSED, *state.REFUSED, *known_bad.REFUSED)


@pytest.fixture(scope="module")
def friday_evening(hospital: Hospital) -> Friday:
    return Friday.of(hospital)


@pytest.fixture
def friday(friday_evening: Friday) -> Iterator[Friday]:
    """Friday evening once more; after the story, whatever it was, no host was spoken to."""
    friday_evening.come_back()
    before = friday_evening.callers
    yield friday_evening
    assert friday_evening.callers == before, "a host was contacted"


@pytest.fixture
def attacker(friday: Friday, tmp_path: Path) -> Attacker:
    return Attacker.of(friday.hospital, tmp_path)


@pytest.mark.parametrize("row", REFUSED, ids=[row.attack.__name__ for row in REFUSED])
def test_apply_is_refused_when(row: Row, friday: Friday, attacker: Attacker) -> None:
    change = row.attack(friday, attacker)

    answer = friday.apply(change)

    assert answer.code == row.exit_code
    assert row.names in is_refusal(answer, row.code)["message"]
    _is_written_down(friday, change, row.code)


def test_a_damaged_build_is_named_before_any_host_hears_of_it(friday: Friday) -> None:
    (build,) = (path for path in friday.builds if path.stat().st_size > 100_000)
    build.chmod(0o644)
    build.write_bytes(flipped(build.read_bytes()))

    answer = friday.apply(friday.ready)

    assert answer.code == 13
    assert str(build) in is_refusal(answer, "build-damaged")["message"]
    _is_written_down(friday, friday.ready, "build-damaged")


def test_a_missing_build_is_named(friday: Friday) -> None:
    for build in friday.builds:
        build.unlink()

    answer = friday.apply(friday.ready)

    assert answer.code == 13
    is_refusal(answer, "build-missing")
    _is_written_down(friday, friday.ready, "build-missing")


def test_the_window_is_not_yet_open(friday: Friday) -> None:
    answer = friday.apply(friday.later)

    assert answer.code == 12
    is_refusal(answer, "window-not-open")
    _is_written_down(friday, friday.later, "window-not-open")


def test_the_window_is_over(friday: Friday, attacker: Attacker) -> None:
    _wait_until_over(friday, attacker)

    answer = friday.apply(friday.over)

    assert answer.code == 12
    is_refusal(answer, "window-not-open")
    _is_written_down(friday, friday.over, "window-not-open")


@pytest.mark.parametrize("held", ["change", "host"])
def test_the_second_apply_is_told_who_holds_what_since_when(held: str, friday: Friday) -> None:
    name = f"change-{friday.ready}" if held == "change" else "host-exam-02"
    since = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
    with Locks(friday.hospital.state / "locks").hold([name], "apply CHG-2026-0142", "sun.wu", since):
        answer = friday.apply(friday.ready)

    assert answer.code == 11
    told = is_refusal(answer, "locked")["message"]
    assert all(word in told for word in (name, "sun.wu", "apply CHG-2026-0142", "2026-11-20T15:00:00Z"))
    assert not friday.history(friday.ready).of(Event.APPLY_STARTED)


def test_a_withdrawn_rejection_frees_the_change(friday: Friday) -> None:
    friday.hospital.upgrader(HEAD, "sign", friday.ready, "reject", "--reason", "not in this week", "--yes")
    assert friday.upgrader(ENGINEER, "approvals", friday.ready).json()["rejected_by"] == [HEAD]

    friday.hospital.upgrader(HEAD, "sign", friday.ready, "withdraw", "--reason", "talked about it", "--yes")
    time.sleep(1)  # records count whole seconds
    friday.hospital.upgrader(HEAD, "sign", friday.ready, "approve", "--yes")

    answer = friday.upgrader(ENGINEER, "approvals", friday.ready)
    assert answer.code == 0
    assert answer.json()["may_run"]


def test_a_blocked_release_is_refused_by_every_verb_and_used_again_once_others_lift_it(friday: Friday) -> None:
    known_bad, why = ("known-bad", "add", SYSTEM, RELEASE), ("--reason", "alarms come twice")
    assert friday.upgrader(ENGINEER, *known_bad, *why).code == 0
    window = ("--window", "now → +4h")
    is_refusal(friday.upgrader(ENGINEER, "request", SYSTEM, RELEASE, *window, *why), "known-bad")
    for verb in ("plan", "prestage", "export"):
        words = (friday.ready, *((str(friday.hospital.directory / "out"),) if verb == "export" else ()))
        is_refusal(friday.upgrader(ENGINEER, verb, *words), "known-bad")
    unblock = ("known-bad", "unblock", SYSTEM, RELEASE, "--reason", "it was the gateway")
    is_refusal(friday.upgrader(ENGINEER, *unblock), "own-block")
    is_refusal(friday.upgrader(INFORMATION, *unblock), "role-not-held")

    lifted = friday.upgrader(HEAD, *unblock).json()

    assert [(one["lifted"], one["lifted_by"]) for one in lifted["known_bad"]] == [(True, [HEAD])]
    assert friday.upgrader(ENGINEER, "request", SYSTEM, RELEASE, *window, *why).code == 0


def test_nobody_withdraws_the_word_of_another(friday: Friday, attacker: Attacker) -> None:
    friday.hospital.upgrader(HEAD, "sign", friday.ready, "reject", "--reason", "not in this week", "--yes")

    friday.hospital.upgrader(INFORMATION, "sign", friday.ready, "withdraw", "--reason", "no reason", "--yes")

    is_refusal(friday.apply(friday.ready), "plan-rejected")


# What the command line itself refuses to sign


@pytest.mark.parametrize(
    ("person", "words", "code"),
    [
        (INFORMATION, (), "requester-signed"),
        (TESTER, (), "role-not-held"),
        (TESTER, ("--role", HEAD_ROLE), "role-not-held"),
        (HEAD, ("--role", INFORMATION_ROLE), "role-not-held"),
    ],
    ids=["the requester", "nobody with a role here", "a role of others", "another role than ones own"],
)
def test_a_signature_that_could_never_count_is_not_given(
    person: str, words: tuple[str, ...], code: str, friday: Friday
) -> None:
    before = friday.tip

    answer = friday.upgrader(person, "sign", friday.unsigned, *words, "--yes")

    assert answer.code == 10
    is_refusal(answer, code)
    assert friday.tip == before


def test_a_key_that_is_not_ones_own_signs_nothing(friday: Friday, attacker: Attacker) -> None:
    before = friday.tip

    answer = friday.upgrader(HEAD, "--key", str(attacker.key), "sign", friday.unsigned, "--yes")

    assert answer.code == 10
    is_refusal(answer, "key-not-known")
    assert friday.tip == before


def test_a_stranger_signs_nothing(friday: Friday, attacker: Attacker) -> None:
    before = friday.tip
    stranger = ("--as", "sun.wu", "--key", str(attacker.key))

    answer = friday.upgrader(HEAD, *stranger, "sign", friday.unsigned, "--role", HEAD_ROLE, "--yes")

    assert answer.code == 10
    is_refusal(answer, "role-not-held")
    assert friday.tip == before


def test_a_window_that_is_over_is_not_signed_for(friday: Friday, attacker: Attacker) -> None:
    _wait_until_over(friday, attacker)

    answer = friday.upgrader(HEAD, "sign", friday.over, "--yes")

    assert answer.code == 10
    is_refusal(answer, "approval-expired")


# Code of the attacker's that Ansible would run by itself


def test_nothing_that_was_pushed_runs_before_the_gate_has_answered(
    friday: Friday, attacker: Attacker, tmp_path: Path
) -> None:
    """Ansible reads the inventory for the gate. Its plugins are programs; those of an unapproved tree must not run."""
    ran = tmp_path / "ran"
    plugin = f"from pathlib import Path\nPath({str(ran)!r}).touch()\n"
    for kind in ("inventory", "vars", "callback"):
        attacker.path(f"roles/{kind}_plugins/evil.py").write_text(plugin, encoding="utf-8")
    named = "\n".join(f"{kind}_plugins = roles/{kind}_plugins" for kind in ("inventory", "vars", "callback"))
    attacker.replace("ansible.cfg", "[defaults]", f"[defaults]\n{named}\nvars_plugins_enabled = evil, host_group_vars")
    attacker.replace("ansible.cfg", "enable_plugins = yaml, ini", "enable_plugins = evil, yaml, ini")
    attacker.push()

    for command in (("approvals", friday.ready), ("apply", friday.ready)):
        is_refusal(friday.upgrader(ENGINEER, *command), "plan-not-of-its-parts")

    assert not ran.exists()


# What a vendor brings


@pytest.mark.parametrize(("fault", "exit_code", "code", "names"), DROPS, ids=[row[0].__name__ for row in DROPS])
def test_a_drop_is_not_staged_when(
    fault: Callable[[DropToBe], None], exit_code: int, code: str, names: str, friday: Friday, tmp_path: Path
) -> None:
    drop = DropToBe.copy_of(friday.hospital.drop, RELEASE, tmp_path)
    fault(drop)
    tip, builds = friday.tip, friday.builds

    answer = friday.upgrader(ENGINEER, "stage", str(drop.folder))

    assert answer.code == exit_code
    assert names in is_refusal(answer, code)["message"]
    assert (friday.tip, friday.builds) == (tip, builds)
    assert friday.hospital.git(ENGINEER, "status", "--porcelain").out == ""


def test_the_same_drop_twice_changes_nothing(friday: Friday) -> None:
    tip, builds = friday.tip, friday.builds

    answer = friday.upgrader(ENGINEER, "stage", str(friday.hospital.drop.release(RELEASE)))

    assert (answer.code, answer.json()["was_there"]) == (0, True)
    assert (friday.tip, friday.builds) == (tip, builds)


# After all of this: the hosts, asked themselves


def test_every_host_is_as_it_was(friday_evening: Friday) -> None:
    lab = friday_evening.hospital.lab
    for host in lab.hosts:
        assert version_on(lab, host) == "3.1.9"
        assert appointment_on(host).endswith(host.name)
        assert answers(host)
        assert RELEASE not in journal_on(lab, host)


def _is_written_down(friday: Friday, change: str, code: str) -> None:
    history = friday.history(change)
    refused = history.last(Event.GATE_REFUSED)
    assert refused is not None
    assert (refused.data["code"], refused.actor) == (code, ENGINEER)
    assert not history.of(Event.APPLY_STARTED)
    assert not history.of(Event.WAVE_STARTED)


def _wait_until_over(friday: Friday, attacker: Attacker) -> None:
    left = attacker.plan(friday.over).window.closes - datetime.now(UTC)
    time.sleep(max(0.0, left.total_seconds() + 0.1))
