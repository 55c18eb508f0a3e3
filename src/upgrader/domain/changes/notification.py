"""Of what people are told while nobody sits before the screen: read from the journal, never kept beside it.

What was delivered is remembered apart, for people; nothing is decided by it. Whoever loses that memory is told again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from upgrader.domain.changes.journal import Entry, History
from upgrader.domain.changes.lifecycle import Event

FRESH = timedelta(hours=12)  # older news help nobody; what was never delivered is still shown
AGAIN = timedelta(minutes=1)  # after this a message that was not delivered is tried once more


class Topic(StrEnum):
    """What a message is about, in the order of a night."""

    REFUSED = "refused"
    EXPIRED = "expired"
    BEGUN = "begun"
    OWED = "owed"
    STOPPED = "stopped"
    GOING_BACK = "going-back"
    TAKEN_BACK = "taken-back"
    STUCK = "stuck"
    SOAKING = "soaking"
    STABLE = "stable"
    UNSTABLE = "unstable"
    INCONCLUSIVE = "inconclusive"
    TRIAL = "trial"  # of nothing: somebody tries whether messages arrive


TOPICS: Mapping[Event, Topic] = {
    Event.GATE_REFUSED: Topic.REFUSED,
    Event.START_EXPIRED: Topic.EXPIRED,
    Event.APPLY_STARTED: Topic.BEGUN,
    Event.DEBT_OPENED: Topic.OWED,
    Event.WORK_STOPPED: Topic.STOPPED,
    Event.ROLLBACK_STARTED: Topic.GOING_BACK,
    Event.ROLLBACK_FINISHED: Topic.TAKEN_BACK,
    Event.ROLLBACK_INCOMPLETE: Topic.STUCK,
    Event.SOAK_STARTED: Topic.SOAKING,
    Event.FOUND_STABLE: Topic.STABLE,
    Event.FOUND_UNSTABLE: Topic.UNSTABLE,
    Event.FOUND_INCONCLUSIVE: Topic.INCONCLUSIVE,
}


class Way(StrEnum):
    """How a message leaves: a program of the site, a POST of our JSON, or one that chat robots read."""

    COMMAND = "command"
    WEBHOOK = "webhook"
    ROBOT = "robot"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifierTerms:
    """One way to reach some people. `run` belongs to commands, `url` and `secret` to the others.

    `per_minute` is how many messages it takes at most; `timeout` is in seconds, for one message.
    """

    name: str
    by: Way
    run: tuple[str, ...]
    url: str
    secret: str
    to: tuple[str, ...]
    about: frozenset[Topic]
    per_minute: int
    timeout: int


@dataclass(frozen=True, slots=True)
class Notification:
    """One message: the journal line `seq` of a change, and what a person needs of it. `hosts` are those it names.

    `because` may be the code of a rule that said no; then `fields` are those of its text.
    """

    change: str
    seq: int
    topic: Topic
    at: datetime
    system: str
    version: str
    because: str
    hosts: tuple[str, ...]
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The last try to bring one message to one notifier. `reason` says why it did not arrive; empty when it did."""

    seq: int
    notifier: str
    at: datetime
    reason: str = ""


def is_told(event: Event, data: Mapping[str, Any]) -> bool:
    """Whether a fact is a message. A refusal is one only where a service asked: a person who asks reads the answer."""
    return event in TOPICS and (event is not Event.GATE_REFUSED or "by" in data)


def notifications(change: str, history: History) -> Iterator[Notification]:
    """Every message that a journal gives, in its order."""
    asked = history.last(Event.CHANGE_REQUESTED)
    about = asked.data if asked is not None else {}
    for entry in history.entries:
        if not is_told(entry.event, entry.data):
            continue
        yield Notification(
            change,
            entry.seq,
            TOPICS[entry.event],
            entry.at,
            str(about.get("system", "-")),
            str(about.get("version", "-")),
            str(entry.data.get("because") or entry.data.get("code") or entry.data.get("reason") or ""),
            _hosts(entry),
            dict(entry.data.get("fields", {})),
        )


def owed(
    messages: Iterable[Notification],
    wants: Callable[[Topic], Iterable[str]],
    tried: Iterable[Delivery],
    now: datetime,
    *,
    again: timedelta = AGAIN,
) -> Iterator[tuple[Notification, str]]:
    """The messages that are still to be brought, each with the notifier that wants it and did not get it."""
    last = {(delivery.seq, delivery.notifier): delivery for delivery in tried}
    for message in messages:
        if message.at < now - FRESH:
            continue
        for notifier in wants(message.topic):
            before = last.get((message.seq, notifier))
            if before is None or (before.reason and before.at <= now - again):
                yield message, notifier


def undelivered(tried: Iterable[Delivery]) -> tuple[Delivery, ...]:
    """What did not arrive when it was last tried."""
    return tuple(delivery for delivery in tried if delivery.reason)


def _hosts(entry: Entry) -> tuple[str, ...]:
    named = entry.data.get("hosts", ())
    return tuple(map(str, named)) if isinstance(named, list | tuple) else ()
