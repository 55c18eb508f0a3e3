"""Exports of a commit: the files that Ansible may read, in a folder of their own, read-only, gone when done."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from upgrader.adapters.exported_tree import remove_export
from upgrader.ports import Mirror, Snapshot, Tree


class Exports:
    """Writes exports below `folder`. `prefixes` are the files and folders of a commit that are executed."""

    def __init__(self, folder: Path, mirror: Mirror, prefixes: Sequence[str]) -> None:
        self._folder = folder
        self._mirror = mirror
        self._prefixes = tuple(prefixes)

    @contextmanager
    def open(self, snapshot: Snapshot) -> Iterator[Tree]:
        """Export one commit; the files are removed when the context ends."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        target = Path(tempfile.mkdtemp(prefix=f"{snapshot.commit[:12]}-", dir=self._folder)) / "tree"
        try:
            yield Tree(target, self._mirror.export(snapshot, self._prefixes, target))
        finally:
            if target.exists():
                remove_export(target)
            target.parent.rmdir()
