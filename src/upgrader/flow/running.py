"""A plan that is being carried out: what every step of it needs, and how one playbook runs on some hosts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from upgrader.domain.lifecycle import Event
from upgrader.domain.plan import Plan
from upgrader.domain.playbook import HostReport, PlaybookResult, PlaybookRun
from upgrader.domain.secret import secrets_of
from upgrader.flow import upgrade
from upgrader.flow.deliverables import Deliverables
from upgrader.flow.site import Site
from upgrader.ports import Journal, Progress, Tree


@dataclass(frozen=True, slots=True)
class Running:
    """Whoever holds this has passed the gate for `plan`; `tree` is the export of the approved commit."""

    site: Site
    journal: Journal
    plan: Plan
    tree: Tree
    actor: str
    progress: Progress

    def write(self, event: Event, data: Mapping[str, Any]) -> None:
        """One fact, on disk before this returns; then told to whoever watches."""
        self.journal.write(event, data, at=self.site.clock(), actor=self.actor)
        self.progress(f"event.{event.name.lower()}", data)


def run_playbook(running: Running, playbook: str, hosts: Sequence[str], brought: Deliverables) -> PlaybookResult:
    """Run one playbook of the plan on some of its hosts; every host's report is in the journal when it comes.

    An upgrade is stopped when the window closes; the way back may take the time that it needs.
    `brought` is what a host may ask for; nothing on the way back.
    """
    waves = {str(name): wave.number for wave in running.plan.waves for name in wave.hosts}

    def write_down(report: HostReport) -> None:
        data = report_data(report) | {"wave": waves[report.host], "playbook": playbook}
        running.write(Event.HOST_REPORTED, data)

    reported: set[str] = set()

    def on_report(report: HostReport) -> None:
        reported.add(report.host)
        write_down(report)

    run = PlaybookRun(
        playbook=playbook,
        tree=str(running.tree.path),
        hosts=tuple(hosts),
        upgrade=upgrade.instruction(running.plan, hosts, brought.paths, brought.patches),
        forks=running.site.forks,
        timeout_seconds=_limit(running, playbook),
        dry_run=False,
        secrets=secrets_of(running.plan, hosts) if playbook == running.plan.playbooks.upgrade else (),
    )
    result = running.site.fleet(running.tree, running.site.runs_folder(running.plan.change)).run(run, on_report)
    for report in result.reports:  # hosts that no event spoke of: said, never forgotten
        if report.host not in reported:
            write_down(report)
    return result


def _limit(running: Running, playbook: str) -> int:
    """How many seconds the playbook may take."""
    plan = running.plan
    if playbook != plan.playbooks.upgrade:
        return plan.wave_timeout_seconds
    left = int((plan.window.closes - running.site.clock()).total_seconds())
    return max(1, min(plan.wave_timeout_seconds, left))


def report_data(report: HostReport) -> dict[str, Any]:
    return {
        "host": report.host,
        "outcome": report.outcome.value,
        "from": report.from_version,
        "to": report.to_version,
        "current": report.current,
        "step": report.step,
        "detail": report.detail,
        "downtime_ms": report.downtime_ms,
        "bytes_sent": report.bytes_sent,
    }
