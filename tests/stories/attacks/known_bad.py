"""A release was found bad and blocked; somebody who may push would have it run all the same."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from stories.attacker import Attacker
from stories.attacks.row import Row
from stories.friday import HEAD_ROLE, INFORMATION_ROLE, RELEASE, Friday
from upgrader.domain.approval.record import Namespace
from upgrader.domain.digest import Digest
from upgrader.domain.names import PersonId, RoleId
from upgrader.domain.releases.known_bad import KnownBadRecord, Mark, known_bad_name, read_known_bad, write_known_bad
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION
from upgrader.lab.releases import SYSTEM


def it_is_blocked(friday: Friday, attacker: Attacker) -> str:
    _block(friday, attacker)
    return friday.ready


def the_block_is_removed(friday: Friday, attacker: Attacker) -> str:
    block = _block(friday, attacker)
    for file in (block, block.with_name(f"{block.name}.sig")):
        file.unlink()
    attacker.push()
    return friday.ready


def an_unblock_is_forged(friday: Friday, attacker: Attacker) -> str:
    return _unblock(friday, attacker, HEAD, HEAD_ROLE, attacker.key)


def an_unblock_comes_from_the_wrong_role(friday: Friday, attacker: Attacker) -> str:
    return _unblock(friday, attacker, INFORMATION, INFORMATION_ROLE, friday.hospital.people_keys[INFORMATION])


def an_unblock_is_of_another_release(friday: Friday, attacker: Attacker) -> str:
    key = friday.hospital.people_keys[HEAD]
    return _unblock(friday, attacker, HEAD, HEAD_ROLE, key, release=Digest.of(b"another"))


def _block(friday: Friday, attacker: Attacker) -> Path:
    words = ("known-bad", "add", SYSTEM, RELEASE, "--reason", "alarms come twice")
    friday.hospital.upgrader(ENGINEER, *words)
    attacker.git("pull", "--quiet", "origin", "main")
    (block,) = (attacker.clone / "known-bad" / SYSTEM).glob("block_*.json")
    return block


def _unblock(
    friday: Friday, attacker: Attacker, person: str, role: str, key: Path, release: Digest | None = None
) -> str:
    """Put an unblock that is right in every field but those named, signed with `key`."""
    block = _block(friday, attacker).read_bytes()
    bad = read_known_bad(block, "block")
    record: KnownBadRecord = replace(
        bad,
        mark=Mark.UNBLOCK,
        person=PersonId(person),
        role=RoleId(role),
        issued=datetime.now(UTC),
        nonce=secrets.token_hex(16),
        reason="it was the gateway",
        block=Digest.of(block),
        release=release or bad.release,
    )
    path = attacker.path(f"known-bad/{SYSTEM}/{known_bad_name(record)}")
    attacker.sign_again(path, write_known_bad(record), key, Namespace.KNOWN_BAD)
    attacker.push()
    return friday.ready


REFUSED = (
    Row(it_is_blocked, "known-bad", "alarms come twice"),
    Row(the_block_is_removed, "known-bad-removed", "block_li.na"),
    Row(an_unblock_is_forged, "known-bad", "Head of the Information Department 1"),
    Row(an_unblock_comes_from_the_wrong_role, "known-bad", "Head of the Information Department 1"),
    Row(an_unblock_is_of_another_release, "known-bad", "Head of the Information Department 1"),
)
