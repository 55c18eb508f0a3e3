"""Readers of what others send: whatever the bytes are, the answer is a value or a refusal in our own words.

`UPGRADER_FUZZ=100 python -m pytest tests/contracts/test_fuzz.py --timeout 0` tries a hundred times as much.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import builders
from contracts.test_documents import POLICY, RELEASE, REQUEST, SETTINGS, policy
from fuzz import Read, survives
from upgrader.adapters.builds.vendor_drop import read_checksums
from upgrader.adapters.documents import read_release, read_request, read_settings
from upgrader.adapters.trust.ssh_signatures import verify
from upgrader.domain.approval.claim import Claim
from upgrader.domain.approval.record import ApprovalRecord, Namespace, read_record, write_record
from upgrader.domain.approval.trust import read_trust
from upgrader.domain.changes.journal import read_history
from upgrader.domain.changes.plan import read_plan
from upgrader.domain.errors import Refused

KNOWN = Path(__file__).parent / "known_answers"
RECORD = (KNOWN / "record.json").read_bytes()
SIGNATURE = (KNOWN / "ed25519.sig").read_bytes()
PUBLIC = (KNOWN / "ed25519.pub").read_text("ascii").strip()
NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
JOURNAL = (
    b'{"actor":"li.na","at":"2026-11-21T15:00:00Z","data":{"system":"lis"},"event":"change requested",'
    b'"prev":"' + b"0" * 64 + b'","seq":0}\n'
)


def claims(content: bytes, signature: bytes) -> Claim:
    return Claim(
        content=content, signature=signature, namespace=Namespace.APPROVAL, principal="zhao.min", keys=(PUBLIC,)
    )


READERS: dict[str, tuple[bytes, Read]] = {
    "a record": (RECORD, lambda content: read_record(ApprovalRecord, content, "record.json")),
    "a plan": (builders.plan_of().to_bytes(), read_plan),
    "a trust file": (builders.make_trust().to_bytes(), lambda content: read_trust(content, "trust.1.json")),
    "a journal": (JOURNAL, lambda content: read_history(content.splitlines(keepends=True), "journal.jsonl")),
    "release.yml": (RELEASE.encode(), lambda content: read_release(content, "release.yml")),
    "request.yml": (REQUEST.encode(), lambda content: read_request(content, "request.yml")),
    "policy.yml": (POLICY.encode(), lambda content: policy(content, "policy.yml")),
    "upgrader.yml": (SETTINGS.encode(), lambda content: read_settings(content, "upgrader.yml")),
    "checksums": (f"{'0' * 64}  release.yml\n{'1' * 64}  a.tar.gz\n".encode(), read_checksums),
}


@pytest.mark.parametrize("name", READERS)
def test_whatever_is_read_is_read_or_refused(name: str, tmp_path: Path) -> None:
    good, read = READERS[name]
    read(good)

    survives(good, read, count=200, seed=2291, failed=tmp_path / "failed")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a record", write_record),
        ("a plan", lambda plan: plan.to_bytes()),
        ("a trust file", lambda trust: trust.to_bytes()),
    ],
)
def test_what_is_accepted_is_written_with_the_same_bytes(
    name: str, write: Callable[[Any], bytes], tmp_path: Path
) -> None:
    """So two texts never mean the same, and a signature over the one is none over the other."""
    good, read = READERS[name]

    for content in survives(good, read, count=200, seed=1, failed=tmp_path / "failed"):
        assert write(read(content)) == content


def test_no_mutation_of_a_signature_is_accepted(tmp_path: Path) -> None:
    accepted = survives(
        SIGNATURE, lambda mutated: verify(claims(RECORD, mutated), NOW), count=120, seed=3, failed=tmp_path / "failed"
    )

    assert accepted == []


def test_no_mutation_of_what_was_signed_is_accepted(tmp_path: Path) -> None:
    def read(content: bytes) -> None:
        read_record(ApprovalRecord, content, "record.json")
        with pytest.raises(Refused, match="signature-invalid"):
            verify(claims(content, SIGNATURE), NOW)

    survives(RECORD, read, count=200, seed=4, failed=tmp_path / "failed")
