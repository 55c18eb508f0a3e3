"""Dry run: what a plan would do on its hosts, before anybody signs it. Nothing stays.

For a correction of data everything but the commit is done, and the rows are shown as they were and as they would be.
These rows are told to whoever asked and are kept nowhere: not in the journal, not in Ansible's words, not on the host.
"""

from dataclasses import dataclass

from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import Plan
from upgrader.domain.changes.playbook import HostOutcome, HostReport, PlaybookResult, PlaybookRun
from upgrader.domain.errors import ExitCode, PreflightFailed
from upgrader.domain.releases.correction import RowImage, read_images
from upgrader.flow.applying import upgrade
from upgrader.flow.applying.brakes import check_stopped
from upgrader.flow.approval import authorize as gate
from upgrader.flow.approval.authorize import Examined
from upgrader.flow.identity import acting_person
from upgrader.flow.site import Site
from upgrader.ports import Progress

WOULD_GO = frozenset({"upgraded", "unchanged"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDryRun:
    """What one host said. `images` are the first rows of a correction there; a host that would fail tells none."""

    host: str
    goes_well: bool
    step: str
    detail: str
    images: tuple[RowImage, ...]


@dataclass(frozen=True, slots=True)
class DryRun:
    plan: Plan
    hosts: tuple[HostDryRun, ...]

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.DONE if all(host.goes_well for host in self.hosts) else ExitCode.PREFLIGHT_FAILED


def dry_run(site: Site, change: str, progress: Progress) -> DryRun:
    """Try a published plan on every one of its hosts.

    1. lock   2. is it a plan that could be signed, of a vendor we know?   3. ask the hosts   4. write down how it went
    The playbooks are our own, since nobody has signed those of the branch yet. Raises what the gate raises for a plan
    that no signature could save.
    """
    actor = acting_person(site)
    check_stopped(site)
    with (
        site.locks.hold([f"change-{change}"], purpose=f"dry-run {change}", holder=actor, now=site.clock()),
        gate.examine(site, change) as examined,
    ):
        gate.check_release_not_bad(site, examined)
        hosts = [f"host-{host.name}" for host in examined.plan.hosts]
        with site.locks.hold(hosts, purpose=f"dry-run {change}", holder=actor, now=site.clock()):
            progress("progress.asking-hosts", {"count": len(hosts)})
            result = _ask(site, examined)
        told = DryRun(examined.plan, tuple(_told(report) for report in result.reports))
        _write_down(site, told, actor)
    return told


def _ask(site: Site, examined: Examined) -> PlaybookResult:
    plan = examined.plan
    names = tuple(str(host.name) for host in plan.hosts)
    builds = gate.verified_builds(site, plan)
    with site.with_own_playbooks(examined.tree) as tree:
        run = PlaybookRun(
            playbook=plan.playbooks.upgrade,
            tree=str(tree.path),
            hosts=names,
            upgrade=upgrade.instruction(plan, names, builds),
            forks=site.forks,
            timeout_seconds=plan.wave_timeout_seconds,
            dry_run=True,
        )
        return site.fleet(tree, site.runs_folder(plan.change)).run(run, lambda _: None)


def _told(report: HostReport) -> HostDryRun:
    return HostDryRun(
        host=report.host,
        goes_well=report.outcome is HostOutcome.UNCHANGED and report.facts.get("would") in WOULD_GO,
        step=report.step,
        detail=report.detail or report.outcome.value,
        images=_images(report),
    )


def _images(report: HostReport) -> tuple[RowImage, ...]:
    try:
        return read_images(report.facts.get("rows", []))
    except ValueError as error:
        raise PreflightFailed("host-not-ready", host=report.host, found=error) from error


def _write_down(site: Site, told: DryRun, actor: str) -> None:
    """Which plan, which host, and whether: how many rows, and never a row."""
    hosts = [f"{host.host}: {host.detail}" for host in told.hosts if host.images or not host.goes_well]
    data = {
        "plan": told.plan.digest.hex,
        "went_well": sum(host.goes_well for host in told.hosts),
        "failed": sum(not host.goes_well for host in told.hosts),
        "hosts": hosts[:50],
    }
    with site.journal(told.plan.change) as journal:
        journal.write(Event.DRY_RUN_MADE, data, at=site.clock(), actor=actor)
