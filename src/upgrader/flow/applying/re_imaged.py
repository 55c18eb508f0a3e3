"""Re-imaged hosts: a workstation that was done and was installed anew since is waited for again.

A machine with another host key than the plan pins is told, and not trusted: this change can't reach it any more.
"""

from collections.abc import Sequence
from dataclasses import replace

from upgrader.domain.changes.change import REACHED, view
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import Plan
from upgrader.domain.changes.playbook import HostOutcome, HostReport, PlaybookRun
from upgrader.domain.names import HostName
from upgrader.flow.applying import upgrade
from upgrader.flow.applying.running import report_data
from upgrader.flow.planning.plan import PREFLIGHT
from upgrader.flow.releases.deliverables import NOTHING
from upgrader.flow.service.check_in import checked_in
from upgrader.flow.site import Site
from upgrader.ports import Journal, Progress

OTHER_KEY = ("REMOTE HOST IDENTIFICATION HAS CHANGED", "Host key verification failed")


def find_re_imaged(
    site: Site, journal: Journal, plan: Plan, actor: str, progress: Progress, *, everybody: bool
) -> None:
    """Ask workstations that are done what they run: all, or those that checked in since they last reported.

    One that runs something else is written down as re-imaged. The playbook that asks is our own.
    """
    hosts = _asked(site, journal.history(), plan, everybody=everybody)
    absent = site.presence.absent([plan.host(name) for name in hosts]) if hosts else {}
    hosts = [name for name in hosts if name not in absent]
    authorized = journal.history().last(Event.PLAN_AUTHORIZED)
    if not hosts or authorized is None:
        return
    progress("progress.asking-hosts", {"count": len(hosts)})
    with site.export(site.mirror.at(authorized.data["commit"])) as tree, site.with_own_playbooks(tree) as own:
        run = PlaybookRun(
            playbook=PREFLIGHT,
            tree=str(own.path),
            hosts=tuple(hosts),
            upgrade=upgrade.instruction(plan, hosts, NOTHING.paths),
            forks=site.forks,
            timeout_seconds=300,
            dry_run=False,
        )
        result = site.fleet(own, site.runs_folder(plan.change)).run(run, lambda _: None)
    waves = {name: wave.number for wave in plan.waves for name in wave.hosts}
    for report in result.reports:
        if _is_new(report, plan):
            found = replace(report, outcome=HostOutcome.RE_IMAGED, detail=_why(report))
            data = report_data(found) | {"wave": waves[HostName(report.host)], "playbook": ""}
            journal.write(Event.HOST_REPORTED, data, at=site.clock(), actor=actor)
            progress("event.host_reported", data)


def _asked(site: Site, history: History, plan: Plan, *, everybody: bool) -> Sequence[HostName]:
    hosts = view(history, plan).hosts
    done = [host.name for host in plan.workstations if hosts[host.name].outcome in REACHED]
    if everybody:
        return done
    here = checked_in(site)
    said = {entry.data["host"]: entry.at for entry in history.of(Event.HOST_REPORTED)}
    return [name for name in done if name in here and name in said and here[name] > said[name]]


def _is_new(report: HostReport, plan: Plan) -> bool:
    if report.outcome is HostOutcome.UNREACHABLE:
        return any(words in report.detail for words in OTHER_KEY)
    return report.outcome is HostOutcome.UNCHANGED and report.current != plan.release.version


def _why(report: HostReport) -> str:
    if report.outcome is HostOutcome.UNREACHABLE:
        return "its ssh host key is another one than the plan pins"
    return f"it runs {report.current or 'nothing'} now"
