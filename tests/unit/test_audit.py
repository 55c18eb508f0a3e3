"""Audit: a decision of the journal is what plan, records and trust file of then give, or it is said how it differs."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

import builders
from fakes import Hospital, sealed
from upgrader.domain.approval.record import AcceptanceRecord
from upgrader.domain.approval.trust import Trust
from upgrader.domain.changes.journal import Entry, History
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.closing.accept import accepted_head
from upgrader.flow.closing.audit import AuditedChange, Decision, Finding, Part, audit_change
from upgrader.flow.closing.soak import soak_change

FOLDER = f"approvals/{builders.CHANGE}"
YEARS = timedelta(days=700)


@pytest.fixture
def hospital() -> Hospital:
    """One change: refused once, for want of signatures; then authorized, applied, found stable, and accepted."""
    hospital = Hospital()
    signed = hospital.branch.commits[-1].tree
    unsigned = {path: found for path, found in signed.items() if not path.startswith(f"{FOLDER}/approve_")}
    hospital.branch.commits[-1] = replace(hospital.branch.commits[-1], tree=unsigned)
    with pytest.raises(Refused, match="approvals-missing"):
        apply_change(hospital.site(), builders.CHANGE, hospital.progress)
    hospital.branch.add(signed)
    hospital.clock.sleep(60)
    apply_change(hospital.site(), builders.CHANGE, hospital.progress)
    soak_change(hospital.site(), builders.CHANGE, hospital.progress, wait=True)
    accept(hospital)
    hospital.clock.now += YEARS
    return hospital


def accept(hospital: Hospital, **changes: Any) -> None:
    history = hospital.journal.history()
    record = AcceptanceRecord(
        format=AcceptanceRecord.FORMAT,
        site=hospital.plan.site,
        repository=hospital.plan.repository,
        change=hospital.plan.change,
        plan=hospital.plan.digest,
        journal=accepted_head(history),
        result="stable",
        person=builders.HEAD,
        role=builders.DEPARTMENT,
        issued=hospital.clock(),
        nonce="0" * 32,
        reason="works",
    )
    files = sealed(replace(record, **changes), FOLDER)
    hospital.branch.add(files)
    data = {"people": [builders.HEAD], "files": [path for path in files if path.endswith(".json")], "trust_version": 1}
    hospital.journal.write(Event.CHANGE_ACCEPTED, data, at=hospital.clock(), actor=builders.HEAD)


def audit(hospital: Hospital) -> AuditedChange:
    return audit_change(hospital.site(), builders.CHANGE)


def of(audited: AuditedChange, event: Event) -> Decision:
    (decision,) = [one for one in audited.decisions if one.event is event]
    return decision


def rewrite(hospital: Hospital, event: Event, change: Callable[[Entry], Entry]) -> None:
    """What somebody does who owns the state folder: one entry says something else, and the chain is whole again."""
    history = History()
    lines: list[bytes] = []
    for entry in hospital.journal.history().entries:
        said = change(entry) if entry.event is event else entry
        said = replace(said, seq=len(lines), prev=history.head)
        history = history.with_entry(said)
        lines.append(said.to_line())
    hospital.journal.lines[:] = lines


def saying(**data: Any) -> Callable[[Entry], Entry]:
    return lambda entry: replace(entry, data={**entry.data, **data})


def test_years_later_every_decision_is_what_the_records_give(hospital: Hospital) -> None:
    audited = audit(hospital)

    assert audited.holds
    assert [(one.event, one.finding) for one in audited.decisions] == [
        (Event.GATE_REFUSED, Finding.CONFIRMED),
        (Event.PLAN_AUTHORIZED, Finding.CONFIRMED),
        (Event.CHANGE_ACCEPTED, Finding.CONFIRMED),
    ]
    assert of(audited, Event.PLAN_AUTHORIZED).told == (builders.INFORMATICIAN, builders.HEAD)
    assert of(audited, Event.GATE_REFUSED).told == ("approvals-missing",)


def test_nothing_is_asked_but_journal_mirror_and_trust_chain(hospital: Hospital) -> None:
    runs = len(hospital.fleet.runs)
    site = replace(hospital.site(), person=None, documents=None, inventory=None, builds=None)  # type: ignore[arg-type]

    assert audit_change(site, builders.CHANGE).holds
    assert len(hospital.fleet.runs) == runs


OTHER_PLAN = Digest.of(b"another plan").hex
LIES: dict[str, tuple[Event, Callable[[Entry], Entry], Part]] = {
    "other people": (Event.PLAN_AUTHORIZED, saying(people=[builders.BOTH, builders.HEAD]), Part.PEOPLE),
    "nobody": (Event.PLAN_AUTHORIZED, saying(people=[]), Part.PEOPLE),
    "other approvals": (Event.PLAN_AUTHORIZED, saying(approvals=[f"{FOLDER}/approve_x.json"]), Part.APPROVALS),
    "another plan": (Event.PLAN_AUTHORIZED, saying(plan=OTHER_PLAN), Part.PLAN),
    "another commit": (Event.PLAN_AUTHORIZED, saying(commit="f" * 40), Part.DECISION),
    "a commit before the signatures": (Event.PLAN_AUTHORIZED, saying(commit=f"{4:040x}"), Part.DECISION),
    "a trust file that never was": (Event.PLAN_AUTHORIZED, saying(trust_version=2), Part.DECISION),
    "a time before the window": (
        Event.PLAN_AUTHORIZED,
        lambda entry: replace(entry, at=builders.OPENS - timedelta(seconds=1)),
        Part.DECISION,
    ),
    "an applier who was the only approver": (
        Event.PLAN_AUTHORIZED,
        saying(approvals=[f"{FOLDER}/approve_x.json"], people=[builders.HEAD]),
        Part.PEOPLE,
    ),
    "a refusal that was none": (Event.GATE_REFUSED, saying(commit=f"{6:040x}"), Part.DECISION),
    "another refusal": (Event.GATE_REFUSED, saying(code="plan-rejected"), Part.DECISION),
    "an acceptance by others": (Event.CHANGE_ACCEPTED, saying(people=[builders.BOTH]), Part.PEOPLE),
    "an acceptance that is nowhere": (Event.CHANGE_ACCEPTED, saying(files=[f"{FOLDER}/accept_x.json"]), Part.MISSING),
}


@pytest.mark.parametrize(("event", "lie", "part"), LIES.values(), ids=LIES)
def test_a_journal_that_was_made_whole_again_around_a_lie_is_found_out(
    hospital: Hospital, event: Event, lie: Callable[[Entry], Entry], part: Part
) -> None:
    rewrite(hospital, event, lie)

    audited = audit(hospital)

    assert not audited.holds
    assert of(audited, event).finding is Finding.DIFFERS
    assert part in {difference.part for difference in of(audited, event).differences}


def test_the_acceptance_shows_that_what_came_before_it_was_rewritten(hospital: Hospital) -> None:
    rewrite(hospital, Event.WAVE_STARTED, saying(name="another name"))

    audited = audit(hospital)

    assert of(audited, Event.PLAN_AUTHORIZED).finding is Finding.CONFIRMED
    assert of(audited, Event.CHANGE_ACCEPTED).differences[0].part is Part.MISSING


def approvals(hospital: Hospital) -> list[str]:
    tree = hospital.branch.commits[-1].tree
    return sorted(path for path in tree if path.startswith(f"{FOLDER}/approve_") and path.endswith(".json"))


def on_every_commit(hospital: Hospital, path: str, content: bytes) -> None:
    commits = hospital.branch.commits
    commits[:] = [replace(c, tree={**c.tree, path: content}) if path in c.tree else c for c in commits]


def a_signature_is_of_something_else(hospital: Hospital) -> None:
    on_every_commit(hospital, f"{approvals(hospital)[0]}.sig", b"nobody upgrader 0")


def a_record_says_something_else(hospital: Hospital) -> None:
    path = approvals(hospital)[0]
    content = hospital.branch.commits[-1].tree[path]
    on_every_commit(hospital, path, content.replace(b"read and agreed", b"read and liked!"))


def the_plan_of_that_commit_is_another(hospital: Hospital) -> None:
    on_every_commit(hospital, f"{FOLDER}/plan.json", replace(hospital.plan, runs=2).to_bytes())


def the_request_of_that_commit_is_another(hospital: Hospital) -> None:
    on_every_commit(hospital, f"{FOLDER}/request.yml", b"another request")


def a_signers_key_did_not_count_then(hospital: Hospital) -> None:
    def ended(trust: Trust) -> Trust:
        early = [
            replace(p, keys=tuple(replace(k, valid_until=builders.NOW) for k in p.keys)) if p.id == builders.HEAD else p
            for p in trust.people
        ]
        return replace(trust, people=tuple(early))

    hospital.trust.trust = ended(hospital.trust.trust)


def the_trust_file_had_expired(hospital: Hospital) -> None:
    hospital.trust.trust = replace(hospital.trust.trust, expires=builders.NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        a_signature_is_of_something_else,
        a_record_says_something_else,
        the_plan_of_that_commit_is_another,
        the_request_of_that_commit_is_another,
        a_signers_key_did_not_count_then,
        the_trust_file_had_expired,
    ],
)
def test_a_yes_that_the_records_of_then_do_not_give_is_found_out(
    hospital: Hospital, wrong: Callable[[Hospital], None]
) -> None:
    wrong(hospital)

    assert of(audit(hospital), Event.PLAN_AUTHORIZED).finding is Finding.DIFFERS


def test_a_refusal_for_what_is_not_kept_is_taken_at_the_journals_word(hospital: Hospital) -> None:
    rewrite(hospital, Event.GATE_REFUSED, saying(code="build-damaged"))

    audited = audit(hospital)

    assert of(audited, Event.GATE_REFUSED).finding is Finding.TAKEN


def test_a_journal_whose_chain_is_broken_does_not_hold(hospital: Hospital) -> None:
    hospital.journal.lines[1] = hospital.journal.lines[1].replace(b'"revision":1', b'"revision":2')

    audited = audit(hospital)

    assert (audited.holds, audited.decisions) == (False, ())
    assert audited.fault is not None
    assert audited.fault.code == "journal-chain-broken"


def test_a_record_that_is_gone_from_the_branch_does_not_hold(hospital: Hospital) -> None:
    hospital.branch.removed = [f"{FOLDER}/reject_x.json"]

    audited = audit(hospital)

    assert audited.fault is not None
    assert audited.fault.code == "record-removed"
