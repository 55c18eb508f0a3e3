"""Schedule: hand an authorized change to the service, which begins it in time; take it off again; say what stands.

What stands on the schedule is in the journal of each change and nowhere else. The gate is asked now, so that nobody
finds out at night that a signature is missing; and again when the change begins, for that is what counts.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from upgrader.domain import plain
from upgrader.domain.changes.lifecycle import Event, may
from upgrader.domain.changes.plan import Plan
from upgrader.domain.changes.request import Kind
from upgrader.domain.changes.schedule import Scheduled, scheduled
from upgrader.domain.errors import BadInput, Integrity, OutsideWindow, Refused
from upgrader.domain.hospital.calendar import Answer
from upgrader.flow.approval import authorize as gate
from upgrader.flow.approval.authorize import Examined
from upgrader.flow.history import read_history, write_plan_made
from upgrader.flow.identity import acting_person
from upgrader.flow.planning.calendar import calendar_on, groups_of
from upgrader.flow.planning.forecast import whole_length
from upgrader.flow.site import Site


@dataclass(frozen=True, slots=True)
class Ordered:
    """What was put on the schedule. `length` is how long all waves and the way back will take, as far as one knows.

    `foreseen` is what the calendar says of the start; it is asked again when the time has come.
    """

    change: str
    order: Scheduled
    plan: Plan
    length: timedelta
    foreseen: Answer | None

    @property
    def fits(self) -> bool:
        """Whether a change that begins at the last moment is over, or taken back, before its window closes."""
        return self.order.expires + self.length <= self.plan.window.closes


@dataclass(frozen=True, slots=True)
class Standing:
    """One change on the schedule."""

    change: str
    system: str
    order: Scheduled


def schedule_change(site: Site, change: str, *, at: datetime | None, expires: datetime | None) -> Ordered:
    """Put a change on the schedule, or give it another time.

    1. lock   2. not begun yet?   3. the gate, for any time   4. does the time lie in the window?   5. write it down
    It begins when its window opens, unless `at` says later; it expires at the last moment at which all of it fits into
    the window, unless `expires` says otherwise. Raises what the gate raises, and OutsideWindow.
    """
    actor = acting_person(site)
    read_history(site, change)
    with (
        site.locks.hold([f"change-{change}"], purpose=f"schedule {change}", holder=actor, now=site.clock()),
        site.journal(change) as journal,
    ):
        state = journal.history().state
        if not may(state, Event.CHANGE_SCHEDULED):
            raise Refused("change-not-in-state", state=state, event=Event.CHANGE_SCHEDULED, legal="-")
        with gate.examine(site, change) as examined:
            if site.clock() >= examined.plan.window.closes:
                gate.check_window(site, examined.plan)
            authorization = gate.authorized_at_any_time(site, examined)
            write_plan_made(site, journal, examined.plan)
            length = whole_length(site, examined.plan, journal.history())
            order = _order(site, examined.plan, at, expires, length)
            data = {
                "plan": order.plan,
                "starts": plain.to_plain(order.starts),
                "expires": plain.to_plain(order.expires),
                "commit": authorization.commit,
                "trust_version": authorization.trust_version,
                "people": list(authorization.people),
            }
            journal.write(Event.CHANGE_SCHEDULED, data, at=site.clock(), actor=actor)
            return Ordered(change, order, examined.plan, length, _foreseen(site, examined, order.starts))


def withdraw(site: Site, change: str, reason: str) -> Scheduled:
    """Take a change off the schedule. Raises Refused `not-scheduled` when it is not there."""
    actor = acting_person(site)
    read_history(site, change)
    with (
        site.locks.hold([f"change-{change}"], purpose=f"withdraw {change}", holder=actor, now=site.clock()),
        site.journal(change) as journal,
    ):
        order = scheduled(journal.history())
        if order is None:
            raise Refused("not-scheduled", change=change, state=journal.history().state)
        journal.write(Event.SCHEDULE_WITHDRAWN, {"reason": reason}, at=site.clock(), actor=actor)
        return order


def expire(site: Site, change: str) -> Scheduled | None:
    """Write down that a change could not begin in time, unless that has changed; give the order that is gone."""
    with (
        site.locks.hold([f"change-{change}"], purpose=f"expire {change}", holder=acting_person(site), now=site.clock()),
        site.journal(change) as journal,
    ):
        order = scheduled(journal.history())
        if order is None or site.clock() < order.expires:
            return None
        data = {"starts": plain.to_plain(order.starts), "expires": order.expires}
        journal.write(Event.START_EXPIRED, data, at=site.clock(), actor=acting_person(site))
        return order


def read_schedule(site: Site) -> Sequence[Standing]:
    """All that stands on the schedule, the next first. A journal that is damaged is told by the verbs that need it."""
    found = []
    for change in site.journals.unclosed_with(Event.CHANGE_SCHEDULED):
        with suppress(Integrity):
            history = read_history(site, change)
            if order := scheduled(history):
                requested = history.last(Event.CHANGE_REQUESTED)
                found.append(Standing(change, requested.data["system"] if requested else "-", order))
    return sorted(found, key=lambda one: (one.order.starts, one.change))


def _order(site: Site, plan: Plan, at: datetime | None, expires: datetime | None, length: timedelta) -> Scheduled:
    """The order, in whole seconds. Raises OutsideWindow unless it starts, and later expires, inside the window."""
    opens, closes, now = plan.window.opens, plan.window.closes, site.clock().replace(microsecond=0)
    starts = (at or max(opens, now)).replace(microsecond=0)
    if expires is None:
        expires = closes - length if closes - length > starts else closes
    if not (opens <= starts < expires <= closes and expires > now):
        zone = ZoneInfo(plan.window.zone)
        told = {
            name: f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"
            for name, moment in {"opens": opens, "closes": closes, "starts": starts, "expires": expires}.items()
        }
        raise OutsideWindow("schedule-outside-window", change=plan.change, zone=plan.window.zone, **told)
    return Scheduled(plan.digest.hex, starts, expires.replace(microsecond=0), acting_person(site))


def _foreseen(site: Site, examined: Examined, at: datetime) -> Answer | None:
    """What the calendar on the branch says of the first wave at `at`; None when there is none, or it does not count."""
    plan = examined.plan
    try:
        calendar = calendar_on(site, examined.snapshot)
        if calendar is None or plan.kind is Kind.EMERGENCY:
            return None
        pattern = examined.files.request.hosts
        groups = groups_of(site, examined.tree, plan.release.system, pattern, plan.waves[0].hosts)
    except BadInput:  # only a hint: when the change begins, a calendar that is wrong refuses
        return None
    return calendar.ask(groups, at)
