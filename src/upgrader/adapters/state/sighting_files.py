"""What hosts said when they were last asked, one file per system: for lists, no decision. It may be removed."""

import json
import os
from contextlib import suppress
from pathlib import Path

from upgrader.domain import plain
from upgrader.domain.hospital.sighting import Sightings
from upgrader.domain.names import SystemId


class SightingFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def remember(self, seen: Sightings) -> None:
        """Keep what hosts said; of a host that is not among them, what it said before stays."""
        merged = Sightings(seen.system, {**self.recall(seen.system).hosts, **seen.hosts})
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._folder / f".{seen.system}.{os.getpid()}"
        fresh.write_text(json.dumps(plain.to_plain(merged)), encoding="utf-8")
        fresh.replace(self._folder / f"{seen.system}.json")

    def recall(self, system: SystemId) -> Sightings:
        """What was kept of a system; nothing where no host was asked, or where the file cannot be read."""
        with suppress(OSError, ValueError):
            return plain.from_plain(Sightings, json.loads((self._folder / f"{system}.json").read_bytes()))
        return Sightings(system, {})
