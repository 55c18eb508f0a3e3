"""Plan: decide everything, from what the protected branch holds and what the hosts say they run; then publish it."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import UNKNOWN, Plan, make_plan, read_plan, ways_back
from upgrader.domain.changes.playbook import HostOutcome, HostReport, PlaybookRun
from upgrader.domain.changes.request import Request
from upgrader.domain.errors import BadInput, PreflightFailed
from upgrader.domain.hospital.platform import check_served
from upgrader.domain.releases.release import Release, Strategy
from upgrader.flow import repository
from upgrader.flow.applying import upgrade
from upgrader.flow.applying.comes_after import as_left_by, plans_before
from upgrader.flow.identity import acting_person
from upgrader.flow.planning.materials import (
    ChangeFiles,
    earlier_releases,
    hosts_to_upgrade,
    make_materials,
    read_change_files,
)
from upgrader.flow.planning.stand_ins import check_stand_ins
from upgrader.flow.releases.known_bad import check_not_known_bad, suspect_of
from upgrader.flow.releases.works_with import check_declared
from upgrader.flow.site import Site
from upgrader.ports import InventoryHost, Progress, Snapshot, Tree

PREFLIGHT = "playbooks/preflight.yml"


@dataclass(frozen=True, slots=True)
class Planned:
    """`before` is the plan that stood on the branch; `is_new` tells whether this one differs from it."""

    plan: Plan
    before: Plan | None
    is_new: bool

    def diff(self) -> Sequence[str]:
        """The lines of plan.json that differ from the plan before, as a unified diff."""
        old = self.before.to_bytes().decode().splitlines() if self.before else []
        return list(
            difflib.unified_diff(
                old, self.plan.to_bytes().decode().splitlines(), "plan before", "plan now", lineterm=""
            )
        )


def plan_change(site: Site, change: str, progress: Progress, *, publish: bool) -> Planned:
    """Make the plan of a change; with `publish`, commit and push it and write the journal.

    1. read the branch   2. ask the hosts   3. decide   4. publish. The same inputs give the same plan; its revision
    only grows when something in it changed, and then every approval of the old one is void.
    """
    person = acting_person(site)
    site.clone.pull()
    snapshot = site.mirror.refresh()
    _check_pushed(site, snapshot, change)
    files = read_change_files(site, snapshot, change)
    suspect = suspect_of(files.release, files.papers.manifest, files.request.requester)
    check_not_known_bad(site, site.trust.load(), snapshot, suspect)
    with site.export(snapshot) as tree:
        hosts = hosts_to_upgrade(site, tree, files.request)
        check_served(files.release, {host.name: host.platform for host in hosts})
        progress("progress.asking-hosts", {"count": len(hosts)})
        installed = installed_versions(site, snapshot, tree, hosts, files)
        earlier = plans_before(snapshot, files.request)
        installed = as_left_by(earlier, files.request.system, installed)
        planned = _decide(site, snapshot, files, tree, hosts, installed)
        check_stand_ins(site, snapshot, planned.plan)
        check_declared(site, snapshot, files.release, files.request.joint)
    if publish:
        _publish(site, planned, files.request, person)
    return planned


def installed_versions(
    site: Site, snapshot: Snapshot, tree: Tree, hosts: Sequence[InventoryHost], files: ChangeFiles
) -> Mapping[str, str]:
    """Ask every host what it runs. A host that does not answer is `unknown`; one that answers nonsense is an error.

    The playbook that asks is our own: nobody has signed those of the branch yet, and who may push could write there.
    """
    earlier: Mapping[str, Release] = {}
    if files.release.strategy is Strategy.PACKAGE:
        staged = repository.staged_versions(snapshot, files.release.system)
        earlier = earlier_releases(site, snapshot, files.release, staged)
    question = upgrade.question(files.request.change, files.release, ways_back(files.release, earlier))
    with site.with_own_playbooks(tree) as own:
        return _ask(site, own, hosts, files.request.change, question)


def _ask(
    site: Site, tree: Tree, hosts: Sequence[InventoryHost], change: str, question: Mapping[str, Any]
) -> Mapping[str, str]:
    run = PlaybookRun(
        playbook=PREFLIGHT,
        tree=str(tree.path),
        hosts=tuple(host.name for host in hosts),
        upgrade=question,
        forks=site.forks,
        timeout_seconds=300,
        dry_run=False,
    )
    result = site.fleet(tree, site.runs_folder(change)).run(run, lambda _: None)
    return {report.host: _installed(report) for report in result.reports}


def _installed(report: HostReport) -> str:
    match report.outcome:
        case HostOutcome.UNCHANGED:
            return report.current
        case HostOutcome.UNREACHABLE:
            return UNKNOWN
        case _:
            raise PreflightFailed("host-not-ready", host=report.host, found=report.detail or report.outcome)


def _decide(
    site: Site,
    snapshot: Snapshot,
    files: ChangeFiles,
    tree: Tree,
    hosts: Sequence[InventoryHost],
    installed: Mapping[str, str],
) -> Planned:
    trust = site.trust.load()
    trust.rule(files.request.kind)
    trust.rule(files.request.kind).check_window(
        files.request.kind, files.request.window.closes - files.request.window.opens
    )
    stands = snapshot.read(f"{repository.change_folder(files.request.change)}/plan.json")
    before = read_plan(stands) if stands is not None else None
    revision = before.revision if before else 1
    plan = make_plan(make_materials(site, trust, files, snapshot, tree, hosts, installed, revision))
    if before is not None and plan != before:
        plan = replace(plan, revision=revision + 1)
    return Planned(plan, before, is_new=plan != before)


def _publish(site: Site, planned: Planned, request: Request, person: str) -> None:
    plan = planned.plan
    with site.journal(plan.change) as journal:
        if not journal.history().entries:  # asked for on another machine: its request is on the branch
            journal.write(Event.CHANGE_REQUESTED, request.as_data(), at=site.clock(), actor=request.requester)
        last = journal.history().last(Event.PLAN_MADE)
        if last is None or last.data["plan"] != plan.digest.hex:
            made = {"plan": plan.digest.hex, "revision": plan.revision, "hosts": len(plan.hosts)}
            journal.write(Event.PLAN_MADE, made, at=site.clock(), actor=person)
    if planned.is_new:
        file = f"{repository.change_folder(plan.change)}/plan.json"
        message = f"{plan.change}: plan {plan.release_name}, revision {plan.revision}"
        repository.publish(site, {file: plan.to_bytes()}, message)


def _check_pushed(site: Site, snapshot: Snapshot, change: str) -> None:
    """The plan is made from the branch: a request that only stands in the work tree would silently not count."""
    path = f"{repository.change_folder(change)}/request.yml"
    local = site.clone.root / path
    if not local.exists():
        raise BadInput("change-unknown", change=change, file=path)
    if snapshot.read(path) != local.read_bytes():
        raise BadInput("request-not-pushed", file=path)
