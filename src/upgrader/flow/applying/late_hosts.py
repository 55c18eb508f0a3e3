"""Late hosts: upgrade those who came back, ask the probes, and take back alone whoever is not well.

One that fails touches no other: the change was judged without it. Cut short at any point, `finish` goes on from the
journal.
"""

from collections.abc import Sequence
from typing import Any

from upgrader.domain.changes.change import REACHED, view
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import Plan
from upgrader.domain.changes.playbook import HostOutcome
from upgrader.domain.changes.verdict import Verdict, judge
from upgrader.domain.errors import Refused
from upgrader.flow.applying.running import Running, run_playbook
from upgrader.flow.closing.soak import probed_hosts
from upgrader.flow.releases.deliverables import NOTHING, Deliverables

RESTORED = frozenset({HostOutcome.ROLLED_BACK, HostOutcome.UNCHANGED})
BAD = frozenset({HostOutcome.FAILED, HostOutcome.ROLLED_BACK, HostOutcome.NOT_RUN})
UPGRADED_LATE = "upgraded-late"


def unfinished(history: History) -> tuple[str, ...]:
    """The hosts of an attempt that began and was not judged, because it was cut short."""
    left: dict[str, None] = {}
    for entry in history.of(Event.RETRY_STARTED, Event.RETRY_JUDGED):
        for name in entry.data["hosts"]:
            if entry.event is Event.RETRY_STARTED:
                left[name] = None
            else:
                left.pop(name, None)
    return tuple(left)


def upgrade_late(running: Running, hosts: Sequence[str], brought: Deliverables) -> None:
    """Upgrade hosts outside of any wave, and judge each by itself. It stops when the hours for late hosts are over."""
    running.write(Event.RETRY_STARTED, {"hosts": list(hosts)})
    until = running.plan.open_until(running.site.clock())
    run_playbook(running, running.plan.playbooks.upgrade, hosts, brought, until=until)
    finish(running, hosts)


def finish(running: Running, hosts: Sequence[str]) -> None:
    """Judge the hosts of one attempt: take back whoever is not well, close the exceptions of all others."""
    plan, change = running.plan, view(running.journal.history(), running.plan)
    reached = [n for n in hosts if change.hosts[n].outcome in REACHED and n not in change.going_back]
    told, unwell = _judge(running, reached)
    unwell += [n for n in hosts if change.hosts[n].outcome is HostOutcome.FAILED and n not in change.going_back]
    if unwell:
        running.write(Event.LATE_ROLLBACK_STARTED, {"hosts": unwell, "because": "late-host-unwell"})
    change = view(running.journal.history(), plan)
    back = [n for n in hosts if n in change.going_back]
    left = [n for n in back if change.hosts[n].outcome not in RESTORED]
    if left:
        run_playbook(running, plan.playbooks.rollback, left, NOTHING)
    verdict = Verdict.UNSTABLE if back else Verdict.STABLE if reached else Verdict.INCONCLUSIVE
    well = [n for n in reached if n not in back]
    running.write(Event.RETRY_JUDGED, {"hosts": list(hosts), "well": well, "unwell": back, "verdict": verdict, **told})
    _settle(running, well)


def check_late_failures(history: History, plan: Plan) -> None:
    """Raises Refused `late-too-many-failed`: what broke on so many late hosts is no matter of single ones."""
    change = view(history, plan)
    failed = sorted(name for name in change.late if change.hosts[name].outcome in BAD)
    if len(failed) > plan.thresholds.failed_in_all:
        raise Refused("late-too-many-failed", change=plan.change, count=len(failed), hosts=" ".join(failed[:5]))


def _judge(running: Running, hosts: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """What the probes said, and the hosts that they did not find well. Nobody reached is nobody judged."""
    if not hosts:
        return {"measurements": 0, "reasons": []}, []
    prober = running.site.prober(running.tree)
    try:
        measurements = list(prober.measure_all(running.plan.probes, probed_hosts(running.plan, hosts)))
    finally:
        prober.close()
    judgement = judge(measurements, running.plan.probes, hosts)
    unwell = {place.host for place in judgement.places if place.verdict is not Verdict.STABLE}
    told = {"measurements": judgement.measurements, "reasons": list(judgement.reasons[:50])}
    return told, [name for name in hosts if name in unwell]


def _settle(running: Running, hosts: Sequence[str]) -> None:
    exceptions = view(running.journal.history(), running.plan).exceptions
    for name in hosts:
        if name in exceptions and exceptions[name].settled is None:
            running.write(Event.EXCEPTION_SETTLED, {"host": name, "reason": UPGRADED_LATE})
