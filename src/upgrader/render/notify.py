"""What people are told of a change, and how it went to tell them."""

from collections.abc import Mapping, Sequence
from typing import Any

from upgrader.domain import plain
from upgrader.domain.changes.notification import Delivery, Notification
from upgrader.flow.service.notify import Sent
from upgrader.language import Language, Texts

MOST_HOSTS = 5


def notification_words(notification: Notification) -> Mapping[str, str]:
    """One line in each language, Chinese first, for whoever reads it on a telephone."""
    return {language.value: _words(notification, Texts(language)) for language in (Language.ZH, Language.EN)}


def _words(notification: Notification, texts: Texts) -> str:
    return texts(
        f"notify.{notification.topic}",
        change=notification.change,
        system=notification.system,
        version=notification.version,
        because=_because(notification, texts),
        count=len(notification.hosts),
        hosts=list(notification.hosts[:MOST_HOSTS]) or "-",
        at=f"{notification.at:%Y-%m-%dT%H:%M:%SZ}",
    )


def _because(notification: Notification, texts: Texts) -> str:
    """A reason in words: what a rule said no to, what broke a wave, or what a person gave as the reason."""
    refusal = f"error.{notification.because}.what"
    if texts.has(refusal):
        return texts(refusal, **notification.fields)
    return notification.because or "-"


def notified(one: Sent, texts: Texts) -> str:
    mark = "✗" if one.reason else "✓"
    told = _words(one.notification, texts)
    return f"  {mark} {one.notifier}: {told}" + (f"\n      {one.reason}" if one.reason else "")


def notified_json(one: Sent) -> Mapping[str, Any]:
    return {"notifier": one.notifier, "reason": one.reason, **plain.to_plain(one.notification)}


def not_delivered(left: Sequence[Delivery], texts: Texts) -> list[str]:
    """A line for each notifier that did not take its messages."""
    lines = []
    for notifier in dict.fromkeys(delivery.notifier for delivery in left):
        its = [delivery for delivery in left if delivery.notifier == notifier]
        fields = {"notifier": notifier, "count": len(its), "reason": its[-1].reason}
        lines.append(f"  {texts('status.not-delivered', **fields)}")
    return lines
