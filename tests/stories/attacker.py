"""Somebody who may push to the site repository, and uses that: by hand, past the command line and all of its checks."""

import secrets
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from upgrader.domain import plain
from upgrader.domain.approval.record import (
    ApprovalRecord,
    Decision,
    Namespace,
    PaperRecord,
    plan_facts,
    record_name,
    write_record,
)
from upgrader.domain.changes.plan import Plan, read_plan
from upgrader.domain.digest import Digest
from upgrader.domain.names import PersonId, RoleId
from upgrader.lab.hospital import Hospital
from upgrader.lab.keys import ensure_key, sign
from upgrader.lab.programs import run_program

SCAN = b"%PDF-1.7 somebody signed here"
ATTESTED = {
    "format": PaperRecord.FORMAT,
    "custodian_role": "form-custodian",
    "scan": Digest.of(SCAN).hex,
    "scan_type": "pdf",
}


@dataclass(frozen=True, slots=True)
class Attacker:
    """Works in a clone of their own. `key` is theirs; nobody in the trust file knows it."""

    clone: Path
    key: Path

    @classmethod
    def of(cls, hospital: Hospital, folder: Path) -> "Attacker":
        run_program("git", "clone", "--quiet", str(hospital.remote), str(folder / "clone"))
        return cls(folder / "clone", ensure_key(folder / "key", comment="nobody"))

    def path(self, path: str) -> Path:
        target = self.clone / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def replace(self, path: str, old: str, new: str) -> None:
        """Replace a text in a file. It has to be there, or this attack would attack nothing."""
        text = self.path(path).read_text(encoding="utf-8")
        assert old in text, f"{path} does not hold {old!r}"
        self.path(path).write_text(text.replace(old, new, 1), encoding="utf-8")

    def push(self, *options: str, add: bool = True) -> None:
        """Commit everything that was done to the clone (or what is in its index already), and push it."""
        if add:
            self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "small corrections")
        self.git("push", "--quiet", *options, "origin", "HEAD:main")

    def git(self, *arguments: str) -> None:
        who = ("-c", "user.name=attacker", "-c", "user.email=attacker@example.invalid")
        run_program("git", "-C", str(self.clone), *who, *arguments)

    def plan(self, change: str) -> Plan:
        return read_plan(self.path(f"approvals/{change}/plan.json").read_bytes())

    def records(self, change: str) -> tuple[Path, ...]:
        """The approvals that lie in the folder of a change, without their signatures."""
        return tuple(sorted((self.clone / "approvals" / change).glob("approve_*.json")))

    def put(self, record: ApprovalRecord, content: bytes, signature: bytes) -> Path:
        """Put a record and its signature where they would belong."""
        target = self.path(f"approvals/{record.change}/{record_name(record)}")
        target.write_bytes(content)
        target.with_name(f"{target.name}.sig").write_bytes(signature)
        return target

    def forge_paper(self, change: str, person: str, role: str, custodian: str, key: Path, **fields: Any) -> Path:
        """Put a word on paper with its scan that is right in every field but those named, signed with `key`."""
        honest = plain.to_plain(approval(self.plan(change), person, role))
        record = plain.from_plain(PaperRecord, {**honest, **ATTESTED, "custodian": custodian, **fields})
        content = write_record(record)
        path = self.put(record, content, signature_of(content, key, Namespace.PAPER))
        path.with_suffix(".pdf").write_bytes(SCAN)
        return path

    def sign_again(self, path: Path, content: bytes, key: Path, namespace: str) -> None:
        """Give a record another content, or its signature another meaning."""
        path.write_bytes(content)
        path.with_name(f"{path.name}.sig").write_bytes(signature_of(content, key, namespace))

    def forge(self, change: str, person: str, role: str, key: Path, **fields: Any) -> Path:
        """Put an approval that is right in every field but those named, signed with `key`."""
        record = approval(self.plan(change), person, role, **fields)
        content = write_record(record)
        return self.put(record, content, signature_of(content, key))


def approval(plan: Plan, person: str, role: str, **fields: Any) -> ApprovalRecord:
    """What the command line would have signed for this plan, with some fields as somebody would rather have them."""
    honest: Mapping[str, Any] = {
        "format": ApprovalRecord.FORMAT,
        "site": plan.site,
        "repository": plan.repository,
        "change": plan.change,
        "revision": str(plan.revision),
        "plan": plan.digest,
        "decision": Decision.APPROVE,
        "person": PersonId(person),
        "role": RoleId(role),
        "issued": datetime.now(UTC),
        "expires": plan.window.closes,
        "nonce": secrets.token_hex(16),
        "reason": "",
        **plain.to_plain(plan_facts(plan)),
    }
    return ApprovalRecord(**{**honest, **fields})


def signature_of(content: bytes, key: Path, namespace: str = Namespace.APPROVAL) -> bytes:
    folder = Path(tempfile.mkdtemp(prefix="signing-", dir=key.parent))
    try:
        document = folder / "record"
        document.write_bytes(content)
        return sign(document, key, namespace).read_bytes()
    finally:
        shutil.rmtree(folder)
