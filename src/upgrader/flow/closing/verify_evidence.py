"""Verify evidence: one file and a laptop without network say who signed what, what ran, and how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from upgrader.domain.approval.claim import Claim
from upgrader.domain.approval.record import (
    NAMESPACES,
    AcceptanceRecord,
    ApprovalRecord,
    DebtRecord,
    Namespace,
    PaperRecord,
    Record,
    hand_of,
    kind_of_file,
    read_any_record,
    role_of_hand,
)
from upgrader.domain.approval.trust import Trust
from upgrader.domain.changes.journal import History, read_history
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import Plan, read_plan
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, Refused
from upgrader.domain.papers.evidence import Closure
from upgrader.domain.papers.paper import check_scan
from upgrader.flow.releases.known_bad import FOLDER, check_plan_not_known_bad
from upgrader.ports import Bundle, Bundles, ReadTrust, Signatures


@dataclass(frozen=True, slots=True)
class Verified:
    """What a bundle proves. `root` is the fingerprint of the keys that everything else rests on."""

    closure: Closure
    root: Digest
    root_was_given: bool
    signatures: Sequence[str]
    entries: int


@dataclass(frozen=True, slots=True)
class Auditor:
    """What an auditor needs: no network, no clone, no state; ssh-keygen does the verifying."""

    bundles: Bundles
    signatures: Signatures
    read_trust: ReadTrust


def verify_evidence(auditor: Auditor, path: Path, root: str | None) -> Verified:
    """Check a bundle from its last byte to its first signature.

    1. the trust chain, against `root` when given   2. the seal   3. every file   4. plan, journal and closure agree
    5. every record's signature, as of the time at which the gate journalled it   6. nobody had found the release bad
    then, or others had lifted that   Raises Integrity or Refused naming what is wrong.
    """
    roots: list[Digest] = []

    def check_seal(bundle: Bundle) -> None:
        chain, fingerprint = auditor.read_trust(bundle.files)
        roots.append(fingerprint)
        if root is not None and root != str(fingerprint):
            raise Refused("evidence-other-root", expected=root, found=fingerprint)
        _check_seal(auditor, chain[-1], bundle)

    bundle = auditor.bundles.check_bundle(path, check_seal)
    chain, _ = auditor.read_trust(bundle.files)
    plan = read_plan(_need(bundle, "plan.json"))
    history = read_history(_need(bundle, "journal.jsonl").splitlines(keepends=True), "journal.jsonl")
    _check_agreement(bundle, plan, history)
    signed = _check_records(auditor, chain, bundle, plan, history)
    _check_not_known_bad(auditor, chain, bundle, plan, history)
    return Verified(bundle.statement.closure, roots[0], root is not None, signed, len(history.entries))


def _need(bundle: Bundle, name: str) -> bytes:
    """A file without which nothing is proven. Raises Integrity `evidence-record-missing`."""
    if not bundle.files.get(name):
        raise Integrity("evidence-record-missing", file=name)
    return bundle.files[name]


def _check_seal(auditor: Auditor, trust: Trust, bundle: Bundle) -> None:
    closure = bundle.statement.closure
    person = trust.person(closure.closed_by)
    if person is None:
        raise Refused("person-not-active", person=closure.closed_by, file="statement.json")
    try:
        seal = Claim(
            content=bundle.statement_bytes,
            signature=bundle.signature,
            namespace=Namespace.EVIDENCE,
            principal=person.id,
            keys=person.keys,
            file="statement.json",
        )
        auditor.signatures.verify(seal, closure.closed)
    except Refused as error:
        raise Integrity("evidence-seal-broken", file="statement.json", found=error.code) from error


def _check_agreement(bundle: Bundle, plan: Plan, history: History) -> None:
    """The closure, the plan and the journal speak of the same thing."""
    closure = bundle.statement.closure
    authorized = history.last(Event.PLAN_AUTHORIZED)
    facts = {
        "closure.json": (closure.to_bytes(), bundle.files.get("closure.json")),
        "plan.json": (plan.digest, closure.plan),
        "journal.jsonl": (history.head, closure.journal),
        "journal.jsonl plan": (authorized.data["plan"] if authorized else "", plan.digest.hex),
    }
    for name, (found, expected) in facts.items():
        if found != expected:
            raise Integrity("evidence-disagrees", file=name)


def _check_records(
    auditor: Auditor, chain: Sequence[Trust], bundle: Bundle, plan: Plan, history: History
) -> Sequence[str]:
    """Every signed record that counted holds and is here, and the acceptance names this journal.

    An approval that the gate left out (a stranger's, one for an older plan) need not hold; it is not named then.
    """
    counted = _counted(history)
    signed = []
    for path, content in sorted(bundle.files.items()):
        if kind_of_file(path) is None:
            continue
        record, name = read_any_record(content, path), path.rsplit("/", 1)[-1]
        try:
            _check_signature(auditor, chain, bundle, history, path, record)
            if isinstance(record, PaperRecord):
                check_scan(record, path, bundle.files)
        except Refused:
            if isinstance(record, ApprovalRecord | DebtRecord) and name not in counted:
                continue
            raise
        if isinstance(record, AcceptanceRecord | DebtRecord):
            _check_acceptance(record, plan, history, path)
        signed.append(name)
    if missing := sorted(counted - set(signed)):
        raise Integrity("evidence-record-missing", file=", ".join(missing))
    return signed


def _check_signature(
    auditor: Auditor, chain: Sequence[Trust], bundle: Bundle, history: History, path: str, record: Record
) -> None:
    """Verify under the trust version, and as of the time, at which the gate wrote down that it had verified the record.

    The signer has no say in that time.
    """
    entry = history.last(_verified_by(record)) or history.entries[-1]
    version = entry.data.get("trust_version", len(chain))
    if not 1 <= version <= len(chain):
        raise Integrity("evidence-record-missing", file=f"trust.{version}.json")
    trust = chain[version - 1]
    person = trust.person(hand_of(record))
    claim = Claim(
        content=bundle.files[path],
        signature=bundle.files.get(f"{path}.sig", b""),
        namespace=NAMESPACES[type(record)],
        principal=hand_of(record),
        keys=person.keys if person else (),
        file=path,
        proof=trust.proof_of(role_of_hand(record, trust.paper.custodian if trust.paper else None)),
    )
    auditor.signatures.verify(claim, entry.at)


def _check_not_known_bad(
    auditor: Auditor, chain: Sequence[Trust], bundle: Bundle, plan: Plan, history: History
) -> None:
    """What the gate knew to be bad when it said yes did not hold this release back. Raises Refused `known-bad`."""
    authorized = history.last(Event.PLAN_AUTHORIZED)
    if authorized is None:
        return
    trust = chain[authorized.data.get("trust_version", len(chain)) - 1]
    files = {path: content for path, content in bundle.files.items() if path.startswith(f"{FOLDER}/")}
    check_plan_not_known_bad(auditor.signatures, trust, files, plan, authorized.at)


def _verified_by(record: Record) -> Event:
    """The fact with which the controller wrote down that it had verified a record of this kind."""
    match record:
        case AcceptanceRecord():
            return Event.CHANGE_ACCEPTED
        case DebtRecord():
            return Event.DEBT_SETTLED
        case _:
            return Event.PLAN_AUTHORIZED


def _counted(history: History) -> set[str]:
    """The approvals that the gate counted. Raises Integrity when it counted none."""
    authorized = history.last(Event.PLAN_AUTHORIZED)
    paid = history.last(Event.DEBT_SETTLED)
    paths = [*(authorized.data["approvals"] if authorized else ()), *(paid.data["files"] if paid else ())]
    counted = {path.rsplit("/", 1)[-1] for path in paths}
    if not counted:
        raise Integrity("evidence-record-missing", file="approve_*.json")
    return counted


def _check_acceptance(record: AcceptanceRecord | DebtRecord, plan: Plan, history: History, path: str) -> None:
    lines = {Digest.of(entry.to_line()) for entry in history.entries}
    if record.plan != plan.digest or record.journal not in lines:
        raise Integrity("evidence-disagrees", file=path)
