"""Known answers: what ssh-keygen signed once is verified for ever; the same bytes, the same facts."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from upgrader.adapters.trust.ssh_signatures import fingerprint, verify
from upgrader.domain.approval.claim import Claim
from upgrader.domain.approval.record import ApprovalRecord, Namespace, read_record, write_record
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused

HERE = Path(__file__).parent / "known_answers"
RECORD = (HERE / "record.json").read_bytes()
FINGERPRINTS = dict(line.split() for line in (HERE / "fingerprints").read_text("ascii").splitlines())
COUNTED = sorted(set(FINGERPRINTS) - {"token-untouched"})
LATER = datetime(2046, 11, 21, 15, 0, tzinfo=UTC)


def claim(name: str, content: bytes = RECORD, namespace: Namespace = Namespace.APPROVAL) -> Claim:
    public = (HERE / f"{name}.pub").read_text("ascii").strip()
    signature = (HERE / f"{name}.sig").read_bytes()
    return Claim(content=content, signature=signature, namespace=namespace, principal="zhao.min", keys=(public,))


def test_the_record_is_read_and_written_as_it_was() -> None:
    record = read_record(ApprovalRecord, RECORD, "record.json")

    assert write_record(record) == RECORD
    assert Digest.of(RECORD).hex == "bacca8b12025a8704e87b3606888956c2b4a7aa8cc248cb61312545f084c320e"
    assert (record.person, record.reason, record.hosts) == ("zhao.min", "同意 agreed", "5")


@pytest.mark.parametrize("name", COUNTED)
def test_what_was_signed_once_counts_for_ever(name: str) -> None:
    assert verify(claim(name), LATER) == FINGERPRINTS[name]


@pytest.mark.parametrize("name", sorted(FINGERPRINTS))
def test_a_fingerprint_is_what_ssh_keygen_says(name: str) -> None:
    told = subprocess.run(["ssh-keygen", "-l", "-f", HERE / f"{name}.pub"], capture_output=True, text=True, check=True)

    assert FINGERPRINTS[name] == told.stdout.split()[1] == fingerprint((HERE / f"{name}.pub").read_text("ascii"))


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("place", [0, len(RECORD) // 2, len(RECORD) - 1])
def test_one_byte_more_or_less_was_never_signed(name: str, place: int) -> None:
    changed = RECORD[:place] + bytes([RECORD[place] ^ 1]) + RECORD[place + 1 :]

    with pytest.raises(Refused, match="signature-invalid"):
        verify(claim(name, changed), LATER)


def test_for_another_meaning_it_was_never_signed() -> None:
    with pytest.raises(Refused, match="signature-invalid"):
        verify(claim("ed25519", namespace=Namespace.ACCEPTANCE), LATER)


def test_a_token_that_nobody_touched_did_not_sign() -> None:
    with pytest.raises(Refused, match="key-not-touched"):
        verify(claim("token-untouched"), LATER)
