"""Exports of a commit: the files that Ansible may read, in a folder of their own, read-only, gone when done."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from upgrader.adapters.git.exported_tree import folder_digest, remove_export
from upgrader.adapters.site_template import template_files
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
            _remove(target)

    @contextmanager
    def with_own_playbooks(self, tree: Tree) -> Iterator[Tree]:
        """The same inventory with the playbooks that this program ships: for a question that nobody has signed yet."""
        target = Path(tempfile.mkdtemp(prefix="question-", dir=self._folder)) / "tree"
        try:
            for name, content in template_files().items():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).write_bytes(content)
            shutil.copytree(tree.path / "inventory", target / "inventory")
            yield Tree(target, folder_digest(target))
        finally:
            _remove(target)


def _remove(target: Path) -> None:
    if target.exists():
        remove_export(target)
    target.parent.rmdir()
