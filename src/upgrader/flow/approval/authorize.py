"""The gate: may exactly this run, now? It refuses by default, and contacts no host before it has answered."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from upgrader.domain.approval.authorization import Authorization, Fault, Signed, Standing, authorize, weigh
from upgrader.domain.approval.claim import Claim
from upgrader.domain.approval.record import (
    NAMESPACES,
    AcceptanceRecord,
    ApprovalRecord,
    DebtRecord,
    Decision,
    InspectionRecord,
    PaperRecord,
    R,
    Record,
    TestRecord,
    hand_of,
    read_record,
    record_name,
    role_of_hand,
)
from upgrader.domain.approval.trust import Trust
from upgrader.domain.changes.plan import Plan, make_plan, read_plan
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, OutsideWindow, Refused
from upgrader.domain.papers.paper import check_scan
from upgrader.flow import repository
from upgrader.flow.applying.comes_after import check_comes_after
from upgrader.flow.identity import acting_person
from upgrader.flow.planning.materials import ChangeFiles, hosts_to_upgrade, make_materials, need, read_change_files
from upgrader.flow.planning.stand_ins import check_stand_ins
from upgrader.flow.releases.known_bad import check_not_known_bad, suspect_of
from upgrader.flow.releases.stage import Papers, release_claim
from upgrader.flow.releases.works_with import check_declared
from upgrader.flow.site import Site
from upgrader.ports import Snapshot, Tree

DECIDED = re.compile(r"(approve|reject|withdraw)_[a-z0-9.-]+_[a-z0-9-]+_[0-9a-f]{8}\.json")
ACCEPTED = re.compile(r"accept_[a-z0-9.-]+_[a-z0-9-]+_[0-9a-f]{8}\.json")
ON_PAPER = re.compile(r"paper_[a-z0-9.-]+_[a-z0-9-]+_[0-9a-f]{8}\.json")
SCANNED = re.compile(r"(paper_[a-z0-9.-]+_[a-z0-9-]+_[0-9a-f]{8})\.(pdf|png|jpg)")
ANSWERED = re.compile(r"debt_[a-z0-9.-]+_[a-z0-9-]+_[0-9a-f]{8}\.json")
RECORDS = (DECIDED, ON_PAPER, ACCEPTED, ANSWERED)
ALLOWED = re.compile(r"inspect_[a-z0-9.-]+_[a-z0-9-]+_[0-9a-f]{8}\.json")
TESTED = re.compile(r"(vendor-test|site-test)_[a-z0-9.-]+_[a-z0-9-]+_[0-9a-f]{8}\.json")


@dataclass(frozen=True, slots=True)
class Examined:
    """A change as the gate sees it on one commit. Nothing is decided yet."""

    plan: Plan
    files: ChangeFiles
    trust: Trust
    snapshot: Snapshot
    tree: Tree
    standing: Standing
    acceptances: tuple[Signed[AcceptanceRecord], ...]


@dataclass(frozen=True, slots=True)
class Ground:
    """What a decision stands on: whom we trust, and what the branch holds. The journal names both."""

    trust: Trust
    snapshot: Snapshot

    def as_data(self) -> Mapping[str, Any]:
        return {"commit": self.snapshot.commit, "trust_version": self.trust.version}


def present_ground(site: Site) -> Ground:
    """The newest trust file, unless it has run out, and the tip of the branch, fetched just now.

    Raises Refused `trust-rolled-back` when a journal names a newer version: somebody took that away.
    """
    trust = site.trust.load()
    site.trust.check_current(trust, site.clock())
    if trust.version < (newest := site.journals.newest_trust_version()):
        raise Refused("trust-rolled-back", expected=newest, found=trust.version)
    return Ground(trust, site.mirror.refresh())


@contextmanager
def examine(site: Site, change: str, ground: Ground | None = None) -> Iterator[Examined]:
    """Read a change from the protected branch and weigh it; the exported tree lives as long as the context.

    1. whom do we trust?  2. what does the branch say?  3. is plan.json what its parts give?  4. who signed what?
    Raises Refused for anything that no missing signature could explain.
    """
    ground = ground or present_ground(site)
    trust, snapshot = ground.trust, ground.snapshot
    folder = repository.change_folder(change)
    if removed := site.mirror.removed_records(snapshot.commit, folder):
        raise Refused("record-removed", change=change, file=", ".join(removed))
    plan = read_plan(need(snapshot, f"{folder}/plan.json"), f"{folder}/plan.json")
    trust.rule(plan.kind).check_window(plan.kind, plan.window.closes - plan.window.opens)
    files = read_change_files(site, snapshot, change)
    _check_vendors(site, trust, files)
    with site.export(snapshot) as tree:
        _check_remade(site, trust, files, snapshot, tree, plan)
        standing, acceptances = _weigh(site, trust, snapshot, files, plan)
        yield Examined(plan, files, trust, snapshot, tree, standing, acceptances)


@contextmanager
def examine_late(site: Site, change: str, commit: str, digest: str) -> Iterator[Examined]:
    """A change whose waves are over, for hosts that come late.

    Plan, release and tree are those of the `commit` that was authorized, whatever the branch brought since; trust file
    and everybody's word are those of today. Raises Refused `plan-digest` when another plan stands on the branch now.
    """
    ground = present_ground(site)
    folder = repository.change_folder(change)
    if removed := site.mirror.removed_records(ground.snapshot.commit, folder):
        raise Refused("record-removed", change=change, file=", ".join(removed))
    then = site.mirror.at(commit)
    for snapshot in (then, ground.snapshot):
        plan = read_plan(need(snapshot, f"{folder}/plan.json"), f"{folder}/plan.json")
        if plan.digest.hex != digest:
            raise Refused("plan-digest", expected=digest[:8], found=plan.digest.short, file=f"{folder}/plan.json")
    files = read_change_files(site, then, change)
    _check_vendors(site, ground.trust, files)
    with site.export(then) as tree:
        _check_remade(site, ground.trust, files, then, tree, plan)
        standing, acceptances = _weigh(site, ground.trust, ground.snapshot, files, plan)
        yield Examined(plan, files, ground.trust, ground.snapshot, tree, standing, acceptances)


def examine_again(site: Site, examined: Examined) -> Examined:
    """The same commit under the same trust version, as of now: a key, a person or an approval may have ended since.

    The bytes are those that were examined, so the tree is not written and the plan not made again.
    """
    site.trust.check_current(examined.trust, site.clock())
    _check_vendors(site, examined.trust, examined.files)
    standing, acceptances = _weigh(site, examined.trust, examined.snapshot, examined.files, examined.plan)
    return replace(examined, standing=standing, acceptances=acceptances)


def give_authorization(site: Site, examined: Examined) -> Authorization:
    """Decide: enough different people, and now. Raises Refused or OutsideWindow with the first reason.

    A window that is over comes first: signatures end with it, and what helps is not another one.
    """
    if site.clock() >= examined.plan.window.closes:
        check_window(site, examined.plan)
    authorization = authorized_at_any_time(site, examined)
    check_window(site, examined.plan)
    check_stand_ins(site, examined.snapshot, examined.plan)
    check_comes_after(site, examined.plan)
    if examined.files.release.works_with or examined.plan.joint:
        check_declared(site, examined.snapshot, examined.files.release, examined.plan.joint or ())
    return authorization


def authorized_at_any_time(site: Site, examined: Examined) -> Authorization:
    """Decide whether enough different people gave their word, whatever the time is, for a release that nobody found
    bad since. Raises Refused.
    """
    check_release_not_bad(site, examined)
    return authorize(
        examined.standing,
        applier=acting_person(site),
        commit=examined.snapshot.commit,
        trust_version=examined.trust.version,
    )


def check_release_not_bad(site: Site, examined: Examined) -> None:
    """Raises Refused `known-bad` when somebody found this release bad since, and nobody lifted that."""
    suspect = suspect_of(examined.files.release, examined.files.papers.manifest, examined.plan.requester)
    check_not_known_bad(site, examined.trust, examined.snapshot, suspect)


def check_window(site: Site, plan: Plan) -> None:
    """Raises OutsideWindow unless the plan's window is open now."""
    if not plan.window.opens <= site.clock() < plan.window.closes:
        zone = ZoneInfo(plan.window.zone)
        opens, closes, now = (
            f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"
            for moment in (plan.window.opens, plan.window.closes, site.clock())
        )
        raise OutsideWindow(
            "window-not-open", change=plan.change, opens=opens, closes=closes, now=now, zone=plan.window.zone
        )


def verified_builds(site: Site, plan: Plan) -> Mapping[Digest, Path]:
    """Every build that the plan names, re-hashed on its descriptor just now. Raises Integrity naming the first."""
    return {build.sha256: site.builds.open_verified(build.sha256, build.size) for build in plan.builds}


def check_tree(site: Site, tree: Tree) -> None:
    """Raises Integrity when the exported tree is no longer what was approved."""
    if site.tree_digest(tree.path) != tree.digest:
        raise Integrity("tree-changed", path=tree.path, expected=tree.digest.short)


def _weigh(
    site: Site, trust: Trust, snapshot: Snapshot, files: ChangeFiles, plan: Plan
) -> tuple[Standing, tuple[Signed[AcceptanceRecord], ...]]:
    """Who signed what, as of now."""
    decided, acceptances = change_records(site, trust, snapshot, plan.change)
    tests = test_records(site, trust, files.tests)
    return weigh(plan, trust, decided, tests, site.clock()), tuple(acceptances)


def _check_vendors(site: Site, trust: Trust, files: ChangeFiles) -> None:
    for papers in (files.papers, *files.left.values()):
        check_vendor(site, trust, papers, Digest.of(papers.manifest))


def _check_remade(site: Site, trust: Trust, files: ChangeFiles, snapshot: Snapshot, tree: Tree, plan: Plan) -> None:
    """Make the plan again from the commit: whatever differs from plan.json was not what people signed."""
    hosts = hosts_to_upgrade(site, tree, files.request)
    installed = {str(host.name): host.installed for host in plan.hosts}
    remade = make_plan(make_materials(site, trust, files, snapshot, tree, hosts, installed, plan.revision))
    if remade != plan:
        changed = _first_difference(remade, plan)
        raise Refused("plan-not-of-its-parts", change=plan.change, part=changed)


def _first_difference(remade: Plan, plan: Plan) -> str:
    names = plan.__dataclass_fields__
    return next((name for name in names if getattr(remade, name) != getattr(plan, name)), "-")


def check_vendor(site: Site, trust: Trust, papers: Papers, manifest: Digest) -> None:
    """The signature over the vendor's list, by the vendor or its packager, and the manifest that the list names."""
    site.signatures.verify(release_claim(trust, papers), site.clock())
    if f"{manifest}  release.yml" not in papers.checksums.decode(errors="replace").splitlines():
        raise Refused("manifest-not-signed", release=papers.release.name, file="release.yml")


def change_records(
    site: Site, trust: Trust, snapshot: Snapshot, change: str
) -> tuple[list[Signed[ApprovalRecord]], list[Signed[AcceptanceRecord]]]:
    """All signed records of a change. The folder is a closed world: any other file refuses."""
    folder = repository.change_folder(change)
    files = {blob.path: blob.content for blob in snapshot.files(folder)}
    known = {f"{folder}/request.yml", f"{folder}/plan.json"}
    records = {path: content for path, content in files.items() if path not in known}
    for path in records:
        name = _record_of(path.removeprefix(f"{folder}/"))
        if not any(form.fullmatch(name) for form in RECORDS) or f"{folder}/{name}" not in records:
            raise Refused("file-not-known", change=change, file=path)
    return (
        [
            *_records(site, trust, ApprovalRecord, records, DECIDED),
            *_records(site, trust, PaperRecord, records, ON_PAPER),
        ],
        list(_records(site, trust, AcceptanceRecord, records, ACCEPTED)),
    )


def debt_records(site: Site, trust: Trust, snapshot: Snapshot, change: str) -> list[Signed[DebtRecord]]:
    """What people signed after an emergency."""
    files = {blob.path: blob.content for blob in snapshot.files(repository.change_folder(change))}
    return list(_records(site, trust, DebtRecord, files, ANSWERED))


def inspection_records(site: Site, trust: Trust, snapshot: Snapshot) -> list[Signed[InspectionRecord]]:
    """Who let hosts be inspected. Whether each record is for what would be looked at now is for `inspect` to say."""
    files = {blob.path: blob.content for blob in snapshot.files(repository.INSPECTIONS)}
    return list(_records(site, trust, InspectionRecord, files, ALLOWED))


def test_records(site: Site, trust: Trust, files: Mapping[str, bytes]) -> Sequence[Signed[TestRecord]]:
    """The signed tests among the files that lie beside a release."""
    return list(_records(site, trust, TestRecord, files, TESTED))


def _record_of(name: str) -> str:
    """The record to which a file belongs: its signature, the scan beside it, or the record itself."""
    scan = SCANNED.fullmatch(name)
    return f"{scan[1]}.json" if scan else name.removesuffix(".sig")


def _records(
    site: Site, trust: Trust, kind: type[R], files: Mapping[str, bytes], pattern: re.Pattern[str]
) -> Iterable[Signed[R]]:
    for path in sorted(files):
        if pattern.fullmatch(path.rsplit("/", 1)[-1]):
            yield _record(site, trust, kind, path, files)


def _record(site: Site, trust: Trust, kind: type[R], path: str, files: Mapping[str, bytes]) -> Signed[R]:
    """Read one record, verify its signature and its scan; what is wrong with it becomes its fault."""
    content = files[path]
    try:
        record = read_record(kind, content, path)
        if record_name(record) != path.rsplit("/", 1)[-1]:
            raise Refused("record-misnamed", file=path, expected=record_name(record))
        person = trust.person(hand_of(record))
        if person is None:
            return Signed(path, record, Fault("person-not-active", {"person": hand_of(record)}))
        claim = Claim(
            content=content,
            signature=files.get(f"{path}.sig", b""),
            namespace=NAMESPACES[kind],
            principal=person.id,
            keys=person.keys,
            file=path,
            proof=trust.proof_of(role_of_hand(record, trust.paper.custodian if trust.paper else None)),
        )
        fault = _verify(site, claim, record)
        if isinstance(record, PaperRecord):
            check_scan(record, path, files)
    except Refused as error:
        return Signed(path, None, Fault.of(error))
    return Signed(path, record, fault)


def _verify(site: Site, claim: Claim, record: Record) -> Fault | None:
    """Verify a record's signature. A key that has ended since makes a record that does not count, not a forged one.

    Except a no: it stands until its author withdraws it, whatever became of the key. Raises Refused for all else.
    """
    try:
        site.signatures.verify(claim, site.clock())
    except Refused as error:
        if error.code != "key-not-valid":
            raise
        timeless = tuple(key if isinstance(key, str) else key.public for key in claim.keys)
        site.signatures.verify(replace(claim, keys=timeless), site.clock())
        is_no = isinstance(record, ApprovalRecord) and record.decision is Decision.REJECT
        return None if is_no else Fault(error.code, error.fields)
    return None
