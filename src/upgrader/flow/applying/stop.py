"""Stop: no work of this controller begins on any host until the stop is lifted. What has begun ends; the way back stays
open.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from upgrader.domain.changes.brake import Ask, Brake
from upgrader.domain.changes.lifecycle import PAUSABLE, Event
from upgrader.domain.errors import Locked, Refused
from upgrader.flow.applying.brakes import whole_second
from upgrader.flow.identity import acting_person
from upgrader.flow.site import Site


@dataclass(frozen=True, slots=True)
class Stopped:
    """`written_down` are the waiting changes whose journals say it; a running one says it itself before it ends."""

    brake: Brake
    written_down: Sequence[str]


def stop_all(site: Site, reason: str) -> Stopped:
    """Stop all work at once. Where it is stopped already, the first stop stands."""
    brake = site.brakes.ask(_brake(site, Ask.STOP, reason))
    return Stopped(brake, _write_down(site, Event.WORK_STOPPED, brake))


def lift_stop(site: Site, reason: str) -> Stopped:
    """Let work begin again. Raises Refused `nothing-stopped`."""
    if site.brakes.stopped() is None:
        raise Refused("nothing-stopped")
    lifted = _brake(site, Ask.LIFT, reason)
    site.brakes.lift(lifted)
    return Stopped(lifted, _write_down(site, Event.STOP_LIFTED, lifted))


def _brake(site: Site, ask: Ask, reason: str) -> Brake:
    return Brake(ask=ask, change=None, person=acting_person(site), since=whole_second(site.clock()), reason=reason)


def _write_down(site: Site, event: Event, brake: Brake) -> Sequence[str]:
    """Say it in the journal of every change that waits for work, but for those that a running command writes."""
    waiting = site.journals.unclosed_with(Event.PLAN_MADE)
    return [name for name in waiting if _write_down_in(site, name, event, brake)]


def _write_down_in(site: Site, change: str, event: Event, brake: Brake) -> bool:
    last = (Event.WORK_STOPPED, Event.STOP_LIFTED)
    with site.journal(change) as journal:
        history = journal.history()
        before = history.last(*last)
        if (
            history.state not in PAUSABLE
            or (before is not None and before.event is event)
            or (before is None and event is Event.STOP_LIFTED)
        ):
            return False
        try:
            journal.write(event, brake.as_data(), at=site.clock(), actor=brake.person)
        except Locked:
            return False
    return True
