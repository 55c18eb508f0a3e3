"""The last safe moment: no wave begins that could not be taken back before the time for it is over."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from upgrader.domain.changes.change import Change
from upgrader.domain.changes.forecast import (
    TELLING,
    Experience,
    Forecast,
    Outlook,
    Work,
    experience,
    foretell,
    in_batches,
)
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import State
from upgrader.domain.changes.plan import Plan, Wave
from upgrader.domain.errors import OutsideWindow
from upgrader.domain.releases.probe import Probe
from upgrader.flow.applying.running import longest_run
from upgrader.flow.planning.calendar import foreseen_end
from upgrader.flow.site import Site

MOST_EARLIER = 20
PROBED_SIDE_BY_SIDE = 20
TO_COME = frozenset({State.REQUESTED, State.PLANNED, State.AUTHORIZED, State.SCHEDULED, State.APPLYING})


@dataclass(frozen=True, slots=True)
class Reserve:
    """What a wave keeps free: `ends` is until when work may run on its hosts, the way back included."""

    expected: Forecast
    ends: datetime

    @property
    def last_safe_moment(self) -> datetime:
        return self.expected.last_safe_moment(self.ends)

    @property
    def stops(self) -> datetime:
        """When the wave's playbook is stopped, however far it is."""
        return self.expected.stops(self.ends)

    def is_over(self, now: datetime) -> bool:
        return now > self.last_safe_moment


def earlier_experience(site: Site, plan: Plan) -> Experience:
    """What the latest changes of this system have shown, as far as this controller has carried them out."""
    return experience(site.journals.earlier(plan.release.system, TELLING, but=plan.change, most=MOST_EARLIER))


def forecast(site: Site, plan: Plan, history: History, wave: Wave, earlier: Experience) -> Forecast:
    """What may be expected of one wave of a plan, and of the way back after it."""
    touched = [name for other in plan.waves if other.number <= wave.number for name in other.hosts]
    return _foretell(site, plan, history, earlier, wave.hosts, touched)


def late_length(site: Site, plan: Plan, history: History, hosts: Sequence[str], earlier: Experience) -> timedelta:
    """How long late hosts take, and the way back of these alone, as far as one knows."""
    expected = _foretell(site, plan, history, earlier, hosts, hosts)
    return expected.wave + expected.way_back


def _foretell(
    site: Site, plan: Plan, history: History, earlier: Experience, hosts: Sequence[str], touched: Sequence[str]
) -> Forecast:
    probing = _probing(plan.probes, len(hosts))
    takes = plan.release.takes
    return foretell(
        experience([history.entries]),
        earlier,
        Work(
            hosts=len(hosts),
            touched=len(touched),
            longest=timedelta(seconds=plan.wave_timeout_seconds),
            longest_back=longest_run(plan, touched),
            probing=probing,
            confirming=timedelta(seconds=plan.confirm_seconds),
            declared=in_batches(len(hosts), site.forks, takes.upgrade_seconds) + probing if takes else None,
            declared_back=in_batches(len(touched), site.forks, takes.rollback_seconds) if takes else None,
        ),
    )


def outlook(site: Site, plan: Plan, history: History | None = None, *, but: Collection[int] = ()) -> Outlook | None:
    """What may be expected of each wave of a plan, `but` for those that are over; None when all of them are.

    Work ends with the window that was signed, or before it with the system's hours in the calendar of the clone. What
    counts is the calendar on the branch, with the groups of each wave's hosts, when the wave would begin.
    """
    earlier = earlier_experience(site, plan)
    left = [wave for wave in plan.waves if wave.number not in but]
    foretold = {wave.number: forecast(site, plan, history or History(), wave, earlier) for wave in left}
    return Outlook(foretold, foreseen_end(site, plan)) if foretold else None


def outlook_of(site: Site, plan: Plan | None, history: History, change: Change) -> Outlook | None:
    """What may be expected of the waves that are still to come; None once nothing more will begin in this window."""
    if plan is None or change.state not in TO_COME or site.clock() >= plan.window.closes:
        return None
    return outlook(site, plan, history, but=[number for number, wave in change.waves.items() if wave.verdict])


def whole_length(site: Site, plan: Plan, history: History) -> timedelta:
    """How long all waves of a plan take, and the way back after the last one, as far as one knows."""
    expected = outlook(site, plan, history)
    return expected.length + expected.way_back if expected else timedelta()


def check_last_safe_moment(site: Site, plan: Plan, wave: Wave, kept: Reserve) -> None:
    """Raises OutsideWindow when the wave, begun now, could not be taken back in time, as far as one knows."""
    if kept.is_over(site.clock()):
        zone = ZoneInfo(plan.window.zone)
        raise OutsideWindow(
            "last-safe-moment-over",
            change=plan.change,
            wave=wave.number,
            last=f"{kept.last_safe_moment.astimezone(zone):%Y-%m-%d %H:%M}",
            closes=f"{kept.ends.astimezone(zone):%H:%M}",
            zone=plan.window.zone,
            takes=_minutes(kept.expected.wave),
            back=_minutes(kept.expected.way_back),
        )


def _probing(probes: Sequence[Probe], hosts: int) -> timedelta:
    """What all probes take on hosts that are well: as often as each is asked, its interval apart."""
    longest = max((probe.count * probe.interval_seconds for probe in probes), default=0)
    return timedelta(seconds=longest) + in_batches(hosts * len(probes), PROBED_SIDE_BY_SIDE, 1)


def _minutes(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    return f"{seconds // 60} min {seconds % 60:02d} s"
