"""The gate's own bare mirror of the one protected branch, read with git's plumbing and believed in nothing.

Git carries the records; it is not the anchor of trust. Each object that is read here is hashed again, trees are parsed
here, and the branch may only move forward. Git itself runs with a fixed small environment and a fixed configuration.
"""

import json
import os
import re
import subprocess
import tempfile
import weakref
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from upgrader.adapters.git.exported_tree import Blob, tree_digest, write_blob
from upgrader.adapters.git.git_objects import OBJECT_ID, Item, Objects
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, PreflightFailed, Refused

FETCH_SECONDS = 300
LOCAL_SECONDS = 60
CHUNK = 1024 * 1024

BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*")

# Files of a change that people may write again; every other file there is a signed record and stays as it is.
REWRITABLE = frozenset({"plan.json", "request.yml"})

INCOMING = "refs/upgrader/incoming"
CONFIGURATIONS = {
    "sha1": "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
    "sha256": "[core]\n\trepositoryformatversion = 1\n\tfilemode = true\n\tbare = true\n"
    "[extensions]\n\tobjectformat = sha256\n",
}
# Ways in which a repository can show other objects than its own.
REDIRECTIONS = (
    "shallow",
    "commondir",
    "info/grafts",
    "objects/info/alternates",
    "objects/info/http-alternates",
)
SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.commitGraph=false",
    "fetch.fsckObjects=true",
    "gc.autoDetach=false",
    "maintenance.autoDetach=false",
)
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "https:ssh:file",
    "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
}


class Snapshot:
    """One commit of the protected branch, with every tree of it checked. Files are read, and hashed, when asked for."""

    def __init__(self, commit: str, items: Mapping[str, Item], mirror: "GitMirror") -> None:
        self.commit = commit
        self._items = items
        self._sorted = sorted(items)
        self._mirror = mirror

    def paths(self, *prefixes: str) -> tuple[str, ...]:
        """The paths of all files at or under the prefixes (files or folders), sorted; of all files without a prefix."""
        if not prefixes:
            return tuple(self._sorted)
        found = [path for prefix in prefixes for path in self._under(prefix.rstrip("/"))]
        return tuple(sorted(set(found)))

    def ids(self, *prefixes: str) -> frozenset[tuple[str, Item]]:
        """What the commit says of all files at or under the prefixes: their paths, modes and ids."""
        return frozenset((path, self._items[path]) for path in self.paths(*prefixes))

    def files(self, *prefixes: str) -> tuple[Blob, ...]:
        """All files at or under the prefixes, sorted by path."""
        paths = self.paths(*prefixes)
        with self._mirror.objects() as objects:
            contents = objects.blobs([self._items[path].id for path in paths])
        return tuple(Blob(path, self._items[path].mode, content) for path, content in zip(paths, contents, strict=True))

    def read(self, path: str) -> bytes | None:
        """The content of one file; None when the commit does not have it."""
        if path not in self._items:
            return None
        with self._mirror.objects() as objects:
            return self._blob(path, objects).content

    def _under(self, prefix: str) -> Sequence[str]:
        """The path itself, when it is a file, and all paths below it; found by halving, for a commit has many files."""
        below = slice(bisect_left(self._sorted, f"{prefix}/"), bisect_left(self._sorted, f"{prefix}0"))  # 0 follows /
        return [*([prefix] if prefix in self._items else []), *self._sorted[below]]

    def _blob(self, path: str, objects: "Objects") -> Blob:
        item = self._items[path]
        return Blob(path, item.mode, objects.blob(item.id))


class GitMirror:
    """A bare repository of the gate's own, with one branch in it.

    `url` is an absolute path, https or ssh. `ssh_command` becomes GIT_SSH_COMMAND, when ssh needs a key of its own.
    """

    def __init__(self, directory: Path, url: str, branch: str, *, ssh_command: str | None = None) -> None:
        if not BRANCH.fullmatch(branch) or url.startswith("-") or not url:
            raise Refused("git-address", url=url, branch=branch)
        self._directory = directory
        self._url = url
        self._ref = f"refs/heads/{branch}"
        self._environment = {**ENVIRONMENT, **({"GIT_SSH_COMMAND": ssh_command} if ssh_command else {})}
        self._reading: _Reading | None = None
        self._accepted: dict[str, Snapshot] = {}
        self._gone: dict[tuple[str, str], frozenset[str]] = {}
        self._tree_digests: dict[frozenset[tuple[str, Item]], Digest] = {}

    def refresh(self) -> Snapshot:
        """Fetch the branch and give its tip. Makes the mirror on first use.

        Raises Refused `branch-rewritten` when the new tip does not hold the old one, `git-…` for what git would accept
        and we do not; Integrity for damaged objects; PreflightFailed `repository-unreachable`. The mirror then stays at
        the tip it had.
        """
        if not (self._directory / "config").exists():
            self._create()
        self._read_afresh()
        refs = self._check_own_repository()
        before = refs.get(self._ref)
        if before is not None:
            self._check_whole(before)
        tip = self._fetch(was_cut_off=INCOMING in refs)
        snapshot = self._accept(tip, before)
        moved = f"update {self._ref} {tip} {before or '0' * len(tip)}\ndelete {INCOMING} {tip}\n"
        self._git("update-ref", "--stdin", said=moved.encode("ascii"))
        return snapshot

    def snapshot(self) -> Snapshot:
        """The tip that was accepted last, without asking the remote repository."""
        self._read_afresh()
        tip = self._check_own_repository().get(self._ref)
        if tip is None:
            raise Refused("branch-missing", url=self._url, branch=self._ref)
        return self._accept(tip, None)

    def at(self, commit: str) -> Snapshot:
        """An earlier commit of the branch. Raises Refused `commit-not-on-branch` unless our tip grew from it."""
        if commit in self._accepted:  # since the branch was looked at last
            return self._accepted[commit]
        tip = self._check_own_repository().get(self._ref)
        if tip is None:
            raise Refused("branch-missing", url=self._url, branch=self._ref)
        with self.objects() as objects:
            if not any(made.id == commit for made in objects.history(tip, until=commit)):
                raise Refused("commit-not-on-branch", commit=commit[:40], branch=self._ref)
        return self._accept(commit, None)

    def removed_records(self, commit: str, folder: str) -> tuple[str, ...]:
        """The files under `folder` that any commit up to `commit` deleted or changed, though a record never may be.

        A commit must keep the records of each of its parents, so a merge can't drop one either. plan.json and
        request.yml may change. What was found in a commit is kept beside the mirror's one ref, which is our memory of
        the branch too: history only grows, so each commit is looked at once.
        """
        top = folder.strip("/").partition("/")[0]
        if (commit, top) not in self._gone:
            self._gone[commit, top] = self._walked(commit, top)
        return tuple(sorted(path for path in self._gone[commit, top] if _is_under(path, [folder])))

    def _walked(self, commit: str, top: str) -> frozenset[str]:
        """The records under `top` that any commit lost which we ever looked at, `commit` and its past included."""
        memory = self._directory / f"walked-{top}.json"
        seen, gone = _recall(memory)
        with self.objects() as objects:
            new = list(objects.history(commit, known=seen))
            for made in new:
                kept = objects.find(made.tree, top)
                for parent in made.parents:
                    had = objects.find(objects.commit(parent).tree, top)
                    gone.update(_lost(objects, had, kept, top))
        if new:
            _remember(memory, seen | {made.id for made in new}, gone)
        return frozenset(gone)

    def export(self, snapshot: Snapshot, prefixes: Iterable[str], target: Path) -> Digest:
        """Write the files at or under `prefixes` into the new folder `target`, read-only; give the tree's digest."""
        blobs = snapshot.files(*_named(prefixes))
        digest = tree_digest(blobs)
        try:
            target.mkdir(parents=True)
            for blob in blobs:
                write_blob(target, blob)
            for folder, _, _ in os.walk(target, topdown=False):
                Path(folder).chmod(0o555)
        except OSError as error:
            raise PreflightFailed("export-not-written", folder=target, reason=error.strerror) from error
        return digest

    def tree_digest(self, snapshot: Snapshot, prefixes: Iterable[str]) -> Digest:
        """The digest that an export of these files would have. Files with the same ids are read once."""
        named = tuple(_named(prefixes))
        ids = snapshot.ids(*named)
        if ids not in self._tree_digests:
            self._tree_digests[ids] = tree_digest(snapshot.files(*named))
        return self._tree_digests[ids]

    @contextmanager
    def objects(self) -> Iterator["Objects"]:
        """The objects of this mirror, read by one `git cat-file --batch` process until the branch is looked at again.

        After an error it is ended: what it would answer next could be the rest of what it was asked before.
        """
        if self._reading is None:
            self._reading = _Reading(self._command("cat-file", "--batch"), self._environment)
        try:
            yield self._reading.objects
        except BaseException:
            self._read_afresh()
            raise

    def _read_afresh(self) -> None:
        if self._reading is not None:
            self._reading.end()
        self._reading = None
        self._accepted.clear()
        self._gone.clear()

    def _create(self) -> None:
        """Make an empty repository with the object format of the remote one, and with a configuration of our own."""
        told = self._remote("ls-remote", "--quiet", "--", self._url, self._ref).split()
        if not told or not OBJECT_ID.fullmatch(told[0]):
            raise Refused("branch-missing", url=self._url, branch=self._ref)
        kind = "sha1" if len(told[0]) == 40 else "sha256"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._git("init", "--quiet", "--bare", "--template=", f"--object-format={kind}", str(self._directory))
            (self._directory / "config").write_text(CONFIGURATIONS[kind], "ascii")
        except OSError as error:
            raise PreflightFailed("mirror-not-made", folder=self._directory, reason=error.strerror) from error

    def _check_own_repository(self) -> Mapping[str, str]:
        """Refuse a mirror that somebody has bent: it may not show other objects than those that we fetched.

        Gives its refs, each with the commit that it names.
        """
        found = [name for name in REDIRECTIONS if (self._directory / name).exists()]
        if (self._directory / "config").read_text("utf-8", "replace") not in CONFIGURATIONS.values():
            found.append("config")
        told = self._git("for-each-ref", "--format=%(refname) %(objectname)").decode("ascii", "replace").splitlines()
        refs = dict(line.split(" ", 1) for line in told)
        found += [ref for ref in refs if ref not in (self._ref, INCOMING)]
        if found:
            raise Refused("git-mirror-altered", folder=self._directory, found=", ".join(found))
        return refs

    def _check_whole(self, tip: str) -> None:
        """Tell a mirror that was damaged from a remote repository that does not answer: git would mix them up."""
        with self.objects() as objects:
            objects.read(tip, "commit")

    def _fetch(self, *, was_cut_off: bool) -> str:
        """Fetch the branch under a name of its own, to be looked at before it is accepted; give its tip."""
        if was_cut_off:
            self._git("update-ref", "-d", INCOMING)
        self._remote(
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--",
            self._url,
            f"+{self._ref}:{INCOMING}",
        )
        tip = self._tip(INCOMING)
        if tip is None:  # git fetches nothing, and says nothing, when the remote repository is a shallow one
            raise Refused("git-shallow", url=self._url)
        return tip

    def _accept(self, tip: str, before: str | None) -> Snapshot:
        with self.objects() as objects:
            if before is not None and not any(made.id == before for made in objects.history(tip, until=before)):
                raise Refused("branch-rewritten", branch=self._ref, expected=before, found=tip)
            items = dict(objects.walk(objects.commit(tip).tree))
        self._accepted[tip] = Snapshot(tip, items, self)
        return self._accepted[tip]

    def _tip(self, ref: str) -> str | None:
        told = self._git("for-each-ref", "--format=%(objectname)", ref).decode("ascii").strip()
        return told or None

    def _remote(self, *arguments: str) -> str:
        """Run a command that talks to the remote repository."""
        try:
            return self._run(arguments, FETCH_SECONDS).decode("utf-8", "replace")
        except subprocess.CalledProcessError as error:
            raise self._remote_error(error.stderr.decode("utf-8", "replace").strip()) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PreflightFailed("repository-unreachable", url=self._url, reason=error) from error

    def _remote_error(self, told: str) -> Refused | PreflightFailed:
        reason = " / ".join(told.splitlines())[:300]
        if "couldn't find remote ref" in told:
            return Refused("branch-missing", url=self._url, branch=self._ref)
        if "fsck error" in told or "index-pack" in told or "unpack" in told:
            return Refused("git-object-refused", url=self._url, reason=reason)
        return PreflightFailed("repository-unreachable", url=self._url, reason=reason)

    def _git(self, *arguments: str, said: bytes = b"") -> bytes:
        """Run a command on the mirror itself. `said` is what it is told on its standard input."""
        try:
            return self._run(arguments, LOCAL_SECONDS, said)
        except subprocess.CalledProcessError as error:
            reason = error.stderr.decode("utf-8", "replace").strip()[:300]
            raise Integrity("git-mirror-damaged", folder=self._directory, reason=reason) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PreflightFailed("git-not-run", reason=error) from error

    def _run(self, arguments: Iterable[str], seconds: int, said: bytes = b"") -> bytes:
        return subprocess.run(
            self._command(*arguments),
            input=said,
            capture_output=True,
            check=True,
            env=self._environment,
            cwd="/",  # so that no repository around the current folder has a say
            timeout=seconds,
        ).stdout

    def _command(self, *arguments: str) -> list[str]:
        settings = [part for setting in SETTINGS for part in ("-c", setting)]
        place = [] if arguments[0] in ("init", "ls-remote") else [f"--git-dir={self._directory}"]
        return ["git", *place, *settings, *arguments]


class _Reading:
    """A `git cat-file --batch` process. It ends with `end`, with this value, or with the program."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            bufsize=0,
        )
        self.objects = Objects(cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout))
        self.end = weakref.finalize(self, _end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()  # it only reads: there is nothing that it could leave half done
    process.communicate()


def _lost(objects: Objects, had: str | None, kept: str | None, place: str) -> Iterator[str]:
    """The records under one tree that another tree does not hold unchanged."""
    if had is None or had == kept:
        return
    now = {item.name: item for item in objects.tree(kept)} if kept else {}
    for item in objects.tree(had):
        path, left = f"{place.strip('/')}/{item.name}", now.get(item.name)
        if item.is_folder:
            yield from _lost(objects, item.id, left.id if left and left.is_folder else None, path)
        elif item.name not in REWRITABLE and (left is None or left.id != item.id):
            yield path


def _recall(memory: Path) -> tuple[set[str], set[str]]:
    """The commits that were looked at, and the records found gone in them; nothing when that can't be read."""
    try:
        told = json.loads(memory.read_bytes())
        return set(told["commits"]), set(told["gone"])
    except (OSError, ValueError, KeyError, TypeError):
        return set(), set()


def _remember(memory: Path, commits: Iterable[str], gone: Iterable[str]) -> None:
    """Keep it for the next time. When it can't be written, the next walk is long again, and no less right."""
    with suppress(OSError), tempfile.NamedTemporaryFile("w", dir=memory.parent, prefix="walked-", delete=False) as file:
        json.dump({"commits": sorted(commits), "gone": sorted(gone)}, file)
        file.flush()
        os.fsync(file.fileno())
        Path(file.name).replace(memory)


def _is_under(path: str, prefixes: Iterable[str]) -> bool:
    return any(path == prefix.strip("/") or path.startswith(prefix.strip("/") + "/") for prefix in prefixes)


def _named(prefixes: Iterable[str]) -> tuple[str, ...]:
    named = tuple(prefixes)
    if not named:
        raise ValueError("no prefix: an export of nothing would be an export of everything")
    return named
