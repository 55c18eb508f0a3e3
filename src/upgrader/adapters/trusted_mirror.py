"""The mirror of the repository that the trust file names: nobody decides that in the repository itself."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from upgrader.adapters.git_mirror import GitMirror, Snapshot
from upgrader.adapters.trust_files import TrustFiles
from upgrader.domain.digest import Digest
from upgrader.domain.trust import Repository


class TrustedMirror:
    """Opens the mirror when it is first needed: a new site has no trust file yet."""

    def __init__(self, directory: Path, trust: TrustFiles) -> None:
        self._directory = directory
        self._trust = trust
        self._opened: dict[Repository, GitMirror] = {}

    def refresh(self) -> Snapshot:
        return self._mirror().refresh()

    def at(self, commit: str) -> Snapshot:
        return self._mirror().at(commit)

    def tip(self) -> Snapshot:
        return self._mirror().snapshot()

    def removed_records(self, commit: str, folder: str) -> Sequence[str]:
        return self._mirror().removed_records(commit, folder)

    def export(self, snapshot: Snapshot, prefixes: Iterable[str], target: Path) -> Digest:
        return self._mirror().export(snapshot, prefixes, target)

    def tree_digest(self, snapshot: Snapshot, prefixes: Iterable[str]) -> Digest:
        return self._mirror().tree_digest(snapshot, prefixes)

    def _mirror(self) -> GitMirror:
        repository = self._trust.load().repository
        if repository not in self._opened:
            self._opened = {repository: GitMirror(self._directory, repository.url, repository.branch)}
        return self._opened[repository]
