"""The message as it leaves the house: one versioned object, with its words in both languages."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from upgrader.domain import plain
from upgrader.domain.changes.notification import Notification
from upgrader.domain.names import SiteId

FORMAT = "upgrader.notification/1"


@dataclass(frozen=True, slots=True)
class Message:
    """`words` is a line for people by language; `facts` is all of it, and `body` the same as JSON."""

    words: Mapping[str, str]
    facts: Mapping[str, Any]

    @property
    def body(self) -> bytes:
        return json.dumps(self.facts, ensure_ascii=False, sort_keys=True).encode()


def message_of(site: SiteId, notification: Notification, words: Mapping[str, str], to: Sequence[str]) -> Message:
    facts = plain.to_plain(notification)
    return Message(words, {**facts, "format": FORMAT, "site": str(site), "to": list(to), "text": dict(words)})
