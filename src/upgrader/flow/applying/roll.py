"""Roll call: who of a wave is there. A workstation that is switched off is carried as pending, and blocks nobody.

Servers always take part: one that does not answer is a failure, which the thresholds count. So does a workstation on
which this change has already begun, for it was there.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from upgrader.domain.changes.change import REACHED, Change, view
from upgrader.domain.changes.late import too_many_absent
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import PlannedHost, Wave
from upgrader.domain.changes.playbook import HostOutcome, HostReport
from upgrader.domain.errors import PreflightFailed
from upgrader.domain.names import HostName
from upgrader.flow.applying.running import Running, report_data

WAKES_IN = timedelta(minutes=3)  # a call, the firmware's own tests, and a slow disk
ASK_EVERY = 10  # seconds


class Roll:
    """The roll of one run of `apply`: who was called awake, and when."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._called: dict[HostName, datetime] = {}

    def wake_first(self) -> None:
        """Call the sleepers of the first wave that is not over yet."""
        self._wake(0)

    def wake_next(self, wave: Wave) -> None:
        """Call the sleepers of the next wave while this one is at work, so that they have time to wake."""
        self._wake(wave.number + 1)

    def wait(self, wave: Wave) -> None:
        """Give the sleepers of this wave the rest of their time; over at once when nobody was called."""
        site = self._running.site
        called = [self._running.plan.host(name) for name in wave.hosts if name in self._called]
        while called := [host for host in called if site.clock() - self._called[host.name] < WAKES_IN]:
            absent = site.presence.absent(called)
            called = [host for host in called if host.name in absent]
            if called:
                site.sleep(ASK_EVERY)

    def take(self, wave: Wave) -> Sequence[HostName]:
        """Those of the wave who take part; the others are in the journal as offline, once.

        Raises PreflightFailed before the wave begins: `too-many-offline` when more workstations are away than were
        declared, `nobody-reached` when it would be the first to be touched and is not the first of the plan.
        """
        change = view(self._running.journal.history(), self._running.plan)
        if wave.number > self._running.plan.waves[0].number:
            check_somebody_reached(self._running)
        asked = _may_be_away(self._running, wave, change)
        absent = self._running.site.presence.absent(asked) if asked else {}
        for name, why in absent.items():
            if change.hosts[name].outcome is not HostOutcome.OFFLINE:
                _write_absent(self._running, wave, name, why)
        self._check_absent()
        return [name for name in wave.hosts if name not in absent]

    def _check_absent(self) -> None:
        plan = self._running.plan
        hosts = view(self._running.journal.history(), plan).hosts.values()
        away = [host.name for host in hosts if host.outcome is HostOutcome.OFFLINE]
        if too_many_absent(len(plan.workstations), away, plan.late):
            raise PreflightFailed(
                "too-many-offline", change=plan.change, count=len(away), workstations=len(plan.workstations)
            )

    def _wake(self, number: int) -> None:
        plan = self._running.plan
        change = view(self._running.journal.history(), plan)
        left = [wave for wave in plan.waves if wave.number >= number and not change.waves[wave.number].verdict]
        if not left:
            return
        sleepers = [host for host in _may_be_away(self._running, left[0], change) if _can_wake(host)]
        absent = self._running.site.presence.absent(sleepers) if sleepers else {}
        called = [host for host in sleepers if host.name in absent and host.name not in self._called]
        if called:
            self._running.site.presence.wake(called)
            self._called |= dict.fromkeys((host.name for host in called), self._running.site.clock())


def check_somebody_reached(running: Running) -> None:
    """Raises PreflightFailed `nobody-reached`: later waves rest on an earlier one, and none was found well yet."""
    hosts = view(running.journal.history(), running.plan).hosts.values()
    if not any(host.outcome in REACHED for host in hosts):
        raise PreflightFailed("nobody-reached", change=running.plan.change)


def _may_be_away(running: Running, wave: Wave, change: Change) -> Sequence[PlannedHost]:
    """The workstations of a wave on which nothing was begun."""
    hosts = [running.plan.host(name) for name in wave.hosts]
    return [host for host in hosts if host.workstation is not None and host.name not in change.touched]


def _can_wake(host: PlannedHost) -> bool:
    return host.workstation is not None and host.workstation.mac is not None


def _write_absent(running: Running, wave: Wave, name: HostName, why: str) -> None:
    report = HostReport(host=name, outcome=HostOutcome.OFFLINE, step="connect", detail=why)
    running.write(Event.HOST_REPORTED, report_data(report) | {"wave": wave.number, "playbook": ""})
