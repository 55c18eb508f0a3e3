"""The gate through the real command line: one fault each, and no host is contacted.

Everything begins as it stood on Friday evening; each row breaks one thing, and somebody honest types `upgrader apply`.
"""

import hashlib
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stories.attacker import Attacker, approval, signature_of
from stories.drops import DropToBe, flipped, link, plain_file
from stories.friday import RELEASE, Friday, is_refusal
from stories.hosts import answers, appointment_on, journal_on, version_on
from upgrader.adapters.locks import Locks
from upgrader.domain.lifecycle import Event
from upgrader.domain.record import Namespace, write_record
from upgrader.lab.drop import SUMS
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION, TESTER, Hospital
from upgrader.lab.keys import ensure_key
from upgrader.lab.releases import SYSTEM, VENDOR

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.xdist_group("gate")]

HEAD_ROLE, INFORMATION_ROLE = "department-head", "information-department"
MANIFEST = f"releases/{SYSTEM}/{RELEASE}/release.yml"
ARCHIVE = f"{SYSTEM}-{RELEASE}.tar.gz"


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


# Who signed, and what their signature covers

Attack = Callable[[Friday, Attacker], str]


def nobody_signed(friday: Friday, attacker: Attacker) -> str:
    return friday.unsigned


def one_signature_is_short(friday: Friday, attacker: Attacker) -> str:
    friday.hospital.upgrader(HEAD, "sign", friday.unsigned, "--yes")
    return friday.unsigned


def the_requester_signs_as_approver(friday: Friday, attacker: Attacker) -> str:
    keys = friday.hospital.people_keys
    attacker.forge(friday.unsigned, HEAD, HEAD_ROLE, keys[HEAD])
    attacker.forge(friday.unsigned, INFORMATION, INFORMATION_ROLE, keys[INFORMATION])
    attacker.push()
    return friday.unsigned


def one_person_signs_twice(friday: Friday, attacker: Attacker) -> str:
    for _ in range(2):
        attacker.forge(friday.unsigned, HEAD, HEAD_ROLE, friday.hospital.people_keys[HEAD])
    attacker.push()
    return friday.unsigned


def a_stranger_signs(friday: Friday, attacker: Attacker) -> str:
    attacker.forge(friday.unsigned, "sun.wu", INFORMATION_ROLE, attacker.key)
    attacker.forge(friday.unsigned, "zhu.bajie", HEAD_ROLE, attacker.key)
    attacker.push()
    return friday.unsigned


def a_stranger_signs_in_anothers_name(friday: Friday, attacker: Attacker) -> str:
    attacker.forge(friday.unsigned, HEAD, HEAD_ROLE, attacker.key)
    attacker.push()
    return friday.unsigned


def the_signer_does_not_hold_the_role(friday: Friday, attacker: Attacker) -> str:
    attacker.forge(friday.unsigned, TESTER, HEAD_ROLE, friday.hospital.people_keys[TESTER])
    attacker.push()
    return friday.unsigned


def an_approval_is_copied_from_another_change(friday: Friday, attacker: Attacker) -> str:
    for record in attacker.records(friday.ready):
        for file in (record, record.with_name(f"{record.name}.sig")):
            shutil.copy(file, attacker.path(f"approvals/{friday.unsigned}/{file.name}"))
    attacker.push()
    return friday.unsigned


def a_record_is_edited_by_one_byte(friday: Friday, attacker: Attacker) -> str:
    attacker.records(friday.ready)[0].write_bytes(flipped(attacker.records(friday.ready)[0].read_bytes()))
    attacker.push()
    return friday.ready


def a_record_came_with_one_byte_edited(friday: Friday, attacker: Attacker) -> str:
    record = approval(attacker.plan(friday.unsigned), HEAD, HEAD_ROLE, reason="seen on paper: no")
    signature = signature_of(write_record(record), friday.hospital.people_keys[HEAD])
    attacker.put(record, write_record(record).replace(b"paper: no", b"paper: ok"), signature)
    attacker.push()
    return friday.unsigned


def a_record_tells_other_facts_than_the_plan(friday: Friday, attacker: Attacker) -> str:
    attacker.forge(friday.unsigned, HEAD, HEAD_ROLE, friday.hospital.people_keys[HEAD], hosts="1")
    attacker.push()
    return friday.unsigned


def the_signature_is_of_another_file(friday: Friday, attacker: Attacker) -> str:
    record = approval(attacker.plan(friday.unsigned), HEAD, HEAD_ROLE)
    of_another = attacker.records(friday.ready)[0]
    assert HEAD in of_another.name
    attacker.put(record, write_record(record), of_another.with_name(f"{of_another.name}.sig").read_bytes())
    attacker.push()
    return friday.unsigned


def the_signature_was_made_for_something_else(friday: Friday, attacker: Attacker) -> str:
    record = approval(attacker.plan(friday.unsigned), HEAD, HEAD_ROLE)
    content = write_record(record)
    meant_for_tests = signature_of(content, friday.hospital.people_keys[HEAD], Namespace.TEST_RECORD)
    attacker.put(record, content, meant_for_tests)
    attacker.push()
    return friday.unsigned


def a_record_has_no_signature(friday: Friday, attacker: Attacker) -> str:
    record = approval(attacker.plan(friday.unsigned), HEAD, HEAD_ROLE)
    attacker.put(record, write_record(record), b"")
    attacker.push()
    return friday.unsigned


def an_unknown_file_lies_beside_the_approvals(friday: Friday, attacker: Attacker) -> str:
    attacker.path(f"approvals/{friday.ready}/approve_everything.json").write_text("{}\n")
    attacker.push()
    return friday.ready


def a_rejection_is_deleted_in_a_later_commit(friday: Friday, attacker: Attacker) -> str:
    friday.hospital.upgrader(HEAD, "sign", friday.ready, "reject", "--reason", "not in this week", "--yes")
    attacker.git("pull", "--quiet")
    for file in (attacker.clone / "approvals" / friday.ready).glob("reject_*"):
        file.unlink()
    attacker.push()
    return friday.ready


def the_branch_is_rewritten(friday: Friday, attacker: Attacker) -> str:
    friday.hospital.upgrader(HEAD, "sign", friday.ready, "reject", "--reason", "not in this week", "--yes")
    assert friday.upgrader(ENGINEER, "approvals", friday.ready).code == 10
    attacker.push("--force")  # from where the attacker stands, the rejection never was
    return friday.ready


def somebody_rejected(friday: Friday, attacker: Attacker) -> str:
    friday.hospital.upgrader(HEAD, "sign", friday.ready, "reject", "--reason", "not in this week", "--yes")
    return friday.ready


def somebody_withdrew(friday: Friday, attacker: Attacker) -> str:
    friday.hospital.upgrader(HEAD, "sign", friday.ready, "withdraw", "--reason", "not in this week", "--yes")
    return friday.ready


# What the signatures cover, changed after they were given


def the_plan_is_edited(friday: Friday, attacker: Attacker) -> str:
    attacker.replace(f"approvals/{friday.ready}/plan.json", '"failed_in_all": 0', '"failed_in_all": 9')
    attacker.push()
    return friday.ready


def the_plan_is_edited_by_a_sloppy_hand(friday: Friday, attacker: Attacker) -> str:
    attacker.replace(f"approvals/{friday.ready}/plan.json", '"runs": 1', '"runs":  1')
    attacker.push()
    return friday.ready


def the_plan_is_made_anew(friday: Friday, attacker: Attacker) -> str:
    """As `upgrader plan` would: a new revision, right in all its parts, and the signatures are under the old one."""
    attacker.replace(f"approvals/{friday.ready}/plan.json", '"revision": 1', '"revision": 2')
    attacker.push()
    return friday.ready


def the_request_is_changed(friday: Friday, attacker: Attacker) -> str:
    attacker.replace(f"approvals/{friday.ready}/request.yml", "size: 25", "size: 99")
    attacker.push()
    return friday.ready


def a_playbook_is_changed(friday: Friday, attacker: Attacker) -> str:
    one_more = "\n- name: One more\n  hosts: all\n  tasks: [{ansible.builtin.command: touch /tmp/owned}]\n"
    with attacker.path("playbooks/upgrade.yml").open("a", encoding="utf-8") as playbook:
        playbook.write(one_more)
    attacker.push()
    return friday.ready


def a_host_is_added_to_the_inventory(friday: Friday, attacker: Attacker) -> str:
    hosts, known_hosts = "inventory/hosts.yml", "inventory/known_hosts"
    text = attacker.path(hosts).read_text(encoding="utf-8")
    one_more = text[text.index("            exam-03:") :].replace("exam-03", "exam-04").replace(".13", ".14")
    attacker.path(hosts).write_text(text + one_more, encoding="utf-8")
    keys = attacker.path(known_hosts).read_text(encoding="utf-8")
    attacker.path(known_hosts).write_text(keys + keys.splitlines()[-1].replace(".13", ".14") + "\n", encoding="utf-8")
    attacker.push()
    return friday.ready


def a_host_key_is_exchanged(friday: Friday, attacker: Attacker) -> str:
    theirs = attacker.key.with_name("key.pub").read_text(encoding="ascii").split()[1]
    keys = attacker.path("inventory/known_hosts").read_text(encoding="utf-8").splitlines()
    keys[0] = keys[0].rsplit(" ", 1)[0] + f" {theirs}"
    attacker.path("inventory/known_hosts").write_text("\n".join(keys) + "\n", encoding="utf-8")
    attacker.push()
    return friday.ready


def the_release_is_changed_after_staging(friday: Friday, attacker: Attacker) -> str:
    attacker.replace(MANIFEST, "failed_in_all: 0", "failed_in_all: 9")
    attacker.push()
    return friday.ready


def the_release_and_its_checksums_are_changed(friday: Friday, attacker: Attacker) -> str:
    sums = f"releases/{SYSTEM}/{RELEASE}/{SUMS}"
    before = _sha256(attacker.path(MANIFEST))
    attacker.replace(MANIFEST, "failed_in_all: 0", "failed_in_all: 9")
    attacker.replace(sums, before, _sha256(attacker.path(MANIFEST)))
    attacker.push()
    return friday.ready


def a_test_record_is_removed(friday: Friday, attacker: Attacker) -> str:
    for file in attacker.path(MANIFEST).parent.glob("site-test_*"):
        file.unlink()
    attacker.push()
    return friday.ready


def a_link_leads_out_of_the_repository(friday: Friday, attacker: Attacker) -> str:
    attacker.path("playbooks/vars").symlink_to("/etc")
    attacker.push()
    return friday.ready


# The controller's own state


def the_trust_file_is_missing(friday: Friday, attacker: Attacker) -> str:
    shutil.rmtree(friday.hospital.state / "trust")
    return friday.ready


def the_trust_file_is_writable_by_others(friday: Friday, attacker: Attacker) -> str:
    (friday.hospital.state / "trust" / "trust.1.json").chmod(0o666)
    return friday.ready


def the_trust_file_is_edited(friday: Friday, attacker: Attacker) -> str:
    trust = friday.hospital.state / "trust" / "trust.1.json"
    text = trust.read_text(encoding="utf-8")
    trust.write_text(text.replace('"approval_hours": 336', '"approval_hours": 335'), encoding="utf-8")
    return friday.ready


REFUSED: list[tuple[Attack, str, str]] = [
    (nobody_signed, "approvals-missing", f"{INFORMATION_ROLE} 1, {HEAD_ROLE} 1"),
    (one_signature_is_short, "approvals-missing", f"{INFORMATION_ROLE} 1"),
    (the_requester_signs_as_approver, "approvals-missing", "requester-signed"),
    (one_person_signs_twice, "approvals-missing", f"{INFORMATION_ROLE} 1"),
    (a_stranger_signs, "approvals-missing", "person-not-active"),
    (a_stranger_signs_in_anothers_name, "key-not-known", HEAD),
    (the_signer_does_not_hold_the_role, "approvals-missing", "role-not-held"),
    (an_approval_is_copied_from_another_change, "record-elsewhere", ""),
    (a_record_is_edited_by_one_byte, "record-removed", "approve_"),
    (a_record_came_with_one_byte_edited, "signature-invalid", HEAD),
    (a_record_tells_other_facts_than_the_plan, "facts-differ", HEAD),
    (the_signature_is_of_another_file, "signature-invalid", HEAD),
    (the_signature_was_made_for_something_else, "signature-invalid", "test-record"),
    (a_record_has_no_signature, "signature-missing", HEAD),
    (an_unknown_file_lies_beside_the_approvals, "file-not-known", "approve_everything.json"),
    (a_rejection_is_deleted_in_a_later_commit, "record-removed", "reject_"),
    (the_branch_is_rewritten, "branch-rewritten", "main"),
    (somebody_rejected, "plan-rejected", HEAD),
    (somebody_withdrew, "approvals-missing", "approval-withdrawn"),
    (the_plan_is_edited, "plan-not-of-its-parts", "thresholds"),
    (the_plan_is_edited_by_a_sloppy_hand, "record-not-canonical", "plan.json"),
    (the_plan_is_made_anew, "approvals-missing", "plan-digest"),
    (the_request_is_changed, "plan-not-of-its-parts", "request"),
    (a_playbook_is_changed, "plan-not-of-its-parts", "playbooks"),
    (a_host_is_added_to_the_inventory, "plan-not-of-its-parts", "playbooks"),
    (a_host_key_is_exchanged, "plan-not-of-its-parts", "playbooks"),
    (the_release_is_changed_after_staging, "manifest-not-signed", "release.yml"),
    (the_release_and_its_checksums_are_changed, "signature-invalid", SUMS),
    (a_test_record_is_removed, "plan-not-of-its-parts", "tests"),
    (a_link_leads_out_of_the_repository, "git-mode", "playbooks/vars"),
    (the_trust_file_is_missing, "trust-missing", "trust"),
    (the_trust_file_is_writable_by_others, "trust-file-mode", "0666"),
    (the_trust_file_is_edited, "signature-invalid", "trust.1.json"),
]


@pytest.mark.parametrize(("attack", "code", "names"), REFUSED, ids=[attack.__name__ for attack, _, _ in REFUSED])
def test_apply_is_refused_when(attack: Attack, code: str, names: str, friday: Friday, attacker: Attacker) -> None:
    change = attack(friday, attacker)

    answer = friday.apply(change)

    assert answer.code == 10
    assert names in is_refusal(answer, code)["message"]
    _is_written_down(friday, change, code)


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


def the_same_version_has_other_bytes(drop: DropToBe) -> None:
    drop.write_notes("the same version, mended in silence\n")
    drop.sign()


def a_file_is_not_listed(drop: DropToBe) -> None:
    (drop.folder / "setup.exe").write_bytes(b"MZ")


def a_file_is_missing(drop: DropToBe) -> None:
    drop.notes.unlink()


def one_byte_of_the_build_is_flipped(drop: DropToBe) -> None:
    drop.archive.write_bytes(flipped(drop.archive.read_bytes()))


def the_list_was_made_anew_but_not_signed(drop: DropToBe) -> None:
    drop.write_notes("somebody else wrote this\n")
    drop.list()


def somebody_else_signed(drop: DropToBe) -> None:
    drop.sign(ensure_key(drop.folder.parent / "other", comment="other"))


def it_was_signed_for_something_else(drop: DropToBe) -> None:
    drop.sign(namespace=Namespace.APPROVAL)


def there_is_no_signature(drop: DropToBe) -> None:
    (drop.folder / f"{SUMS}.sig").unlink()


def it_is_a_system_of_others(drop: DropToBe) -> None:
    drop.replace("system: exam-scheduling", "system: blood-transfusion")
    drop.sign()


def nobody_knows_the_vendor(drop: DropToBe) -> None:
    drop.replace("vendor: lanxin-health", "vendor: hongyun-health")
    drop.sign()


def it_says_something_to_ansible(drop: DropToBe) -> None:
    drop.replace("command: bin/health", "command: \"bin/{{ lookup('pipe', 'id') }}\"")
    drop.sign()


def its_archive_holds_a_link(drop: DropToBe) -> None:
    drop.pack("9.9.9", link("etc/passwd", to="/etc/passwd"))


def its_archive_holds_a_hard_link(drop: DropToBe) -> None:
    drop.pack("9.9.9", link("etc/passwd", to="../../etc/passwd", kind=tarfile.LNKTYPE))


def its_archive_names_an_absolute_path(drop: DropToBe) -> None:
    drop.pack("9.9.9", plain_file("/etc/cron.d/exam-scheduling"))


def its_archive_climbs_out(drop: DropToBe) -> None:
    drop.pack("9.9.9", plain_file("lib/../../../etc/cron.d/exam-scheduling"))


def its_archive_holds_a_device(drop: DropToBe) -> None:
    drop.pack("9.9.9", link("disk", to="", kind=tarfile.BLKTYPE))


DROPS: list[tuple[Callable[[DropToBe], None], int, str, str]] = [
    (the_same_version_has_other_bytes, 10, "version-reused", RELEASE),
    (a_file_is_not_listed, 10, "drop-file-unlisted", "setup.exe"),
    (a_file_is_missing, 10, "drop-file-absent", "RELEASE-NOTES.md"),
    (one_byte_of_the_build_is_flipped, 13, "drop-digest-differs", ARCHIVE),
    (the_list_was_made_anew_but_not_signed, 10, "signature-invalid", SUMS),
    (somebody_else_signed, 10, "key-not-known", VENDOR),
    (it_was_signed_for_something_else, 10, "signature-invalid", "approval@upgrader.v1"),
    (there_is_no_signature, 10, "drop-paper-missing", f"{SUMS}.sig"),
    (it_is_a_system_of_others, 10, "vendor-not-for-system", "blood-transfusion"),
    (nobody_knows_the_vendor, 10, "vendor-unknown", "hongyun-health"),
    (it_says_something_to_ansible, 2, "document-invalid", "release.yml:"),
    (its_archive_holds_a_link, 10, "archive-link", "etc/passwd"),
    (its_archive_holds_a_hard_link, 10, "archive-link", "etc/passwd"),
    (its_archive_names_an_absolute_path, 10, "archive-name-outside", "/etc/cron.d/exam-scheduling"),
    (its_archive_climbs_out, 10, "archive-name-outside", "exam-scheduling-9.9.9.tar.gz"),
    (its_archive_holds_a_device, 10, "archive-device", "disk"),
]


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


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
