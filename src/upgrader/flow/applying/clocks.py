"""Clocks: window, expiry and every signature are judged by the clock of this computer. May it be believed?

Asked before a change begins or goes on: against the change's own journal, and against the hosts. The way back is never
held by a clock.
"""

from datetime import timedelta
from zoneinfo import ZoneInfo

from upgrader.domain.changes.journal import History
from upgrader.domain.changes.plan import Wave
from upgrader.domain.errors import Refused
from upgrader.flow.applying.running import Running
from upgrader.flow.closing.soak import probed_hosts
from upgrader.flow.site import Site

MOST_ASKED = 5  # hosts: enough to tell whose clock is wrong, and as fast as one


def check_journal_clock(site: Site, change: str, history: History) -> None:
    """Raises Refused `clock-behind-journal` when it is earlier now than something that was written down already."""
    last, now = history.entries[-1].at if history.entries else None, site.clock()
    if last is not None and now < last:
        zone = ZoneInfo(site.time_zone)
        expected, found = (f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}" for moment in (last, now))
        raise Refused("clock-behind-journal", change=change, expected=expected, found=found, zone=site.time_zone)


def check_host_clocks(running: Running, wave: Wave) -> None:
    """Raises Refused `clock-differs` when our clock and that of a host of this wave lie too far apart.

    A few hosts are asked, all at once. One that can't say is no matter of clocks: the wave itself will tell of it.
    """
    site, hosts = running.site, probed_hosts(running.plan, wave.hosts[:MOST_ASKED])
    clocks = site.host_clocks(running.tree)
    ahead = clocks.ahead(hosts)
    wrong = {host: by for host, by in ahead.items() if abs(by) > clocks.tolerance}
    if wrong:
        raise Refused(
            "clock-differs",
            change=running.plan.change,
            tolerance=int(clocks.tolerance.total_seconds()),
            found=", ".join(f"{host} {_signed(by)} s" for host, by in wrong.items()),
            count=len(wrong),
            asked=len(ahead),
        )


def _signed(length: timedelta) -> str:
    return f"{int(length.total_seconds()):+d}"
