"""Audit: weigh an old decision again, as of the time at which the journal wrote it down, under the trust file of then.

Journal, mirror and trust chain are enough: no host is asked, nothing is fetched, no window has to be open. What people
wrote is not read again as YAML: the plan that they signed names its bytes by digest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from upgrader.domain.approval.authorization import Authorization, Signed, authorize, weigh
from upgrader.domain.approval.record import AcceptanceRecord
from upgrader.domain.approval.trust import Trust
from upgrader.domain.changes.journal import Entry, History, read_history
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import Plan, PlannedRelease, read_plan
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, Refused, UpgraderError
from upgrader.flow import history as journals
from upgrader.flow import repository
from upgrader.flow.approval import authorize as gate
from upgrader.flow.approval.authorize import TESTED, Ground
from upgrader.flow.closing.accept import weigh_acceptance
from upgrader.flow.planning.materials import need
from upgrader.flow.releases.known_bad import FOLDER, check_plan_not_known_bad
from upgrader.flow.releases.stage import CHECKSUMS, MANIFEST, SIGNATURE
from upgrader.flow.site import Site
from upgrader.ports import Snapshot

DECISIONS = (Event.PLAN_AUTHORIZED, Event.GATE_REFUSED, Event.RETRY_AUTHORIZED, Event.CHANGE_ACCEPTED)
# Refusals that records, trust file and time alone decide. Others came from hosts, builds, the network or what the
# inventory said then: nothing of that is kept here, so the journal is taken at its word.
DECIDED_BY_RECORDS = frozenset(
    {
        "applier-only-approver",
        "approvals-missing",
        "kind-without-rule",
        "known-bad",
        "paper-alone",
        "plan-rejected",
        "record-removed",
        "test-failed",
        "tests-missing",
        "trust-expired",
        "window-not-open",
    }
)


class Finding(StrEnum):
    """What the audit found of one decision."""

    CONFIRMED = "confirmed"
    DIFFERS = "differs"
    TAKEN = "taken"  # at the journal's word


class Part(StrEnum):
    """What of a decision can differ."""

    DECISION = "decision"
    PLAN = "plan"
    PEOPLE = "people"
    APPROVALS = "approvals"
    FILES = "files"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Difference:
    """What the journal says of one part, and what the records give."""

    part: Part
    journal: str
    found: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision of the journal, weighed again. `told`: who gave their word, or the code of the rule that refused."""

    seq: int
    at: datetime
    actor: str
    event: Event
    told: tuple[str, ...]
    finding: Finding
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class AuditedChange:
    """`fault` is why the journal itself, or the branch as a whole, does not hold; then nothing else was asked."""

    change: str
    decisions: tuple[Decision, ...]
    entries: int
    head: Digest | None
    fault: UpgraderError | None = None

    @property
    def holds(self) -> bool:
        return self.fault is None and all(one.finding is not Finding.DIFFERS for one in self.decisions)


def audit_change(site: Site, change: str) -> AuditedChange:
    """Audit one change.

    1. is the journal's chain whole?   2. are all records still on the branch?   3. every decision, in its order
    Raises BadInput `change-unknown` when this controller has no journal of it, Refused or Integrity when there is no
    trust chain or no branch to audit by. What is wrong with the change is in the answer.
    """
    return _audit(_Kept(site, site.trust.chain(), site.mirror.tip()), change)


def audit_all(site: Site) -> Sequence[AuditedChange]:
    """Every change that this controller has a journal of."""
    kept = _Kept(site, site.trust.chain(), site.mirror.tip())
    folder = site.state / "changes"
    names = sorted(path.parent.name for path in folder.glob("*/journal.jsonl"))
    return [_audit(kept, name) for name in names]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What there is to audit by. `site` tells the time of the decision that is looked at."""

    site: Site
    chain: Sequence[Trust]
    tip: Snapshot


def _audit(kept: _Kept, change: str) -> AuditedChange:
    try:
        history = journals.read_history(kept.site, change)
        _check_removed(kept.site, kept.tip.commit, change)
    except (Integrity, Refused) as error:
        return AuditedChange(change, (), 0, None, error)
    decisions = tuple(_audited(kept, change, history, entry) for entry in history.of(*DECISIONS))
    return AuditedChange(change, decisions, len(history.entries), history.head)


def _audited(kept: _Kept, change: str, history: History, entry: Entry) -> Decision:
    past = replace(kept, site=replace(kept.site, clock=lambda: entry.at))
    match entry.event:
        case Event.GATE_REFUSED:
            told: tuple[str, ...] = (_text(entry, "code"),)
            finding, differences = _of_no(past, change, entry)
        case Event.CHANGE_ACCEPTED:
            told = _texts(entry, "people")
            finding, differences = _found(_of_acceptance(past, change, history, entry))
        case Event.RETRY_AUTHORIZED:
            told = _texts(entry, "people")
            finding, differences = _found(_of_late_yes(past, change, history, entry))
        case _:
            told = _texts(entry, "people")
            finding, differences = _found(_of_yes(past, change, entry))
    return Decision(entry.seq, entry.at, entry.actor, entry.event, told, finding, differences)


def _found(differences: tuple[Difference, ...]) -> tuple[Finding, tuple[Difference, ...]]:
    return (Finding.DIFFERS if differences else Finding.CONFIRMED), differences


def _of_yes(past: _Kept, change: str, entry: Entry) -> tuple[Difference, ...]:
    """How a yes of the gate differs from what plan, records and trust file of then give."""
    try:
        ground = _ground(past, entry)
        plan = _past_plan(past.site, ground, change)
        given = _decide(past.site, ground, plan, entry.actor)
        gate.check_window(past.site, plan)
    except UpgraderError as error:
        return (Difference(Part.DECISION, "authorized", str(error)),)
    return _compared(
        (Part.PLAN, _text(entry, "plan"), given.plan.hex),
        (Part.PEOPLE, ", ".join(_texts(entry, "people")), ", ".join(given.people)),
        (Part.APPROVALS, ", ".join(_texts(entry, "approvals")), ", ".join(given.approvals)),
    )


def _of_late_yes(past: _Kept, change: str, history: History, entry: Entry) -> tuple[Difference, ...]:
    """How a yes for late hosts differs from the plan that ran, and from records, trust file and hours of then."""
    ran = [one for one in history.of(Event.PLAN_AUTHORIZED) if one.seq < entry.seq]
    if not ran:
        return (Difference(Part.DECISION, "authorized", "never authorized"),)
    try:
        ground = _ground(past, entry)
        plan = _past_plan(past.site, Ground(ground.trust, past.site.mirror.at(_text(ran[-1], "commit"))), change)
        given = _decide(past.site, ground, plan, entry.actor)
    except UpgraderError as error:
        return (Difference(Part.DECISION, "authorized", str(error)),)
    if plan.open_until(entry.at) <= entry.at:
        return (Difference(Part.DECISION, "authorized", "outside the hours for late hosts"),)
    return _compared(
        (Part.PLAN, _text(entry, "plan"), given.plan.hex),
        (Part.PEOPLE, ", ".join(_texts(entry, "people")), ", ".join(given.people)),
        (Part.APPROVALS, ", ".join(_texts(entry, "approvals")), ", ".join(given.approvals)),
    )


def _of_no(past: _Kept, change: str, entry: Entry) -> tuple[Finding, tuple[Difference, ...]]:
    """A no of the gate. It differs only where records, trust file and time alone decide, and decide otherwise."""
    code, found = _text(entry, "code"), "authorized"
    if "commit" not in entry.data or entry.data.get(
        "late"
    ):  # it was refused before the gate knew where the branch stands
        return Finding.TAKEN, ()
    try:
        ground = _ground(past, entry)
        plan = _past_plan(past.site, ground, change)
        if past.site.clock() >= plan.window.closes:  # as the gate does: signatures end with the window
            gate.check_window(past.site, plan)
        _decide(past.site, ground, plan, entry.actor)
        gate.check_window(past.site, plan)
    except UpgraderError as error:
        found = error.code
    if found == code:
        return Finding.CONFIRMED, ()
    if code in DECIDED_BY_RECORDS:
        return Finding.DIFFERS, (Difference(Part.DECISION, code, found),)
    return Finding.TAKEN, ()


def _of_acceptance(past: _Kept, change: str, history: History, entry: Entry) -> tuple[Difference, ...]:
    """How an acceptance differs from the records that it names: signed, over that plan, over a head of this journal."""
    before = read_history((earlier.to_line() for earlier in history.entries[: entry.seq]), "journal.jsonl")
    authorized = before.last(Event.PLAN_AUTHORIZED)
    if authorized is None:
        return (Difference(Part.DECISION, "accepted", "never authorized"),)
    files = sorted(_texts(entry, "files"))
    try:
        trust = _trust_of(past, entry)
        plan = read_plan(need(past.site.mirror.at(_text(authorized, "commit")), _plan_file(change)))
        _, acceptances = gate.change_records(past.site, trust, past.tip, change)
        named = _named(acceptances, files)
        counted, missing = weigh_acceptance(trust, trust.rule(plan.kind).acceptance, named, plan.digest, before)
    except UpgraderError as error:
        return (Difference(Part.DECISION, "accepted", str(error)),)
    people = {signed.record.person for signed in counted if signed.record}
    return _compared(
        (Part.MISSING, "", ", ".join(f"{row.role} {row.count}" for row in missing)),
        (Part.FILES, ", ".join(files), ", ".join(sorted(signed.file for signed in counted))),
        (Part.PEOPLE, ", ".join(_texts(entry, "people")), ", ".join(sorted(people))),
    )


def _named(acceptances: Iterable[Signed[AcceptanceRecord]], files: Sequence[str]) -> list[Signed[AcceptanceRecord]]:
    """Those that the journal counted; whoever accepted later is their own matter."""
    return [signed for signed in acceptances if signed.file in files]


def _ground(past: _Kept, entry: Entry) -> Ground:
    trust = _trust_of(past, entry)
    past.site.trust.check_current(trust, past.site.clock())
    return Ground(trust, past.site.mirror.at(_text(entry, "commit")))


def _trust_of(kept: _Kept, entry: Entry) -> Trust:
    version = entry.data.get("trust_version")
    if not isinstance(version, int) or not 1 <= version <= len(kept.chain):
        raise Refused("trust-chain-gap", expected=version, found=len(kept.chain))
    return kept.chain[version - 1]


def _check_removed(site: Site, commit: str, change: str) -> None:
    if removed := site.mirror.removed_records(commit, repository.change_folder(change)):
        raise Refused("record-removed", change=change, file=", ".join(removed))


def _past_plan(past: Site, ground: Ground, change: str) -> Plan:
    """The plan of that commit, once everything that it names by digest is found to lie beside it."""
    _check_removed(past, ground.snapshot.commit, change)
    plan = read_plan(need(ground.snapshot, _plan_file(change)), _plan_file(change))
    folder = repository.release_folder(plan.release.system, plan.release.version)
    tests = {Digest.of(content) for path, content in _tests(ground, plan).items() if path.endswith(".json")}
    bound = {
        "site": (plan.site, ground.trust.site),
        "repository": (plan.repository, ground.trust.repository.id),
        "request": (plan.request, _digest(ground, f"{repository.change_folder(change)}/request.yml")),
        "release": (plan.release.manifest, _digest(ground, f"{folder}/{MANIFEST}")),
        "checksums": (plan.release.checksums, _digest(ground, f"{folder}/{CHECKSUMS}")),
        "signature": (plan.release.signature, _digest(ground, f"{folder}/{SIGNATURE}")),
        "tests": (set(plan.tests) | tests, set(plan.tests)),
        "playbooks": (plan.playbooks.tree, past.mirror.tree_digest(ground.snapshot, repository.EXECUTED)),
    }
    for part, (signed, found) in bound.items():
        if found != signed:
            raise Refused("plan-not-of-its-parts", change=change, part=part)
    return plan


def _decide(past: Site, ground: Ground, plan: Plan, applier: str) -> Authorization:
    """Weigh the records of then and decide, as the gate did."""
    folder = repository.release_folder(plan.release.system, plan.release.version)
    papers = _PastPapers(
        plan.release,
        need(ground.snapshot, f"{folder}/{CHECKSUMS}"),
        need(ground.snapshot, f"{folder}/{SIGNATURE}"),
    )
    gate.check_vendor(past, ground.trust, papers, plan.release.manifest)
    known = {blob.path: blob.content for blob in ground.snapshot.files(FOLDER)}
    check_plan_not_known_bad(past.signatures, ground.trust, known, plan, past.clock())
    decided, _ = gate.change_records(past, ground.trust, ground.snapshot, plan.change)
    tests = gate.test_records(past, ground.trust, _tests(ground, plan))
    standing = weigh(plan, ground.trust, decided, tests, past.clock())
    return authorize(standing, applier=applier, commit=ground.snapshot.commit, trust_version=ground.trust.version)


@dataclass(frozen=True, slots=True)
class _PastPapers:
    release: PlannedRelease
    checksums: bytes
    signature: bytes


def _tests(ground: Ground, plan: Plan) -> dict[str, bytes]:
    """The test records beside the release, and their signatures."""
    folder = repository.release_folder(plan.release.system, plan.release.version)
    named = {blob.path: blob.content for blob in ground.snapshot.files(folder)}
    return {
        path: found for path, found in named.items() if TESTED.fullmatch(path.rsplit("/", 1)[-1].removesuffix(".sig"))
    }


def _plan_file(change: str) -> str:
    return f"{repository.change_folder(change)}/plan.json"


def _digest(ground: Ground, path: str) -> Digest:
    return Digest.of(need(ground.snapshot, path))


def _text(entry: Entry, name: str) -> str:
    """What an entry says; empty when it does not say it, as only a forged one would."""
    return str(entry.data.get(name, ""))


def _texts(entry: Entry, name: str) -> tuple[str, ...]:
    said = entry.data.get(name)
    return tuple(map(str, said)) if isinstance(said, list) else ()


def _compared(*parts: tuple[Part, str, str]) -> tuple[Difference, ...]:
    return tuple(Difference(part, journal, found) for part, journal, found in parts if journal != found)
