"""The mirror of the repository that the trust file names: nobody decides that in the repository itself."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from upgrader.adapters.git.git_mirror import GitMirror, Snapshot
from upgrader.adapters.trust.trust_files import TrustFiles
from upgrader.domain.approval.trust import Repository
from upgrader.domain.digest import Digest


class TrustedMirror:
    """Opens the mirror when it is first needed: a new site has no trust file yet.

    The trust file is asked again whenever the branch is looked at; what is read in between is of the same mirror.
    """

    def __init__(self, directory: Path, trust: TrustFiles) -> None:
        self._directory = directory
        self._trust = trust
        self._opened: tuple[Repository, GitMirror] | None = None

    def refresh(self) -> Snapshot:
        return self._named_now().refresh()

    def tip(self) -> Snapshot:
        return self._named_now().snapshot()

    def at(self, commit: str) -> Snapshot:
        return self._mirror().at(commit)

    def removed_records(self, commit: str, folder: str) -> Sequence[str]:
        return self._mirror().removed_records(commit, folder)

    def export(self, snapshot: Snapshot, prefixes: Iterable[str], target: Path) -> Digest:
        return self._mirror().export(snapshot, prefixes, target)

    def tree_digest(self, snapshot: Snapshot, prefixes: Iterable[str]) -> Digest:
        return self._mirror().tree_digest(snapshot, prefixes)

    def _mirror(self) -> GitMirror:
        return self._opened[1] if self._opened is not None else self._named_now()

    def _named_now(self) -> GitMirror:
        """The mirror of the repository that the newest trust file names."""
        named = self._trust.load().repository
        if self._opened is None or self._opened[0] != named:
            self._opened = named, GitMirror(self._directory, named.url, named.branch)
        return self._opened[1]
