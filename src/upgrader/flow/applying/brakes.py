"""Brakes: what people asked of work, looked for before every wave and host, and written down by whoever carries it out.

`check_brakes` is for every verb that begins something. The way back is never held: not by a pause, not by the stop.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from upgrader.domain import plain
from upgrader.domain.changes.brake import Ask, Brake, pause_of
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event, may
from upgrader.domain.errors import Refused
from upgrader.domain.names import ChangeId, PersonId
from upgrader.flow.history import read_history
from upgrader.flow.site import Site
from upgrader.ports import Journal

FACTS = {Ask.PAUSE: Event.CHANGE_PAUSED, Ask.RESUME: Event.CHANGE_RESUMED}


def check_brakes(site: Site, change: str) -> None:
    """Whether anything of this change may begin now; hosts that have begun are not meant. Reads, and writes nothing.

    Raises Refused `all-stopped`, `change-paused` or `abort-asked`, each with who, since when and why;
    `brake-unreadable` where that can't be told.
    """
    check_stopped(site)
    for brake in site.brakes.asked(change):
        if brake.ask is Ask.ABORT:
            raise Refused("abort-asked", change=change, **_who_and_why(brake))
    history = read_history(site, change)
    paused = None if _is_resumed(site, change) else paused_by(site, change, history)
    if paused is not None:
        raise Refused("change-paused", change=change, **_who_and_why(paused))


def check_stopped(site: Site) -> None:
    """Raises Refused `all-stopped` while all work of this controller is stopped."""
    if (stop := site.brakes.stopped()) is not None:
        raise Refused("all-stopped", **_who_and_why(stop))


def paused_by(site: Site, change: str, history: History) -> Brake | None:
    """Who paused the change, by the journal or by an ask that nobody has written down yet; None when nobody did."""
    if (entry := pause_of(history)) is not None:
        since, reason = plain.instant(entry.data["since"]), str(entry.data["reason"])
        by = PersonId(entry.data["person"])
        return Brake(ask=Ask.PAUSE, change=ChangeId(change), person=by, since=since, reason=reason)
    asked = site.brakes.asked(change) if may(history.state, Event.CHANGE_PAUSED) else ()
    return next((brake for brake in asked if brake.ask is Ask.PAUSE), None)


def held_by(site: Site, change: str, history: History) -> Brake | None:
    """What holds a change now, for people to see: the stop of all work, else its own pause; None when nothing does."""
    if not may(history.state, Event.CHANGE_PAUSED):
        return None
    return site.brakes.stopped() or paused_by(site, change, history)


def abort_asked(site: Site, change: str) -> Brake | None:
    return next((brake for brake in site.brakes.asked(change) if brake.ask is Ask.ABORT), None)


def write_down_asks(site: Site, journal: Journal, change: str) -> None:
    """Make facts of what was asked about pausing, oldest first, and take the asks away.

    After a crash in between the fact stands already: then only the ask goes. One that comes too late, because nothing
    is left that could wait, goes without a fact.
    """
    for brake in site.brakes.asked(change):
        event = FACTS.get(brake.ask)
        if event is None:
            continue
        history = journal.history()
        is_new = (pause_of(history) is None) == (event is Event.CHANGE_PAUSED)
        if is_new and may(history.state, event) and not brake.stands_in(history.last(event)):
            journal.write(event, brake.as_data(), at=site.clock(), actor=brake.person)
        site.brakes.done(brake)


def write_down_stop(site: Site, journal: Journal, actor: str) -> None:
    """Say in the journal that all work was stopped, once for each stop."""
    stop = site.brakes.stopped()
    if stop is not None and not stop.stands_in(journal.history().last(Event.WORK_STOPPED)):
        journal.write(Event.WORK_STOPPED, stop.as_data(), at=site.clock(), actor=actor)


def whole_second(moment: datetime) -> datetime:
    """Times in files and journals are whole seconds; what is compared with them is one too."""
    return moment.replace(microsecond=0)


def _is_resumed(site: Site, change: str) -> bool:
    """Whether the last thing that was asked, and not written down yet, is to go on."""
    asked: Sequence[Ask] = [brake.ask for brake in site.brakes.asked(change)]
    return bool(asked) and asked[-1] is Ask.RESUME


def _who_and_why(brake: Brake) -> Mapping[str, object]:
    return {"person": brake.person, "since": plain.to_plain(brake.since), "reason": brake.reason}
