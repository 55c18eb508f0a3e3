"""Host memory: before a journal is gone on with that may be an older one, its hosts are asked what they know of it."""

from upgrader.domain.changes.change import view
from upgrader.domain.changes.host_memory import hosts_ahead
from upgrader.domain.changes.playbook import PlaybookRun
from upgrader.domain.errors import Integrity
from upgrader.flow.applying import upgrade
from upgrader.flow.applying.running import Running
from upgrader.flow.planning.plan import PREFLIGHT

SHOWN = 20


def check_journal_is_newest(running: Running) -> None:
    """Raises Integrity `journal-older-than-hosts` when a host has done under this plan what the journal does not know.

    Changes nothing. Nobody is asked while this machine itself wrote the journal's last line since it was started; else
    every host of the plan is, all at once. One that does not answer stops nobody: its own wave will find it silent.
    """
    if running.journal.is_vouched():
        return
    plan, site = running.plan, running.site
    names = tuple(str(host.name) for host in plan.hosts)
    running.progress("progress.asking-hosts", {"count": len(names)})
    run = PlaybookRun(
        playbook=PREFLIGHT,
        tree=str(running.tree.path),
        hosts=names,
        upgrade=upgrade.instruction(plan, names, {}),
        forks=site.forks,
        timeout_seconds=300,
        dry_run=False,
    )
    result = site.fleet(running.tree, site.runs_folder(plan.change)).run(run, lambda _: None)
    remembered = {report.host: str(report.facts.get("key_state", "")) for report in result.reports if report.facts}
    if ahead := hosts_ahead(view(running.journal.history(), plan), remembered):
        told = ", ".join(ahead[:SHOWN]) + (f" … {len(ahead)}" if len(ahead) > SHOWN else "")
        file = site.change_folder(plan.change) / "journal.jsonl"
        raise Integrity("journal-older-than-hosts", change=plan.change, hosts=told, file=file)
    running.journal.vouch()
