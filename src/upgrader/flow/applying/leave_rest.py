"""Leave the rest: end a change whose window is over with the waves that ran, on a person's word."""

from datetime import datetime
from zoneinfo import ZoneInfo

from upgrader.domain.changes.change import view
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.errors import Refused
from upgrader.flow.applying.apply import Applied, begin_soak, settle_what_ran
from upgrader.flow.applying.roll_back import authorized_before, authorized_plan
from upgrader.flow.history import read_history
from upgrader.flow.identity import acting_person
from upgrader.flow.site import Site
from upgrader.ports import Progress


def leave_rest(site: Site, change: str, reason: str, progress: Progress) -> Applied:
    """Begin the soak with what was reached; the hosts of waves that never began stay as they are, left behind.

    1. is the window over?   2. judge what ran; a wave that was cut short is for the way back alone   3. begin the soak
    No host gets anything. Each host that is left needs somebody who answers for it before the change is accepted, and a
    change of its own to be upgraded. Raises Refused, OutsideWindow `wave-left-open`.
    """
    actor = acting_person(site)
    read_history(site, change)
    with (
        site.locks.hold([f"change-{change}"], purpose=f"apply {change}", holder=actor, now=site.clock()),
        site.journal(change) as journal,
    ):
        history = journal.history()
        if history.state is not State.APPLYING:
            raise Refused("change-not-in-state", state=history.state, event=Event.SOAK_STARTED, legal="-")
        plan = authorized_plan(site, change, history)
        if site.clock() < plan.window.closes:
            closes = _local(plan.window.closes, plan.window.zone)
            raise Refused("window-still-open", change=change, closes=closes, zone=plan.window.zone)
        if settled := settle_what_ran(site, change, journal, actor, progress):
            return settled
        waves = view(journal.history(), plan).waves.values()
        left = [wave.number for wave in waves if wave.started is None]
        with authorized_before(site, change, journal, actor, progress) as running:
            return begin_soak(running, {"without": left, "reason": reason})


def _local(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
