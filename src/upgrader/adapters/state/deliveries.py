"""Which messages arrived, one file per change: for people, no decision. Whoever removes it has people told again."""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from upgrader.domain import plain
from upgrader.domain.changes.notification import Delivery


class DeliveryFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def tried(self, change: str) -> Sequence[Delivery]:
        """The last try of each message; none where nothing was sent, or where the file cannot be read."""
        with suppress(OSError, ValueError):
            content = json.loads((self._folder / f"{change}.json").read_bytes())
            return plain.from_plain(tuple[Delivery, ...], content)
        return ()

    def remember(self, change: str, delivery: Delivery) -> None:
        """Keep one try; it replaces the one before of the same message to the same notifier."""
        place = (delivery.seq, delivery.notifier)
        kept = [each for each in self.tried(change) if (each.seq, each.notifier) != place]
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._folder / f".{change}.{os.getpid()}"
        fresh.write_text(json.dumps(plain.to_plain([*kept, delivery])), encoding="utf-8")
        fresh.replace(self._folder / f"{change}.json")
