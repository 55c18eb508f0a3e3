"""Words on paper: a scan or its record is not what a custodian attested."""

import re

from stories.attacker import Attacker
from stories.attacks.row import Row
from stories.friday import HEAD_ROLE, INFORMATION_ROLE, Friday
from upgrader.domain.approval.record import Namespace
from upgrader.lab.hospital import DEPUTY, ENGINEER, HEAD, INFORMATION, KEEPER


def the_scan_is_exchanged_later(friday: Friday, attacker: Attacker) -> str:
    path = attacker.forge_paper(friday.unsigned, DEPUTY, HEAD_ROLE, KEEPER, friday.hospital.people_keys[KEEPER])
    attacker.push()
    path.with_suffix(".pdf").write_bytes(b"%PDF-1.7 somebody else signed here")
    attacker.push()
    return friday.unsigned


def the_scan_came_exchanged(friday: Friday, attacker: Attacker) -> str:
    path = attacker.forge_paper(friday.unsigned, DEPUTY, HEAD_ROLE, KEEPER, friday.hospital.people_keys[KEEPER])
    path.with_suffix(".pdf").write_bytes(b"%PDF-1.7 somebody else signed here")
    attacker.push()
    return friday.unsigned


def the_scan_is_not_there(friday: Friday, attacker: Attacker) -> str:
    path = attacker.forge_paper(friday.unsigned, DEPUTY, HEAD_ROLE, KEEPER, friday.hospital.people_keys[KEEPER])
    path.with_suffix(".pdf").unlink()
    attacker.push()
    return friday.unsigned


def a_second_scan_lies_beside_it(friday: Friday, attacker: Attacker) -> str:
    path = attacker.forge_paper(friday.unsigned, DEPUTY, HEAD_ROLE, KEEPER, friday.hospital.people_keys[KEEPER])
    path.with_suffix(".png").write_bytes(b"\x89PNG")
    attacker.push()
    return friday.unsigned


def a_scan_has_no_record(friday: Friday, attacker: Attacker) -> str:
    attacker.path(f"approvals/{friday.ready}/paper_{DEPUTY}_{HEAD_ROLE}_00000000.pdf").write_bytes(b"%PDF-1.7")
    attacker.push()
    return friday.ready


def a_scan_has_a_signature_of_its_own(friday: Friday, attacker: Attacker) -> str:
    path = attacker.forge_paper(friday.unsigned, DEPUTY, HEAD_ROLE, KEEPER, friday.hospital.people_keys[KEEPER])
    path.with_suffix(".pdf.sig").write_bytes(b"")
    attacker.push()
    return friday.unsigned


def a_role_signs_that_may_not_on_paper(friday: Friday, attacker: Attacker) -> str:
    attacker.forge_paper(friday.unsigned, INFORMATION, INFORMATION_ROLE, KEEPER, friday.hospital.people_keys[KEEPER])
    attacker.push()
    return friday.unsigned


def somebody_attests_who_is_no_custodian(friday: Friday, attacker: Attacker) -> str:
    attacker.forge_paper(friday.unsigned, DEPUTY, HEAD_ROLE, ENGINEER, friday.hospital.people_keys[ENGINEER])
    attacker.push()
    return friday.unsigned


def the_signer_attests_for_themselves(friday: Friday, attacker: Attacker) -> str:
    attacker.forge_paper(friday.unsigned, HEAD, HEAD_ROLE, HEAD, friday.hospital.people_keys[HEAD])
    attacker.push()
    return friday.unsigned


def a_stranger_attests_in_the_custodians_name(friday: Friday, attacker: Attacker) -> str:
    attacker.forge_paper(friday.unsigned, DEPUTY, HEAD_ROLE, KEEPER, attacker.key)
    attacker.push()
    return friday.unsigned


def the_form_was_of_the_plan_before(friday: Friday, attacker: Attacker) -> str:
    keys = friday.hospital.people_keys
    attacker.forge_paper(friday.unsigned, DEPUTY, HEAD_ROLE, KEEPER, keys[KEEPER], plan="0" * 64)
    attacker.push()
    return friday.unsigned


def a_yes_has_no_scan(friday: Friday, attacker: Attacker) -> str:
    keys = friday.hospital.people_keys
    path = attacker.forge_paper(friday.unsigned, DEPUTY, HEAD_ROLE, KEEPER, keys[KEEPER])
    path.with_suffix(".pdf").unlink()
    content = re.sub(rb'  "scan(_type)?": "[0-9a-z]+",\n', b"", path.read_bytes())
    attacker.sign_again(path, content, keys[KEEPER], Namespace.PAPER)
    attacker.push()
    return friday.unsigned


def the_custodians_signature_was_made_for_an_approval(friday: Friday, attacker: Attacker) -> str:
    keys = friday.hospital.people_keys
    path = attacker.forge_paper(friday.unsigned, DEPUTY, HEAD_ROLE, KEEPER, keys[KEEPER])
    attacker.sign_again(path, path.read_bytes(), keys[KEEPER], Namespace.APPROVAL)
    attacker.push()
    return friday.unsigned


REFUSED = (
    Row(the_scan_is_exchanged_later, "record-removed", ".pdf"),
    Row(the_scan_came_exchanged, "paper-scan-differs", DEPUTY),
    Row(the_scan_is_not_there, "paper-scan-differs", DEPUTY),
    Row(a_second_scan_lies_beside_it, "paper-scan-differs", ".png"),
    Row(a_scan_has_no_record, "file-not-known", ".pdf"),
    Row(a_scan_has_a_signature_of_its_own, "file-not-known", ".pdf.sig"),
    Row(a_role_signs_that_may_not_on_paper, "approvals-missing", "paper-not-allowed"),
    Row(somebody_attests_who_is_no_custodian, "approvals-missing", "paper-not-custodian"),
    Row(the_signer_attests_for_themselves, "approvals-missing", "paper-not-custodian"),
    Row(a_stranger_attests_in_the_custodians_name, "key-not-known", KEEPER),
    Row(the_form_was_of_the_plan_before, "approvals-missing", "plan-digest"),
    Row(a_yes_has_no_scan, "approvals-missing", "paper-without-scan"),
    Row(the_custodians_signature_was_made_for_an_approval, "signature-invalid", "approval"),
)
