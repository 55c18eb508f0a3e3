"""Refusals that no other test meets: one honest mistake or one attack each, at the verb or the rule that says no."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import builders
from builders import BOTH, CHANGE, DEPARTMENT, ENGINEER, HEAD, NOW, REQUESTER, SITE_ENGINEER
from fakes import Branch, Break, Documents, Hospital, Killed, Published, Seals, sealed
from upgrader.app import _person
from upgrader.domain.approval.authorization import Signed, weigh
from upgrader.domain.approval.enrolment import PROOF_LIVES, Enrolment, check_enrolment, read_enrolment
from upgrader.domain.approval.record import Decision, Namespace, Result, TestStage
from upgrader.domain.approval.trust import KnownBadRule, Row, read_trust
from upgrader.domain.approval.trust_change import Revocation, revoked
from upgrader.domain.changes.brake import Ask, Brake
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import read_plan
from upgrader.domain.changes.playbook import HostOutcome, HostReport
from upgrader.domain.changes.request import Kind, Request
from upgrader.domain.digest import Digest
from upgrader.domain.errors import BadInput, Integrity, OutsideWindow, PreflightFailed, Refused, UpgraderError
from upgrader.domain.hospital.inspection import InspectionLog, Item, Limits, Round
from upgrader.domain.hospital.platform import Platform
from upgrader.domain.names import ChangeId, FileName, PersonId, SystemId, Version
from upgrader.domain.papers.evidence import CLOSURE_FORMAT, Closure, Ending, make_statement
from upgrader.domain.releases.build_facts import BuildFacts
from upgrader.domain.releases.build_kind import BuildKind
from upgrader.domain.releases.correction import Correction, TableRows
from upgrader.domain.releases.known_bad import (
    Given,
    KnownBadRecord,
    Mark,
    read_known_bad,
    spell_builds,
    unblock_fault,
    write_known_bad,
)
from upgrader.domain.releases.release import Build, Release
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.applying.brakes import check_brakes
from upgrader.flow.approval.authorize import change_records
from upgrader.flow.approval.own_words import time_of_next_word
from upgrader.flow.approval.sign import plan_to_sign, role_for
from upgrader.flow.closing.accept import accept_change
from upgrader.flow.closing.soak import soak_change
from upgrader.flow.closing.verify_evidence import Auditor, verify_evidence
from upgrader.flow.history import read_history
from upgrader.flow.planning.calendar import calendar_here
from upgrader.flow.planning.materials import read_change_files
from upgrader.flow.planning.plan import plan_change
from upgrader.flow.planning.request import request_change
from upgrader.flow.releases.draft import draft
from upgrader.flow.releases.known_bad import unblock_release
from upgrader.flow.releases.record import TestResult, record_test
from upgrader.flow.releases.stage import stage
from upgrader.flow.site import Site
from upgrader.flow.watching.doctor import examine_site
from upgrader.flow.watching.host_state import host_states
from upgrader.flow.watching.inspect import _keep, agenda, allow

TRUST, PLAN = builders.make_trust(), builders.plan_of()
SYSTEM, VERSION = PLAN.release.system, PLAN.release.version
FOLDER = f"releases/{SYSTEM}/{VERSION}"


def code_of(action: Callable[[], object], kind: type[UpgraderError] = Refused) -> str:
    with pytest.raises(kind) as refused:
        action()
    return refused.value.code


@dataclass(frozen=True, slots=True)
class Checkout:
    """A person's clone: pulling writes out what the tip of the branch holds; what is committed stays here."""

    root: Path
    branch: Branch

    def pull(self) -> str:
        for path, content in self.branch.tip().tree.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_bytes(content)
        return self.branch.tip().commit

    def commit(self, paths: Iterable[Path], message: str) -> str:
        raise AssertionError(f"nothing may be written: {message}")

    def push(self) -> None:
        raise AssertionError("nothing may be written")


def at_desk(hospital: Hospital, folder: Path, **parts: Any) -> Site:
    """The site as a person sees it who has just pulled."""
    clone = Checkout(folder, hospital.branch)
    clone.pull()
    return replace(hospital.site(), **{"clone": clone, "key": Path("key"), **parts})


# ------------------------------------------------------------------------------------ what a commit holds of a change


def reads(hospital: Hospital, request: Mapping[str, Any], release: Mapping[str, Any]) -> Site:
    papers = hospital.documents
    documents = Documents(replace(papers.request, **request), replace(papers.release, **release))
    return replace(hospital.site(), documents=documents)


CORRECTION = Correction(database="lis", tables=(TableRows("public.result", 3),), statement_seconds=30, lock_seconds=5)


@pytest.mark.parametrize(
    ("request_says", "release_says", "code"),
    [
        ({"change": ChangeId("CHG-2026-0999")}, {}, "request-elsewhere"),
        ({}, {"version": Version("3.5.11")}, "release-elsewhere"),
        ({}, {"system": SystemId("lis")}, "release-elsewhere"),
        ({}, {"correction": CORRECTION}, "document-differs"),
    ],
)
def test_papers_that_belong_elsewhere_reach_no_host(
    request_says: Mapping[str, Any], release_says: Mapping[str, Any], code: str
) -> None:
    hospital = Hospital()
    (build,) = hospital.plan.release.builds
    hospital.branch.add({f"{FOLDER}/{build.file}": b"UPDATE result SET value = 0;\n"})
    site = reads(hospital, request_says, release_says)

    assert code_of(lambda: apply_change(site, CHANGE, hospital.progress)) == code
    assert code_of(lambda: read_change_files(site, site.mirror.refresh(), CHANGE)) == code
    assert hospital.fleet.runs == []


def test_a_plan_that_others_sign_between_two_waves_does_not_run_in_the_place_of_the_first() -> None:
    hospital = Hospital()
    others = Published.of(builders.make_materials(revision=2))
    first = hospital.plan.waves[0].hosts

    def meanwhile(run: Any) -> None:
        if run.hosts == first:
            hospital.branch.add(others.commits[-1].tree)

    hospital.fleet.before_run = meanwhile

    assert code_of(lambda: apply_change(hospital.site(), CHANGE, hospital.progress)) == "plan-changed-under-way"
    assert hospital.fleet.asked_for("upgrade") == [first]
    last = hospital.journal.history().entries[-1]
    assert (last.event, last.data["code"]) == (Event.GATE_REFUSED, "plan-changed-under-way")
    assert code_of(lambda: apply_change(hospital.site(), CHANGE, hospital.progress)) == "plan-changed-under-way"
    assert hospital.fleet.asked_for("upgrade") == [first]


def test_a_paper_that_is_gone_from_the_branch_reaches_no_host() -> None:
    for gone in ("request.yml", "plan.json"):
        hospital = Hospital()
        tree = dict(hospital.branch.tip().tree)
        del tree[f"approvals/{CHANGE}/{gone}"]
        hospital.branch.commits.append(replace(hospital.branch.tip(), commit="f" * 40, tree=tree))

        assert code_of(lambda h=hospital: apply_change(h.site(), CHANGE, h.progress)) == "file-not-on-branch"  # type: ignore[misc]
        assert hospital.fleet.runs == []


def test_a_manifest_that_the_signed_list_does_not_name_reaches_no_host() -> None:
    hospital = Hospital()
    hospital.branch.add({f"{FOLDER}/release.yml": b"another manifest"})

    assert code_of(lambda: apply_change(hospital.site(), CHANGE, hospital.progress)) == "manifest-not-signed"
    assert hospital.fleet.runs == []


def test_a_record_under_the_name_of_another_refuses_everything() -> None:
    hospital = Hospital()
    folder = f"approvals/{CHANGE}"
    path, content = next(
        (path, content)
        for path, content in hospital.branch.tip().tree.items()
        if path.startswith(f"{folder}/approve_{HEAD}") and path.endswith(".json")
    )
    other = path.replace(f"approve_{HEAD}", f"approve_{BOTH}")
    hospital.branch.add({other: content, f"{other}.sig": hospital.branch.tip().tree[f"{path}.sig"]})

    assert code_of(lambda: apply_change(hospital.site(), CHANGE, hospital.progress)) == "record-misnamed"
    assert hospital.fleet.runs == []


def test_a_wave_that_was_cut_short_waits_for_a_person_once_the_window_is_over() -> None:
    hospital = Hospital()

    def cut_short(host: str) -> None:
        if host == "host-03":
            raise Killed

    hospital.fleet.before_host = cut_short
    with pytest.raises(Killed):
        apply_change(hospital.site(), CHANGE, hospital.progress)
    hospital.fleet.before_host = lambda _: None
    hospital.clock.now = builders.CLOSES
    before = len(hospital.fleet.runs)

    with pytest.raises(OutsideWindow) as refused:
        apply_change(hospital.site(), CHANGE, hospital.progress)

    assert refused.value.code == "wave-left-open"
    assert "host-02" in refused.value.fields["hosts"]
    assert len(hospital.fleet.runs) == before


def test_what_is_no_plan_and_what_is_no_trust_file_is_read_as_neither() -> None:
    plan, trust = PLAN.to_bytes(), TRUST.to_bytes()

    for old, new in ((b"upgrader.plan/", b"upgrader.plam/"), (b'"revision": 1', b'"revision": "x"')):
        assert old in plan
        assert code_of(lambda old=old, new=new: read_plan(plan.replace(old, new, 1))) == "plan-malformed"  # type: ignore[misc]
    for old, new in (
        (b"upgrader.trust/1", b"upgrader.trust/9"),
        (b'"version": 1', b'"version": "x"'),
        (b'"version": 1', b'"version": 1,\n  "zz": 1'),
    ):
        assert old in trust
        assert code_of(lambda old=old, new=new: read_trust(trust.replace(old, new, 1), "t")) == "trust-malformed"  # type: ignore[misc]


def test_a_test_of_other_bytes_is_left_out_by_name() -> None:
    other = Signed("site.json", builders.make_test(PLAN, TestStage.SITE, release=Digest.of(b"other")))

    left_out = weigh(PLAN, TRUST, builders.enough_approvals(PLAN), [other], NOW).left_out

    assert [(file, fault.code) for file, fault in left_out] == [("site.json", "test-other-release")]


@pytest.mark.parametrize(
    "changes",
    [
        {"person": PersonId("wu.gang")},
        {"person": builders.RETIRED, "role": DEPARTMENT},
        {"role": DEPARTMENT},
        {"person": builders.TESTER, "role": builders.VENDOR_TESTER},
    ],
    ids=["nobody", "who left", "a role not held", "the vendor in the site's place"],
)
def test_a_test_by_hands_that_may_not_test_is_left_out_by_name(changes: Mapping[str, Any]) -> None:
    other = Signed("site.json", builders.make_test(PLAN, TestStage.SITE, **changes))

    left_out = weigh(PLAN, TRUST, builders.enough_approvals(PLAN), [other], NOW).left_out

    assert [(file, fault.code) for file, fault in left_out] == [("site.json", "role-not-held")]


def test_a_trust_file_older_than_the_journals_know_authorizes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    hospital = Hospital()
    monkeypatch.setattr(hospital.journal, "newest_trust_version", lambda: hospital.trust.trust.version + 1)

    assert code_of(lambda: apply_change(hospital.site(), CHANGE, hospital.progress)) == "trust-rolled-back"
    assert hospital.fleet.runs == []


# ----------------------------------------------------------------------------------------------------------- evidence


@dataclass(frozen=True, slots=True)
class Sealed:
    """A bundle of which nothing was read yet but what its seal is judged by."""

    statement: Any
    statement_bytes: bytes = b"statement"
    signature: bytes = b"seal"
    files: Mapping[str, bytes] = field(default_factory=dict)


class Bundles:
    def __init__(self, bundle: Sealed) -> None:
        self.bundle = bundle

    def check_bundle(self, path: Path, check_seal: Callable[[Any], object]) -> Any:
        check_seal(self.bundle)
        raise AssertionError("the seal was good")

    def write_bundle(self, *_: Any, **__: Any) -> Digest:
        raise NotImplementedError


def test_a_bundle_that_rests_on_another_root_than_the_auditor_was_told_proves_nothing() -> None:
    closure = Closure(
        format=CLOSURE_FORMAT,
        site=PLAN.site,
        repository=PLAN.repository,
        change=CHANGE,
        kind=Kind.NORMAL,
        system=SYSTEM,
        version=VERSION,
        plan=PLAN.digest,
        journal=Digest.of(b"journal"),
        entries=1,
        ending=Ending.COMPLETED,
        hosts={"upgraded": 1},
        trust_version=1,
        closed=NOW,
        closed_by=ENGINEER,
        upgrader="0.1.0",
    )
    bundle = Sealed(make_statement(closure, {"plan.json": PLAN.digest}))
    seal = Seals().sign(bundle.statement_bytes, Namespace.EVIDENCE, Path(ENGINEER))
    auditor = Auditor(Bundles(replace(bundle, signature=seal)), Seals(), lambda _: ((TRUST,), Digest.of(b"roots")))

    def verify(root: str | None) -> object:
        return verify_evidence(auditor, Path("x.tar"), root)

    assert code_of(lambda: verify(str(Digest.of(b"others")))) == "evidence-other-root"
    for told in (str(Digest.of(b"roots")), None):
        with pytest.raises(AssertionError, match="the seal was good"):
            verify(told)


# ------------------------------------------------------------------------------------------------- releases known bad


def a_block(**changes: Any) -> KnownBadRecord:
    record = KnownBadRecord(
        format=KnownBadRecord.FORMAT,
        site=TRUST.site,
        repository=TRUST.repository.id,
        mark=Mark.BLOCK,
        system=SYSTEM,
        version=VERSION,
        release=PLAN.release.manifest,
        builds=spell_builds(build.sha256 for build in PLAN.release.builds),
        person=ENGINEER,
        role=SITE_ENGINEER,
        issued=builders.SIGNED,
        nonce="a" * 32,
        reason="alarms come twice",
    )
    return replace(record, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"mark": Mark.BLOCK},
        {"block": Digest.of(b"another block")},
        {"release": Digest.of(b"another release")},
        {"builds": spell_builds([Digest.of(b"another build")])},
        {"site": "other-hospital"},
        {"repository": "other/upgrades"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_block_is_lifted_by_a_word_on_this_very_block_alone(changes: Mapping[str, Any]) -> None:
    content = write_known_bad(a_block())
    block = Given("block.json", Digest.of(content), a_block(), None)
    honest = a_block(mark=Mark.UNBLOCK, person=HEAD, role=DEPARTMENT, block=block.digest)

    def fault(record: KnownBadRecord) -> str:
        found = unblock_fault(Given("unblock.json", Digest.of(b"-"), record, None), block, TRUST, NOW)
        return found.code if found else ""

    assert fault(honest) == ""
    assert fault(replace(honest, **changes)) == "unblock-of-other"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"person": PersonId("wu.gang")}, "person-not-active"),
        ({"person": builders.RETIRED}, "person-not-active"),
        ({"person": builders.INFORMATICIAN}, "role-not-held"),
        ({"issued": NOW + timedelta(hours=1)}, "approval-from-the-future"),
    ],
)
def test_a_block_is_lifted_by_whom_the_trust_file_knows_in_that_role_and_by_now(
    changes: Mapping[str, Any], code: str
) -> None:
    block = Given("block.json", Digest.of(write_known_bad(a_block())), a_block(), None)
    word = a_block(mark=Mark.UNBLOCK, person=HEAD, role=DEPARTMENT, block=block.digest)

    fault = unblock_fault(Given("unblock.json", Digest.of(b"-"), replace(word, **changes), None), block, TRUST, NOW)

    assert fault is not None
    assert fault.code == code


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"upgrader.known-bad/1", b"upgrader.known-bad/9"),
        (b'"mark": "block"', b'"mark": "praise"'),
        (b'"mark": "block"', b'"mark": "unblock"'),
    ],
)
def test_a_block_of_another_form_is_read_as_none(old: bytes, new: bytes) -> None:
    content = write_known_bad(a_block())
    assert old in content

    assert code_of(lambda: read_known_bad(content.replace(old, new), "block.json")) == "record-malformed"


@pytest.mark.parametrize("content", [b"{}\n", b'{\n  "format": "upgrader.enrolment/1",\n  "key": "x"\n}\n'])
def test_what_is_no_enrolment_is_refused(content: bytes) -> None:
    assert code_of(lambda: read_enrolment(content, "enrol_x.json")) == "record-malformed"


def test_an_enrolment_that_gives_itself_a_longer_life_is_refused() -> None:
    asked = Enrolment(
        format=Enrolment.FORMAT,
        site=TRUST.site,
        person=HEAD,
        key="ssh-ed25519 AAAA",
        issued=NOW,
        expires=NOW + PROOF_LIVES,
        nonce="0" * 32,
        reason="a new token",
    )
    check_enrolment(asked, TRUST.site, NOW)
    longer = replace(asked, expires=asked.expires + timedelta(seconds=1))

    assert code_of(lambda: check_enrolment(longer, TRUST.site, NOW)) == "enrolment-expired"


def test_nobody_is_revoked_who_is_not_there_and_no_key_that_nobody_holds() -> None:
    def code(holder: str, key: str | None) -> str:
        return code_of(lambda: revoked(TRUST, Revocation(PersonId(holder), NOW, key, leaves=False)))

    assert code("wu.gang", None) == "person-not-active"
    assert code(HEAD, "ssh-ed25519 of-somebody-else") == "key-not-known"


def test_a_word_of_somebody_whom_the_trust_file_does_not_know_has_that_fault_before_anybody_weighs_it() -> None:
    hospital = Hospital()
    record = builders.make_approval(hospital.plan, "wu.gang", builders.INFORMATION)
    hospital.branch.add(sealed(record, f"approvals/{CHANGE}"))

    decided, _ = change_records(hospital.site(), TRUST, hospital.branch.tip(), CHANGE)

    faults = [signed.fault.code for signed in decided if signed.fault]
    assert faults == ["person-not-active"]


def test_nobody_lifts_a_block_without_a_rule_and_nobody_one_that_is_not_there(tmp_path: Path) -> None:
    hospital = Hospital()
    site = at_desk(hospital, tmp_path)

    def unblock() -> object:
        return unblock_release(site, SYSTEM, VERSION, "seen", None)

    assert code_of(unblock) == "unblock-without-rule"
    hospital.trust.trust = replace(TRUST, known_bad=KnownBadRule((Row(DEPARTMENT, 1),)))
    assert code_of(unblock) == "not-known-bad"
    (tmp_path / FOLDER / "release.yml").unlink()
    emptied = replace(site, clone=replace(site.clone, branch=Branch()))  # type: ignore[type-var]
    emptied.clone.branch.add({})  # type: ignore[attr-defined]
    assert code_of(lambda: unblock_release(emptied, SYSTEM, VERSION, "seen", None), BadInput) == "release-not-staged"


# ------------------------------------------------------------------------------------------------------------- people


def test_who_holds_two_roles_of_the_rule_says_in_which_they_speak() -> None:
    assert code_of(lambda: role_for(TRUST, PLAN, BOTH, None), BadInput) == "role-to-choose"
    assert role_for(TRUST, PLAN, BOTH, DEPARTMENT) == DEPARTMENT


def test_who_said_nothing_has_nothing_to_withdraw(tmp_path: Path) -> None:
    hospital = Hospital()
    site = at_desk(hospital, tmp_path)

    def withdraw(person: Any) -> object:
        return time_of_next_word(site, hospital.plan, person, Decision.WITHDRAW)

    assert code_of(lambda: withdraw(BOTH)) == "nothing-to-withdraw"
    withdraw(HEAD)  # whose yes is there
    word = builders.make_approval(hospital.plan, HEAD, DEPARTMENT, decision=Decision.WITHDRAW, issued=NOW)
    hospital.publish(replace(word, nonce="c" * 32))
    site.clone.pull()
    assert code_of(lambda: withdraw(HEAD)) == "nothing-to-withdraw"


def test_a_name_that_names_nobody_is_told() -> None:
    assert code_of(lambda: _person("Li Na; rm"), BadInput) == "person-malformed"
    assert _person("li.na") == "li.na"


def test_a_host_that_was_left_behind_has_an_owner_before_anybody_accepts(tmp_path: Path) -> None:
    hospital = Hospital()
    hospital.fleet.hosts["host-05"].breaks = Break.GONE
    apply_change(hospital.site(), CHANGE, hospital.progress)
    soak_change(hospital.site(), CHANGE, hospital.progress, wait=True)
    hospital.person = HEAD

    assert code_of(lambda: accept_change(at_desk(hospital, tmp_path), CHANGE, None, "seen")) == "hosts-without-owner"


def test_who_asked_to_abort_is_named_until_the_change_has_stopped() -> None:
    hospital = Hospital()
    hospital.brakes.ask(Brake(ask=Ask.ABORT, change=CHANGE, person=HEAD, since=NOW, reason="complaints from the wards"))

    with pytest.raises(Refused) as refused:
        check_brakes(hospital.site(), CHANGE)

    assert refused.value.code == "abort-asked"
    assert HEAD in str(refused.value)


# ------------------------------------------------------------------------------------- what is not there (yet), by verb


def test_what_nobody_asked_for_planned_or_staged_is_told_as_such(tmp_path: Path) -> None:
    hospital = Hospital()
    site = at_desk(hospital, tmp_path)
    other = ChangeId("CHG-2026-0999")
    tested = TestResult(
        stage=TestStage.SITE,
        system=SYSTEM,
        version=Version("9.9.9"),
        result=Result.PASSED,
        cases="1 of 1",
        reason="seen",
    )
    wanted = replace(hospital.documents.request, version=Version("9.9.9"))

    assert code_of(lambda: plan_to_sign(site, other), BadInput) == "plan-not-made"
    assert code_of(lambda: plan_change(site, other, hospital.progress, publish=False), BadInput) == "change-unknown"
    assert code_of(lambda: record_test(site, tested), BadInput) == "release-not-staged"
    assert code_of(lambda: request_change(site, wanted), BadInput) == "release-not-staged"
    assert (
        code_of(lambda: host_states(site, SystemId("lis"), "all", hospital.progress), BadInput) == "system-not-staged"
    )
    assert code_of(lambda: calendar_here(site), BadInput) == "calendar-missing"
    hospital.journal.lines.clear()
    assert code_of(lambda: read_history(site, other), BadInput) == "change-unknown"


def test_a_request_that_would_be_read_otherwise_than_it_was_meant_is_not_published(tmp_path: Path) -> None:
    class Careless(Documents):
        def write_request(self, request: Request) -> str:
            return "hosts: everywhere\n"

    hospital = Hospital()
    papers = hospital.documents
    site = at_desk(hospital, tmp_path, documents=Careless(papers.request, papers.release))

    said = code_of(lambda: request_change(site, replace(papers.request, reason="another")))

    assert said == "request-not-faithful"


def test_a_host_that_answers_but_is_not_ready_stops_the_plan(tmp_path: Path) -> None:
    hospital = Hospital()
    host = hospital.fleet.hosts["host-03"]
    host.remember = lambda key: HostReport(host="host-03", outcome=HostOutcome.FAILED, detail="disk full")  # type: ignore[method-assign]

    said = code_of(
        lambda: plan_change(at_desk(hospital, tmp_path), CHANGE, hospital.progress, publish=False), PreflightFailed
    )

    assert said == "host-not-ready"


def test_a_windows_host_is_told_as_one_that_ssh_does_not_reach() -> None:
    hospital = Hospital()
    windows = replace(hospital.plan.hosts[0], platform=Platform.WINDOWS, host_key="")
    hospital.plan = replace(hospital.plan, hosts=(windows,))

    class NoPrograms:
        names: tuple[str, ...] = ()

        def version(self, name: str) -> str:
            raise NotImplementedError

        def check_state(self, folder: Path) -> Path:
            return folder

    found = [
        finding.error.code
        for finding in examine_site(hospital.site(), NoPrograms(), lambda hosts, parallel: iter(()), hosts="all")
        if finding.error
    ]

    assert "host-not-by-ssh" in found


# -------------------------------------------------------------------------------------------------------- inspections


def test_an_inspection_asks_at_least_one_host_and_needs_a_rule(tmp_path: Path) -> None:
    hospital = Hospital()
    hospital.branch.add({"inspection.yml": b"daily: []\n"})

    class Looks(Documents):
        def read_inspection(self, content: bytes, file: str) -> list[Item]:
            return [
                Item(
                    round=Round.DAILY,
                    system=SYSTEM,
                    hosts="exam_scheduling",
                    probe=builders.make_probe(),
                    limits=Limits(),
                )
            ]

    class Nobody:
        def resolve(self, tree: Path, pattern: str) -> list[Any]:
            return []

        def grouped(self, tree: Path) -> list[Any]:
            return []

        def sudo_secrets(self, tree: Path, names: Sequence[str]) -> Sequence[str]:
            return ()

    documents = Looks(hospital.documents.request, hospital.documents.release)
    site = at_desk(hospital, tmp_path, documents=documents)

    with agenda(site) as asked:
        in_a_month = NOW + timedelta(days=30)
        assert code_of(lambda: allow(site, asked, None, in_a_month, "seen")) == "inspection-without-rule"
    with pytest.raises(BadInput, match="inspection-without-host"), agenda(replace(site, inventory=Nobody())):
        pass


def test_an_inspection_that_cannot_be_kept_is_not_told_as_done(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("a file")
    log = InspectionLog(
        format=InspectionLog.FORMAT,
        site=TRUST.site,
        round=Round.DAILY,
        began=NOW,
        ended=NOW,
        actor=REQUESTER,
        file=Digest.of(b"file"),
        targets=Digest.of(b"targets"),
        authorized=(HEAD,),
        sightings=(),
        risks=(),
        baseline=True,
    )

    said = code_of(lambda: _keep(replace(Hospital().site(), state=tmp_path / "plain"), log), PreflightFailed)

    assert said == "inspection-log-not-written"


# ------------------------------------------------------------------------------------------------------------ staging


SEEN = BuildFacts(BuildKind.TAR, files=1, total_bytes=1)


def holds_nothing(_: Path, wanted: Collection[Digest]) -> Collection[Digest]:
    return ()


@dataclass(frozen=True, slots=True)
class Drop:
    release: Release
    files: tuple[tuple[Build, Path], ...]
    manifest: bytes = b"manifest of 3.5.11"
    checksums: bytes = b"checksums of 3.5.11"

    @property
    def signature(self) -> bytes:
        return Seals().sign(self.checksums, Namespace.RELEASE, Path(self.release.vendor))


def test_bytes_that_change_between_the_look_and_the_copy_do_not_reach_the_store(tmp_path: Path) -> None:
    hospital = Hospital()
    path = tmp_path / "build"
    path.write_bytes(b"other")
    release = builders.make_release(version=Version("3.5.11"))
    drop = Drop(release, ((release.builds[0], path),))
    site = at_desk(hospital, tmp_path / "clone")

    said = code_of(lambda: stage(site, drop, lambda _: SEEN, holds_nothing, hospital.progress), Integrity)

    assert said == "build-changed-while-staged"


def test_a_file_that_a_probe_looks_for_has_to_be_in_some_build(tmp_path: Path) -> None:
    hospital = Hospital()
    path, app = tmp_path / "build", Digest.of(b"the handhelds' program")
    path.write_bytes(b"other")
    probe = builders.make_probe("app", expect_text=None, expect_sha256=app)
    release = builders.make_release(version=Version("3.5.11"), probes=(probe,))
    drop = Drop(release, ((release.builds[0], path),))
    site = at_desk(hospital, tmp_path / "clone")

    without = code_of(lambda: stage(site, drop, lambda _: SEEN, holds_nothing, hospital.progress), Refused)
    beside = code_of(lambda: stage(site, drop, lambda _: SEEN, lambda _, sought: sought, hospital.progress), Integrity)

    assert without == "probe-file-not-delivered"
    assert beside == "build-changed-while-staged"  # it came past that rule


def test_a_document_that_changes_after_it_was_judged_is_not_published(tmp_path: Path) -> None:
    hospital = Hospital()
    notes, path = Build(FileName("NOTES.md"), Digest.of(b"# good\n"), 7), tmp_path / "NOTES.md"
    path.write_bytes(b"# evil\n")
    release = builders.make_release(version=Version("3.5.11"), documents=(notes,))
    site = at_desk(hospital, tmp_path / "clone")

    said = code_of(
        lambda: stage(site, Drop(release, ((notes, path),)), lambda _: SEEN, holds_nothing, hospital.progress),
        Integrity,
    )

    assert said == "build-changed-while-staged"


def test_a_folder_without_a_build_gives_no_draft(tmp_path: Path) -> None:
    class Empty:
        folder = tmp_path

        def found(self) -> list[Any]:
            return []

    assert code_of(lambda: draft(Hospital().site(), Empty()), BadInput) == "draft-no-build"  # type: ignore[arg-type]
