"""Pre-stage: bring the builds of an authorized change to its hosts ahead of the window, and touch nothing that runs.

The gate is asked as for `apply`, but for the window, which may be still to come. What lies on a host afterwards is
judged again when the change is applied; to call this twice, or to be stopped in the middle, costs nothing.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.playbook import HostOutcome, HostReport, PlaybookRun
from upgrader.domain.errors import ExitCode, Refused, UpgraderError
from upgrader.flow.applying import upgrade
from upgrader.flow.applying.brakes import check_brakes
from upgrader.flow.applying.running import Running, report_data
from upgrader.flow.approval import authorize as gate
from upgrader.flow.approval.authorize import Examined
from upgrader.flow.identity import acting_person
from upgrader.flow.releases.deliverables import deliverables
from upgrader.flow.site import Site
from upgrader.ports import Journal, Progress

PRESTAGE = "playbooks/prestage.yml"
BEFORE_APPLY = frozenset({State.PLANNED, State.AUTHORIZED, State.SCHEDULED})
AWAY = frozenset({HostOutcome.UNREACHABLE, HostOutcome.OFFLINE})


@dataclass(frozen=True, slots=True)
class Prestaged:
    """What every host ended as: `unchanged` has the builds, whatever it runs."""

    reports: tuple[HostReport, ...]

    @property
    def ready(self) -> tuple[HostReport, ...]:
        return tuple(report for report in self.reports if report.outcome is HostOutcome.UNCHANGED)

    @property
    def bytes_sent(self) -> int:
        return sum(report.bytes_sent for report in self.reports)

    @property
    def exit_code(self) -> ExitCode:
        if len(self.ready) == len(self.reports):
            return ExitCode.DONE
        away = all(report.outcome in AWAY for report in self.reports if report not in self.ready)
        return ExitCode.OFFLINE_LEFT if away else ExitCode.PREFLIGHT_FAILED


def prestage_change(site: Site, change: str, progress: Progress) -> Prestaged:
    """Send what the hosts of a change still lack.

    1. lock   2. not begun yet?   3. the gate, without the window   4. one playbook on all hosts   5. write it down
    Raises Refused, OutsideWindow (when the window is over), Locked or Integrity before any host is contacted.
    """
    actor = acting_person(site)
    with (
        site.locks.hold([f"change-{change}"], purpose=f"prestage {change}", holder=actor, now=site.clock()),
        site.journal(change) as journal,
    ):
        state = journal.history().state
        if state not in BEFORE_APPLY:
            raise Refused("prestage-too-late", change=change, state=state)
        check_brakes(site, change)
        with _passed_gate(site, change, journal, actor) as examined:
            hosts = [f"host-{host.name}" for host in examined.plan.hosts]
            with site.locks.hold(hosts, purpose=f"prestage {change}", holder=actor, now=site.clock()):
                running = Running(site, journal, examined.plan, examined.tree, actor, progress)
                return _send(running, examined)


@contextmanager
def _passed_gate(site: Site, change: str, journal: Journal, actor: str) -> Iterator[Examined]:
    """Enough different people gave their word, and the window is not over. A no is written down."""
    with ExitStack() as stack:
        try:
            examined = stack.enter_context(gate.examine(site, change))
            if site.clock() >= examined.plan.window.closes:
                gate.check_window(site, examined.plan)
            gate.authorized_at_any_time(site, examined)
        except UpgraderError as error:
            data = {"code": error.code, "fields": error.fields}
            journal.write(Event.GATE_REFUSED, data, at=site.clock(), actor=actor)
            raise
        yield examined


def _send(running: Running, examined: Examined) -> Prestaged:
    plan, site = running.plan, running.site
    brought = deliverables(site, examined)
    names = [str(host.name) for host in plan.hosts]
    running.write(Event.PRESTAGE_STARTED, {"plan": plan.digest.hex, "hosts": len(names)})
    run = PlaybookRun(
        playbook=PRESTAGE,
        tree=str(running.tree.path),
        hosts=tuple(names),
        upgrade=upgrade.instruction(plan, names, brought.paths, brought.patches),
        forks=site.forks,
        timeout_seconds=plan.wave_timeout_seconds * max(1, len(plan.waves)),
        dry_run=False,
        holding=site.brakes.holding(plan.change),
    )
    result = site.fleet(running.tree, site.runs_folder(plan.change)).run(run, lambda _: None)
    gate.check_tree(site, running.tree)
    for report in result.reports:
        running.write(Event.HOST_PRESTAGED, report_data(report))
    return Prestaged(result.reports)
