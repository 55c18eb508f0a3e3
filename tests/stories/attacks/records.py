"""Who signed, and what their signature covers."""

import json
import secrets
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fido import Token
from stories.attacker import Attacker, approval, signature_of
from stories.attacks.row import Row
from stories.drops import flipped
from stories.friday import HEAD_ROLE, INFORMATION_ROLE, Friday
from upgrader.domain.approval.enrolment import Enrolment
from upgrader.domain.approval.record import Namespace, write_record
from upgrader.domain.names import PersonId, SiteId
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION, SITE, TESTER
from upgrader.lab.keys import ensure_key


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


# A record that is not what the command line would have written


def it_is_signed_for_a_day_to_come(friday: Friday, attacker: Attacker) -> str:
    return _forged_by_the_head(friday, attacker, issued=datetime.now(UTC) + timedelta(days=2))


def it_would_hold_for_a_year(friday: Friday, attacker: Attacker) -> str:
    return _forged_by_the_head(friday, attacker, expires=datetime.now(UTC) + timedelta(days=365))


def it_ends_before_the_window(friday: Friday, attacker: Attacker) -> str:
    return _forged_by_the_head(friday, attacker, expires=datetime.now(UTC) + timedelta(minutes=5))


def it_is_for_another_site(friday: Friday, attacker: Attacker) -> str:
    return _forged_by_the_head(friday, attacker, site="another-hospital")


def it_is_for_another_repository(friday: Friday, attacker: Attacker) -> str:
    return _forged_by_the_head(friday, attacker, repository="another-site")


def it_is_for_another_revision(friday: Friday, attacker: Attacker) -> str:
    return _forged_by_the_head(friday, attacker, revision="2")


def it_lies_under_the_name_of_another(friday: Friday, attacker: Attacker) -> str:
    forged = attacker.forge(friday.unsigned, HEAD, HEAD_ROLE, friday.hospital.people_keys[HEAD])
    for file in (forged, forged.with_name(f"{forged.name}.sig")):
        file.rename(file.with_name(file.name.replace(HEAD, INFORMATION)))
    attacker.push()
    return friday.unsigned


def it_lies_in_a_folder_below(friday: Friday, attacker: Attacker) -> str:
    forged = attacker.forge(friday.unsigned, HEAD, HEAD_ROLE, friday.hospital.people_keys[HEAD])
    below = forged.parent / "signed"
    below.mkdir()
    for file in (forged, forged.with_name(f"{forged.name}.sig")):
        file.rename(below / file.name)
    attacker.push()
    return friday.unsigned


# The head signed these very bytes; what they say is another matter


def it_has_one_key_more(friday: Friday, attacker: Attacker) -> str:
    return _signed_by_the_head(friday, attacker, b'  "change":', b'  "also": "CHG-2026-0009",\n  "change":')


def it_says_one_key_twice(friday: Friday, attacker: Attacker) -> str:
    return _signed_by_the_head(friday, attacker, b'  "reason": ""', b'  "reason": "",\n  "reason": "yes"')


def it_ends_its_lines_as_windows_does(friday: Friday, attacker: Attacker) -> str:
    return _signed_by_the_head(friday, attacker, b"\n", b"\r\n")


def it_begins_with_a_byte_order_mark(friday: Friday, attacker: Attacker) -> str:
    return _signed_by_the_head(friday, attacker, b'{\n  "change"', b'\xef\xbb\xbf{\n  "change"')


def it_turns_the_direction_of_what_is_read(friday: Friday, attacker: Attacker) -> str:
    return _signed_by_the_head(friday, attacker, b'"reason": ""', '"reason": "\u202eon"'.encode())


def it_moves_the_cursor_of_a_terminal(friday: Friday, attacker: Attacker) -> str:
    return _signed_by_the_head(friday, attacker, b'"reason": ""', b'"reason": "\x1b[2Aapproved"')


def it_is_not_utf_8(friday: Friday, attacker: Attacker) -> str:
    return _signed_by_the_head(friday, attacker, b'"reason": ""', '"reason": "同意"'.encode("gb18030"))


def it_has_a_number_where_text_belongs(friday: Friday, attacker: Attacker) -> str:
    return _signed_by_the_head(friday, attacker, b'"hosts": "3"', b'"hosts": 3')


def it_is_larger_than_any_record(friday: Friday, attacker: Attacker) -> str:
    return _signed_by_the_head(friday, attacker, b'"reason": ""', b'"reason": "' + b"x" * 70_000 + b'"')


def it_is_empty(friday: Friday, attacker: Attacker) -> str:
    record = approval(attacker.plan(friday.unsigned), HEAD, HEAD_ROLE)
    attacker.put(record, b"", signature_of(b"", friday.hospital.people_keys[HEAD]))
    attacker.push()
    return friday.unsigned


# The signature beside it


def there_is_text_after_the_signature(friday: Friday, attacker: Attacker) -> str:
    return _signature_made_by(friday, attacker, lambda signed: signed + b"approved by everybody\n")


def there_are_two_signatures_in_one_file(friday: Friday, attacker: Attacker) -> str:
    return _signature_made_by(friday, attacker, lambda signed: signed + signed)


def the_signature_is_cut_short(friday: Friday, attacker: Attacker) -> str:
    return _signature_made_by(friday, attacker, lambda signed: signed[: len(signed) // 2])


def the_signature_is_wrapped_otherwise(friday: Friday, attacker: Attacker) -> str:
    return _signature_made_by(friday, attacker, lambda signed: signed.replace(b"\n", b"\r\n"))


def the_key_is_too_short(friday: Friday, attacker: Attacker) -> str:
    weak = attacker.key.with_name("weak")
    command = ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(weak)]
    subprocess.run(command, check=True)
    attacker.forge(friday.unsigned, HEAD, HEAD_ROLE, weak)
    attacker.push()
    return friday.unsigned


def a_token_signed_that_nobody_touched(friday: Friday, attacker: Attacker) -> str:
    token = Token.new()
    return _signature_made_by(friday, attacker, lambda _: b"", by=lambda content: token.sign(content, touched=False))


def a_strangers_token_was_touched(friday: Friday, attacker: Attacker) -> str:
    token = Token.new()
    return _signature_made_by(friday, attacker, lambda _: b"", by=lambda content: token.sign(content, touched=True))


def a_token_signed_without_its_pin(friday: Friday, attacker: Attacker) -> str:
    token = Token.new()
    _ask_the_head_for_a_pin(friday, attacker, token)
    return _signature_made_by(friday, attacker, lambda _: b"", by=lambda content: token.sign(content, touched=True))


def a_key_signed_where_a_token_is_asked_for(friday: Friday, attacker: Attacker) -> str:
    _ask_the_head_for_a_pin(friday, attacker, Token.new())
    return _signature_made_by(friday, attacker, lambda signed: signed)


def a_certificate_stands_for_the_key(friday: Friday, attacker: Attacker) -> str:
    own, head = ensure_key(attacker.key.with_name("certified"), comment=HEAD), friday.hospital.people_keys[HEAD]
    command = ["ssh-keygen", "-q", "-s", str(head), "-I", HEAD, "-n", HEAD, f"{own}.pub"]
    subprocess.run(command, check=True)
    certificate = own.with_name(f"{own.name}-cert.pub")
    return _signature_made_by(friday, attacker, lambda _: b"", by=lambda content: signature_of(content, certificate))


def _ask_the_head_for_a_pin(friday: Friday, attacker: Attacker, token: Token) -> None:
    """A new trust file: the head has enrolled this token, and in their role only a token with its PIN counts."""
    policy = json.loads(friday.hospital.policy())
    policy["roles"][HEAD_ROLE] = {"organisation": "hospital", "proof": "pin"}
    (head,) = (person for person in policy["people"] if person["id"] == HEAD)
    head["keys"].append(token.public)
    folder = attacker.key.parent
    proof, file = _enrolled(friday, token, folder), folder / "policy.yml"
    file.write_text(json.dumps(policy), encoding="utf-8")
    signed = ("--policy", str(file), "--proof", str(proof), "--root-key", str(friday.hospital.root_key))
    answer = friday.upgrader(ENGINEER, "trust", "update", *signed, "--reason", "tokens for the head")
    assert answer.code == 0, answer.err


def _enrolled(friday: Friday, token: Token, folder: Path) -> Path:
    """The proof that the head holds the token, as `trust enrol` would have written it."""
    now = datetime.now(UTC).replace(microsecond=0)
    enrolment = Enrolment(
        format=Enrolment.FORMAT,
        site=SiteId(SITE),
        person=PersonId(HEAD),
        key=token.public,
        issued=now,
        expires=now + timedelta(days=1),
        nonce=secrets.token_hex(16),
        reason="a token of one's own",
    )
    proof = folder / enrolment.file_name
    proof.write_bytes(enrolment.to_bytes())
    proof.with_name(f"{proof.name}.sig").write_bytes(token.sign(enrolment.to_bytes(), Namespace.ENROLMENT))
    return proof


def _forged_by_the_head(friday: Friday, attacker: Attacker, **fields: Any) -> str:
    """Signed with the head's own key, and one field as no command of ours would have written it."""
    attacker.forge(friday.unsigned, HEAD, HEAD_ROLE, friday.hospital.people_keys[HEAD], **fields)
    attacker.push()
    return friday.unsigned


def _signed_by_the_head(friday: Friday, attacker: Attacker, old: bytes, new: bytes) -> str:
    """Other bytes than the canonical ones, signed as they are."""
    record = approval(attacker.plan(friday.unsigned), HEAD, HEAD_ROLE)
    honest = write_record(record)
    assert old in honest
    content = honest.replace(old, new)
    attacker.put(record, content, signature_of(content, friday.hospital.people_keys[HEAD]))
    attacker.push()
    return friday.unsigned


def _signature_made_by(
    friday: Friday,
    attacker: Attacker,
    bend: Callable[[bytes], bytes],
    *,
    by: Callable[[bytes], bytes] | None = None,
) -> str:
    """An honest record, and beside it the head's signature bent, or another that `by` makes."""
    record = approval(attacker.plan(friday.unsigned), HEAD, HEAD_ROLE)
    content = write_record(record)
    signature = by(content) if by else bend(signature_of(content, friday.hospital.people_keys[HEAD]))
    attacker.put(record, content, signature)
    attacker.push()
    return friday.unsigned


REFUSED = (
    Row(nobody_signed, "approvals-missing", "Information Department 1, Head of the Information Department 1"),
    Row(one_signature_is_short, "approvals-missing", "Information Department 1"),
    Row(the_requester_signs_as_approver, "approvals-missing", "requester-signed"),
    Row(one_person_signs_twice, "approvals-missing", "Information Department 1"),
    Row(a_stranger_signs, "approvals-missing", "person-not-active"),
    Row(a_stranger_signs_in_anothers_name, "key-not-known", HEAD),
    Row(the_signer_does_not_hold_the_role, "approvals-missing", "role-not-held"),
    Row(an_approval_is_copied_from_another_change, "record-elsewhere", ""),
    Row(a_record_is_edited_by_one_byte, "record-removed", "approve_"),
    Row(a_record_came_with_one_byte_edited, "signature-invalid", HEAD),
    Row(a_record_tells_other_facts_than_the_plan, "facts-differ", HEAD),
    Row(the_signature_is_of_another_file, "signature-invalid", HEAD),
    Row(the_signature_was_made_for_something_else, "signature-invalid", "test-record"),
    Row(a_record_has_no_signature, "signature-missing", HEAD),
    Row(an_unknown_file_lies_beside_the_approvals, "file-not-known", "approve_everything.json"),
    Row(a_rejection_is_deleted_in_a_later_commit, "record-removed", "reject_"),
    Row(the_branch_is_rewritten, "branch-rewritten", "main"),
    Row(somebody_rejected, "plan-rejected", HEAD),
    Row(somebody_withdrew, "approvals-missing", "approval-withdrawn"),
    Row(it_is_signed_for_a_day_to_come, "approvals-missing", "approval-from-the-future"),
    Row(it_would_hold_for_a_year, "approvals-missing", "approval-too-long"),
    Row(it_ends_before_the_window, "approvals-missing", "approval-ends-before-window"),
    Row(it_is_for_another_site, "record-elsewhere", "another-hospital"),
    Row(it_is_for_another_repository, "record-elsewhere", "another-site"),
    Row(it_is_for_another_revision, "facts-differ", HEAD),
    Row(it_lies_under_the_name_of_another, "record-misnamed", INFORMATION),
    Row(it_lies_in_a_folder_below, "file-not-known", "signed/approve_"),
    Row(it_has_one_key_more, "record-malformed", "also"),
    Row(it_says_one_key_twice, "record-not-canonical", HEAD),
    Row(it_ends_its_lines_as_windows_does, "record-not-canonical", HEAD),
    Row(it_begins_with_a_byte_order_mark, "record-not-canonical", HEAD),
    Row(it_turns_the_direction_of_what_is_read, "record-not-canonical", "U+202E"),
    Row(it_moves_the_cursor_of_a_terminal, "record-not-canonical", HEAD),
    Row(it_is_not_utf_8, "record-not-canonical", HEAD),
    Row(it_has_a_number_where_text_belongs, "record-malformed", "hosts"),
    Row(it_is_larger_than_any_record, "record-too-large", HEAD),
    Row(it_is_empty, "record-not-canonical", HEAD),
    Row(there_is_text_after_the_signature, "signature-malformed", HEAD),
    Row(there_are_two_signatures_in_one_file, "signature-malformed", HEAD),
    Row(the_signature_is_cut_short, "signature-malformed", HEAD),
    Row(the_signature_is_wrapped_otherwise, "signature-malformed", HEAD),
    Row(the_key_is_too_short, "key-type-not-allowed", "2048"),
    Row(a_token_signed_that_nobody_touched, "key-not-touched", HEAD),
    Row(a_strangers_token_was_touched, "key-not-known", HEAD),
    Row(a_token_signed_without_its_pin, "key-without-pin", HEAD),
    Row(a_key_signed_where_a_token_is_asked_for, "key-without-token", HEAD),
    Row(a_certificate_stands_for_the_key, "key-type-not-allowed", HEAD),
)
