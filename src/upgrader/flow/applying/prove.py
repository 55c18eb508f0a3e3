"""Prove: before the first wave of a release that changes databases, every host shows that it could come back.

Each host makes a backup, restores it into a database of its own, compares the main tables, and tries the migrations
there. The old version serves meanwhile. What a host proved holds for its wave as well.
"""

from collections.abc import Sequence

from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.playbook import HostOutcome, HostReport, PlaybookRun
from upgrader.domain.errors import PreflightFailed
from upgrader.domain.secret import secrets_of
from upgrader.flow.applying import upgrade
from upgrader.flow.applying.running import Running, longest_run
from upgrader.flow.planning.dry_run import WOULD_GO
from upgrader.flow.releases.deliverables import Deliverables

MOST_NAMED = 5


def prove_way_back(running: Running, brought: Deliverables) -> None:
    """Ask every host of the plan for its proof; a release without a database needs none.

    Raises PreflightFailed `way-back-not-proven` before anything is changed. A host that does not answer proves nothing,
    and is judged by its wave. How it went is in the journal either way.
    """
    plan = running.plan
    if plan.release.database is None:
        return
    names = tuple(str(host.name) for host in plan.hosts)
    running.progress("progress.proving-way-back", {"count": len(names)})
    run = PlaybookRun(
        playbook=plan.playbooks.upgrade,
        tree=str(running.tree.path),
        hosts=names,
        upgrade=upgrade.instruction(plan, names, brought.paths, brought.patches),
        forks=running.site.forks,
        timeout_seconds=int(longest_run(plan, names).total_seconds()),
        dry_run=True,
        secrets=secrets_of(plan, names),
    )
    reports = running.site.fleet(running.tree, running.site.runs_folder(plan.change)).run(run, lambda _: None).reports
    failed = [report for report in reports if not _is_proven(report)]
    _write_down(running, reports, failed)
    if failed:
        raise PreflightFailed(
            "way-back-not-proven",
            change=plan.change,
            count=len(failed),
            found="; ".join(f"{report.host}: {report.detail or report.outcome}" for report in failed[:MOST_NAMED]),
        )


def _is_proven(report: HostReport) -> bool:
    if report.outcome is HostOutcome.UNREACHABLE:
        return True
    return report.outcome is HostOutcome.UNCHANGED and report.facts.get("would") in WOULD_GO


def _write_down(running: Running, reports: Sequence[HostReport], failed: Sequence[HostReport]) -> None:
    data = {
        "plan": running.plan.digest.hex,
        "went_well": len(reports) - len(failed),
        "failed": len(failed),
        "hosts": [f"{report.host}: {report.detail or report.outcome}" for report in reports[:50]],
    }
    running.write(Event.DRY_RUN_MADE, data)
