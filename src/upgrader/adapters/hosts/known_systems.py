"""The systems that files describe, remembered by the digest of the files: pydantic takes longer than all that asks."""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from upgrader.domain import plain
from upgrader.domain.hospital.dependency import Graph
from upgrader.domain.hospital.system import System


class KnownSystems:
    """Reads the files of `inventory/group_vars/`. What they said is kept in `cache`, by what was read."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def __call__(self, files: Mapping[str, bytes]) -> Graph:
        """The systems among these files, by path. Raises BadInput as `documents.read_systems` does."""
        kept = self._cache / f"{_digest(files)}.json"
        with suppress(OSError, ValueError):
            return Graph.of(plain.from_plain(System, one) for one in json.loads(kept.read_bytes()))
        from upgrader.adapters.documents.system import read_systems

        graph = read_systems(files)
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = kept.with_name(f".{kept.name}.{os.getpid()}")
        fresh.write_text(json.dumps([plain.to_plain(system) for system in graph.systems.values()]), encoding="utf-8")
        fresh.replace(kept)
        return graph


def _digest(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(b"upgrader.systems/1\n")
    for path, content in sorted(files.items()):
        digest.update(f"{len(content)} {path}\n".encode())
        digest.update(content)
    return digest.hexdigest()
