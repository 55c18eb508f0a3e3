"""A person's own clone: commit my record, push it, show the history. For their comfort; the gate never decides by it.

A value from a record is never handed to a git command line, where it could be read as an option: paths go through the
index, commits are made as objects, and what git is told on its command line are ids that git gave us.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Self

import git
from git.config import GitConfigParser
from git.remote import PushInfo

from upgrader.adapters.git.git_objects import is_plain_name
from upgrader.domain.errors import PreflightFailed
from upgrader.domain.names import PersonId

REMOTE = "origin"
SECTION = "upgrader"
NOT_PUSHED = PushInfo.REJECTED | PushInfo.REMOTE_REJECTED | PushInfo.REMOTE_FAILURE | PushInfo.ERROR


@dataclass(frozen=True, slots=True)
class Revision:
    """One commit, as a person wants to see it listed."""

    commit: str
    at: datetime
    author: str
    subject: str


class Clone:
    """The repository around `directory`. Raises PreflightFailed when there is none."""

    def __init__(self, directory: Path) -> None:
        try:
            self._repo = git.Repo(directory, search_parent_directories=True)
        except (git.InvalidGitRepositoryError, git.NoSuchPathError) as error:
            raise PreflightFailed("not-a-repository", folder=directory) from error
        if self._repo.working_tree_dir is None:
            raise PreflightFailed("not-a-repository", folder=directory)
        self._repo.git.update_environment(GIT_LITERAL_PATHSPECS="1")
        self.root = Path(self._repo.working_tree_dir).resolve()

    @classmethod
    def init(cls, directory: Path, branch: str = "main") -> Self:
        """Make a new, empty repository; harmless where one is already."""
        with _told("init-failed"):
            git.Repo.init(directory, initial_branch=branch)
        return cls(directory)

    def head(self) -> str:
        """The id of the commit that is checked out; empty before the first commit."""
        return self._repo.head.commit.hexsha if self._repo.head.is_valid() else ""

    def branch(self) -> str:
        if self._repo.head.is_detached:
            raise PreflightFailed("no-branch", folder=self.root)
        return self._repo.active_branch.name

    def url(self) -> str:
        """Where `origin` is; empty when there is no such remote."""
        return next((remote.url for remote in self._repo.remotes if remote.name == REMOTE), "")

    def add_remote(self, url: str) -> None:
        """Name `url` as `origin`, and let the branch follow its own there, so that a plain `git pull` works."""
        branch = self.branch()
        with _told("settings-not-written"):
            self._repo.create_remote(REMOTE, url)
            with self._repo.config_writer() as settings:
                settings.set_value(f'branch "{branch}"', "remote", REMOTE)
                settings.set_value(f'branch "{branch}"', "merge", f"refs/heads/{branch}")

    def setting(self, name: str) -> str | None:
        """One of this clone's own settings (`git config upgrader.<name>`); None when it is not set."""
        return self._setting(name) or None

    @property
    def person(self) -> PersonId | None:
        """Who works here (`git config upgrader.person`)."""
        found = self._setting("person")
        return PersonId(found) if found else None

    @property
    def key(self) -> Path | None:
        """The key that this person signs with (`git config upgrader.key`)."""
        found = self._setting("key")
        return Path(found).expanduser() if found else None

    def remember(self, person: PersonId, key: Path) -> None:
        """Write person and key into this clone's own configuration."""
        with _told("settings-not-written"), self._repo.config_writer() as settings:
            settings.set_value(SECTION, "person", person)
            settings.set_value(SECTION, "key", str(key))

    def is_clean(self, paths: Iterable[Path]) -> bool:
        """Whether the files at or under `paths` are as they were committed, with nothing new beside them."""
        named: list[str | PathLike[str]] = [*self._inside(paths)]
        with _told("status-failed"):
            if self._repo.index.diff(None, paths=named):
                return False
            if self._repo.head.is_valid() and self._repo.index.diff(self._repo.head.commit, paths=named):
                return False
            new = [Path(path) for path in self._repo.untracked_files]
        return not any(path == Path(name) or Path(name) in path.parents for path in new for name in named)

    def commit(self, paths: Iterable[Path], message: str, author: str | None = None) -> str:
        """Commit these files and nothing else, whatever else is staged; give the commit's id.

        `author` is a person's name; the address comes from git's own settings. Makes no commit when nothing changed.
        Raises PreflightFailed for a name that the gate would not accept (which also keeps patterns out of the index).
        """
        named = self._inside(paths)
        if odd := [path for path in named if not all(map(is_plain_name, path.split("/")))]:
            raise PreflightFailed("path-not-plain", file=odd[0])
        if not named:
            raise ValueError("no path: a commit of nothing records nothing")
        with _told("commit-failed"):
            tree = self._tree_with(named)
            parents = [self._repo.head.commit] if self._repo.head.is_valid() else []
            if not parents or parents[0].tree != tree:
                actor = git.Actor.author(self._repo.config_reader())
                by = git.Actor(author, actor.email) if author else actor
                git.Commit.create_from_tree(
                    self._repo, tree, message, parent_commits=parents, head=True, author=by, committer=actor
                )
            self._repo.index.add(named)
        return self.head()

    def pull(self) -> str:
        """Bring the branch forward to what `origin` has. Raises PreflightFailed when it can't just move forward."""
        if not self.url():
            return self.head()
        theirs = self._fetch("pull-failed")
        if theirs and theirs != self.head():
            with _told("pull-failed", url=self.url()):
                self._repo.git.merge("--ff-only", "--quiet", theirs)
        return self.head()

    def push(self) -> None:
        """Bring our commits to `origin`.

        When `origin` has moved meanwhile and our one new commit can be put on top of it without a conflict, that is
        done, once. Raises PreflightFailed `push-failed` else, with our commit kept in this clone.
        """
        if not self.url():
            raise PreflightFailed("push-failed", url="-", reason="there is no remote called origin")
        if self._push_once() is None:
            return
        self._put_on_top()
        if reason := self._push_once():
            raise PreflightFailed("push-failed", url=self.url(), reason=reason)

    def history(self, path: Path) -> tuple[Revision, ...]:
        """The commits that touched `path`, newest first."""
        if not self._repo.head.is_valid():
            return ()
        with _told("history-failed"):
            return tuple(
                Revision(
                    made.hexsha,
                    made.committed_datetime.astimezone(UTC),
                    str(made.author.name),
                    str(made.message).partition("\n")[0],
                )
                for made in self._repo.iter_commits(paths=self._inside([path]))
            )

    def _tree_with(self, named: list[str]) -> git.Tree:
        """The tree of the last commit with the files at `named` put in as they are in the work tree."""
        if not self._repo.head.is_valid():
            self._repo.index.add(named)
            return self._repo.index.write_tree()
        index = git.IndexFile.from_tree(self._repo, self._repo.head.commit)
        try:
            index.add(named)
            return index.write_tree()
        finally:
            with suppress(FileNotFoundError):
                Path(index.path).unlink()

    def _push_once(self) -> str | None:
        """Push; None when it arrived, else why it did not."""
        branch = self.branch()
        with _told("push-failed", url=self.url()):
            told = self._repo.remote(REMOTE).push(refspec=f"HEAD:refs/heads/{branch}", set_upstream=True)
        refused = [info.summary.strip() for info in told if info.flags & NOT_PUSHED]
        if not told:
            return str(told.error or "git did not say why")
        return refused[0] if refused else None

    def _put_on_top(self) -> None:
        theirs = self._fetch("push-failed")
        mine = list(self._repo.iter_commits(f"{theirs}..HEAD", max_count=2)) if theirs else []
        if len(mine) != 1:
            raise PreflightFailed(
                "push-failed", url=self.url(), reason=f"{len(mine) or 'no'} commits here are not in origin"
            )
        try:
            self._repo.git.rebase("--quiet", "--autostash", theirs)
        except git.GitCommandError as error:
            with suppress(git.GitCommandError):
                self._repo.git.rebase("--abort")
            raise PreflightFailed("push-failed", url=self.url(), reason=_reason(error)) from error

    def _fetch(self, code: str) -> str:
        """Fetch our branch from `origin` and give the id of its tip there; empty when `origin` does not have it yet."""
        branch = self.branch()
        with _told(code, url=self.url()):
            remote = self._repo.remote(REMOTE)
            remote.fetch(f"+refs/heads/*:refs/remotes/{REMOTE}/*")
            found = [ref for ref in remote.refs if ref.name == f"{REMOTE}/{branch}"]
            return found[0].commit.hexsha if found else ""

    def _setting(self, name: str) -> str:
        reader: GitConfigParser = self._repo.config_reader()
        return str(reader.get_value(SECTION, name, ""))

    def _inside(self, paths: Iterable[Path]) -> list[str]:
        """The paths from the root of the clone on. Raises PreflightFailed for one that lies outside."""
        named = []
        for path in paths:
            whole = (self.root / path).resolve()
            if not whole.is_relative_to(self.root):
                raise PreflightFailed("path-outside", file=path, folder=self.root)
            named.append(whole.relative_to(self.root).as_posix())
        return named


@contextmanager
def _told(code: str, **fields: object) -> Iterator[None]:
    """Let a failure of git, or of the disk below it, out as PreflightFailed with this code."""
    try:
        yield
    except (git.GitError, OSError, ValueError) as error:
        raise PreflightFailed(code, **fields, reason=_reason(error)) from error


def _reason(error: Exception) -> str:
    told = str(getattr(error, "stderr", "") or error).strip()
    return " / ".join(line.strip() for line in told.splitlines())[:300]
