"""A plan that is being carried out: what every step of it needs, and how one playbook runs on some hosts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import Plan
from upgrader.domain.changes.playbook import HostReport, PlaybookResult, PlaybookRun
from upgrader.domain.secret import secrets_of
from upgrader.flow.applying import upgrade
from upgrader.flow.releases.deliverables import Deliverables
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


def run_playbook(
    running: Running,
    playbook: str,
    hosts: Sequence[str],
    brought: Deliverables,
    *,
    until: datetime | None = None,
) -> PlaybookResult:
    """Run one playbook of the plan on some of its hosts; every host's report is in the journal when it comes.

    It is stopped at `until`, if it has not come to its own limit before; without, an upgrade is stopped when the window
    closes, and the way back may take the time that it needs. `brought` is what a host may ask for; nothing on the way
    back.
    """
    waves = {str(name): wave.number for wave in running.plan.waves for name in wave.hosts}

    def write_down(report: HostReport) -> None:
        data = report_data(report) | {"wave": waves[report.host], "playbook": playbook}
        running.write(Event.HOST_REPORTED, data)

    forward = playbook == running.plan.playbooks.upgrade
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
        timeout_seconds=_limit(running, playbook, hosts, until),
        dry_run=False,
        secrets=secrets_of(running.plan, hosts) if forward else (),
        holding=running.site.brakes.holding(running.plan.change) if forward else (),
    )
    result = running.site.fleet(running.tree, running.site.runs_folder(running.plan.change)).run(run, on_report)
    for report in result.reports:  # hosts that no event spoke of: said, never forgotten
        if report.host not in reported:
            write_down(report)
    return result


def longest_run(plan: Plan, hosts: Sequence[str]) -> timedelta:
    """The limit of one playbook: a wave's time for every wave's worth of hosts."""
    worth = max(len(wave.hosts) for wave in plan.waves)
    return max(1, -(-len(hosts) // worth)) * timedelta(seconds=plan.wave_timeout_seconds)


def _limit(running: Running, playbook: str, hosts: Sequence[str], until: datetime | None) -> int:
    """How many seconds the playbook may take."""
    plan, now = running.plan, running.site.clock()
    longest = longest_run(plan, hosts)
    if until is None and playbook == plan.playbooks.upgrade:
        until = plan.window.closes
    return max(1, int((min(until - now, longest) if until else longest).total_seconds()))


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
