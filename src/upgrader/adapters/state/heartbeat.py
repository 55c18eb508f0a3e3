"""When the service last looked at everything: a small file in the cache, for people. Nothing is decided by it."""

import json
from pathlib import Path

from upgrader.domain import plain
from upgrader.domain.changes.heartbeat import Beat


class HeartbeatFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def beat(self, beat: Beat) -> None:
        """Write it down whole or not at all. A disk that is full is told by what matters: the journals."""
        fresh = self._path.with_name(f".{self._path.name}.incoming")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps(plain.to_plain(beat)) + "\n", encoding="utf-8")
            fresh.replace(self._path)
        except OSError:
            return

    def last(self) -> Beat | None:
        """The last one; None when no service ever ran here, or what it left can't be read."""
        try:
            return plain.from_plain(Beat, json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return None
