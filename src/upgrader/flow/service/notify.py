"""Notify: tell people what happened, beside the work and never in its way.

The journal says what there is to tell; whatever was not delivered is tried again. One process sends at a time, so that
a gateway that takes twenty messages a minute gets no more.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.notification import (
    Delivery,
    Notification,
    Topic,
    notifications,
    owed,
)
from upgrader.domain.errors import Locked, UpgraderError
from upgrader.flow.history import read_history
from upgrader.flow.site import Site

SENDING, NEXT = "notify", "notify-next"
SLICE_SECONDS = 0.5
NOW = timedelta(0)
Words = Callable[[Notification], Mapping[str, str]]  # a line for people, by language


@dataclass(frozen=True, slots=True)
class Sent:
    """One try: what was told to whom, and why it did not arrive; empty when it did."""

    notification: Notification
    notifier: str
    reason: str


@dataclass
class Pace:
    """When each notifier may be called next, in monotonic seconds."""

    sleep: Callable[[float], None]
    ticks: Callable[[], float] = time.monotonic
    free: dict[str, float] = field(default_factory=dict)

    def wait(self, notifier: str, pause: float) -> None:
        left = self.free.get(notifier, 0.0) - self.ticks()
        if left > 0:
            self.sleep(left)
        self.free[notifier] = self.ticks() + pause


def notify_people(site: Site, words: Words, *, again: timedelta = NOW) -> Iterator[Sent]:
    """Bring every message that is owed, of all changes that are not closed; give each try as it was made.

    1. wait for whoever sends already; a third one goes away   2. what is owed?   3. send, at the notifier's pace
    4. remember what came of it   5. once more, until nothing new has happened meanwhile
    Raises BadInput for a wrong notify.yml, Refused for one that others may write.
    """
    pace = Pace(site.sleep)
    tried: set[tuple[str, int, str]] = set()
    with _sender(site) as is_sender:
        found = list(_owed(site, again)) if is_sender else []
        while found:
            for notification, notifier in found:
                tried.add((notification.change, notification.seq, notifier))
                pace.wait(notifier, site.people.notifiers.pause(notifier))
                yield _send(site, words, notification, notifier)
            found = [one for one in _owed(site, again) if (one[0].change, one[0].seq, one[1]) not in tried]


def try_notifiers(site: Site, words: Words) -> Iterator[Sent]:
    """Bring a message that says that it is only a trial to every notifier, whatever it wants to hear of."""
    trial = Notification("-", 0, Topic.TRIAL, site.clock(), "-", "-", "", ())
    for notifier in site.people.notifiers.names():
        yield Sent(trial, notifier, _brought(site, words, trial, notifier))


def anything_owed(site: Site, again: timedelta) -> bool:
    """Whether somebody is still to be told something that was not tried a moment ago."""
    return next(_owed(site, again), None) is not None


def _owed(site: Site, again: timedelta) -> Iterator[tuple[Notification, str]]:
    now = site.clock()
    for change in site.journals.unclosed_with(Event.CHANGE_REQUESTED):
        try:
            told = notifications(change, read_history(site, change))
        except UpgraderError:  # a damaged journal is told by the verb that needs it
            continue
        yield from owed(told, site.people.notifiers.who_wants, site.people.deliveries.tried(change), now, again=again)


def _send(site: Site, words: Words, notification: Notification, notifier: str) -> Sent:
    reason = _brought(site, words, notification, notifier)
    site.people.deliveries.remember(notification.change, Delivery(notification.seq, notifier, site.clock(), reason))
    return Sent(notification, notifier, reason)


def _brought(site: Site, words: Words, notification: Notification, notifier: str) -> str:
    """Why a message did not arrive; empty when it did."""
    try:
        site.people.notifiers.send(notifier, notification, words(notification))
    except UpgraderError as error:
        return error.fields.get("reason") or error.code
    return ""


@contextmanager
def _sender(site: Site) -> Iterator[bool]:
    """Be the one who sends, after whoever does now; False when somebody waits for that already."""
    holder, now = site.person or SENDING, site.clock()
    with ExitStack() as held:
        try:
            with site.locks.hold([NEXT], purpose=SENDING, holder=holder, now=now):
                while not _took(held, site.locks.hold([SENDING], purpose=SENDING, holder=holder, now=now)):
                    site.sleep(SLICE_SECONDS)
            is_sender = True
        except Locked:
            is_sender = False
        yield is_sender


def _took(held: ExitStack, lock: AbstractContextManager[None]) -> bool:
    try:
        held.enter_context(lock)
    except Locked:
        return False
    return True
