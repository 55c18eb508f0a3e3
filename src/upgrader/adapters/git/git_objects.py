"""Git objects, read through a running `git cat-file --batch` and hashed again: on reading, git itself does not."""

import hashlib
import os
import re
import select
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from upgrader.domain.errors import Integrity, Refused, UpgraderError

ANSWER_SECONDS = 10
CHUNK = 1024 * 1024
LARGEST_OBJECT = 64 * 1024 * 1024
LARGEST_DEPTH = 32
SMALL = 16 * 1024  # a record, a signature, a playbook
TOGETHER = 200  # ids in one question: less than a pipe holds, so git can't wait for us while we wait for git

OBJECT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# Versions are folders: 2.1.0+client, 1.11.2-1~bpo12+1. No `~` at either end (a home folder, an editor's copy).
NAME = re.compile(r"[A-Za-z0-9._-]([A-Za-z0-9._+~-]*[A-Za-z0-9._+-])?")
NOT_PLAIN = re.compile(r"\.{1,2}|\.git|.*~[0-9]+(\..{0,3})?", re.IGNORECASE)  # the last: as Windows shortens a name
FILE_MODES = frozenset({"100644", "100755"})
FOLDER_MODE = "40000"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a tree object."""

    mode: str
    name: str
    id: str

    @property
    def is_folder(self) -> bool:
        return self.mode == FOLDER_MODE


@dataclass(frozen=True, slots=True)
class Commit:
    id: str
    tree: str
    parents: tuple[str, ...]


class Objects:
    """Reads objects through a running `git cat-file --batch`, hashes each again, and remembers all but large files."""

    def __init__(self, asking: IO[bytes], answering: IO[bytes]) -> None:
        self._asking = asking
        self._answering = answering
        self._answered = b""
        self._trees: dict[str, tuple[Item, ...]] = {}
        self._commits: dict[str, Commit] = {}
        self._small: dict[str, bytes] = {}

    def read(self, id: str, kind: str) -> bytes:
        """The content of one object. Raises Integrity when it is missing, of another kind, or not what its id says."""
        self._ask([id])
        return self._answer(id, kind)

    def _ask(self, ids: Sequence[str]) -> None:
        with suppress(BrokenPipeError):  # then there is no answer either
            self._asking.write("".join(f"{id}\n" for id in ids).encode("ascii"))

    def _answer(self, id: str, kind: str) -> bytes:
        """The next object that was asked for: this one, or Integrity is raised."""
        header = self._take_line(id).decode("ascii").split()
        if len(header) != 3 or header[0] != id or header[1] != kind:
            raise Integrity("git-object-damaged", id=id, expected=kind, found=" ".join(header[1:]) or "no answer")
        if (size := int(header[2])) > LARGEST_OBJECT:
            raise Refused("git-object-too-large", id=id, expected=LARGEST_OBJECT, found=size)
        content = self._take(size + 1, id)[:-1]
        if (found := _object_id(kind, content, id)) != id:
            raise Integrity("git-object-damaged", id=id, expected=id, found=found)
        return content

    def _take_line(self, id: str) -> bytes:
        while (end := self._answered.find(b"\n")) < 0:
            self._answered += self._more(id)
        return self._take(end + 1, id)

    def _take(self, length: int, id: str) -> bytes:
        pieces = [self._answered]
        missing = length - len(self._answered)
        while missing > 0:
            pieces.append(self._more(id))
            missing -= len(pieces[-1])
        whole = b"".join(pieces)
        self._answered = whole[length:]
        return whole[:length]

    def _more(self, id: str) -> bytes:
        """Wait for more of the answer. git waits for ever, as we would, when an object is shorter than it says."""
        ready, _, _ = select.select([self._answering], [], [], ANSWER_SECONDS)
        more = os.read(self._answering.fileno(), CHUNK) if ready else b""
        if not more:
            raise Integrity("git-object-damaged", id=id, expected="the whole object", found="only a part of it")
        return more

    def blob(self, id: str) -> bytes:
        """The content of a file; a small one is read once."""
        if id in self._small:
            return self._small[id]
        content = self.read(id, "blob")
        if len(content) <= SMALL:
            self._small[id] = content
        return content

    def blobs(self, ids: Sequence[str]) -> list[bytes]:
        """The contents of files, asked for together: one answer to wait for instead of many. Raises as `read` does."""
        new = list(dict.fromkeys(id for id in ids if id not in self._small))
        read: dict[str, bytes] = {}
        for start in range(0, len(new), TOGETHER):
            read |= self._read_together(new[start : start + TOGETHER])
        self._small |= {id: content for id, content in read.items() if len(content) <= SMALL}
        return [read[id] if id in read else self._small[id] for id in ids]

    def _read_together(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Every answer is taken, so that the next question gets its own; then the first fault is raised."""
        read: dict[str, bytes] = {}
        faults: list[UpgraderError] = []
        self._ask(ids)
        for id in ids:
            try:
                read[id] = self._answer(id, "blob")
            except (Integrity, Refused) as fault:
                faults.append(fault)
        if faults:
            raise faults[0]
        return read

    def commit(self, id: str) -> Commit:
        if id not in self._commits:
            self._commits[id] = _parse_commit(id, self.read(id, "commit"))
        return self._commits[id]

    def tree(self, id: str, place: str = "") -> tuple[Item, ...]:
        if id not in self._trees:
            self._trees[id] = tuple(_parse_tree(self.read(id, "tree"), len(id) // 2, place))
        return self._trees[id]

    def history(self, tip: str, *, until: str | None = None, known: Set[str] = frozenset()) -> Iterator[Commit]:
        """Every commit that `tip` holds, itself first; ends with the commit `until`, and looks at no `known` one."""
        waiting, seen = [tip], {tip, *known}
        if tip in known:
            return
        while waiting:
            made = self.commit(waiting.pop())
            yield made
            if made.id == until:
                return
            waiting += [parent for parent in made.parents if parent not in seen]
            seen.update(made.parents)

    def walk(self, tree: str, place: str = "") -> Iterator[tuple[str, Item]]:
        """Every file under a tree with its path."""
        if place.count("/") > LARGEST_DEPTH:
            raise Refused("git-path", path=place, found=f"deeper than {LARGEST_DEPTH} folders")
        for item in self.tree(tree, place):
            if item.is_folder:
                yield from self.walk(item.id, f"{place}{item.name}/")
            else:
                yield place + item.name, item

    def find(self, tree: str, folder: str) -> str | None:
        """The id of the tree of `folder`; None when there is no such folder."""
        found: str | None = tree
        for name in folder.strip("/").split("/"):
            items = self.tree(found) if found else ()
            found = next((item.id for item in items if item.name == name and item.is_folder), None)
        return found


def _parse_commit(id: str, content: bytes) -> Commit:
    lines = content.split(b"\n\n", 1)[0].decode("utf-8", "replace").split("\n")
    tree = lines[0].removeprefix("tree ")
    parents = []
    for line in lines[1:]:
        if not line.startswith("parent "):
            break
        parents.append(line.removeprefix("parent "))
    if not lines[0].startswith("tree ") or not all(OBJECT_ID.fullmatch(found) for found in (tree, *parents)):
        raise Refused("git-object-refused", id=id, reason="not a commit as git writes it")
    return Commit(id, tree, tuple(parents))


def _parse_tree(content: bytes, id_length: int, place: str) -> Iterator[Item]:
    """The lines of a tree object. Raises Refused for a mode or a name that has no place in an upgrade."""
    names: set[str] = set()
    start = 0
    while start < len(content):
        nul = content.find(b"\0", start)
        mode, _, name = content[start:nul].decode("utf-8", "replace").partition(" ")
        start = nul + 1 + id_length
        item = Item(mode, name, content[nul + 1 : start].hex())
        if nul < 0 or start > len(content):
            raise Refused("git-object-refused", id=place or "/", reason="not a tree as git writes it")
        if mode not in FILE_MODES and mode != FOLDER_MODE:
            raise Refused("git-mode", path=place + name, found=mode)
        if not is_plain_name(name):
            raise Refused("git-path", path=place + name, found=repr(name))
        if name.lower() in names:
            raise Refused("git-path", path=place + name, found="two names that differ in upper and lower case only")
        names.add(name.lower())
        yield item


def _object_id(kind: str, content: bytes, id: str) -> str:
    algorithm = hashlib.sha256() if len(id) == 64 else hashlib.sha1(usedforsecurity=False)
    algorithm.update(f"{kind} {len(content)}\0".encode("ascii"))
    algorithm.update(content)
    return algorithm.hexdigest()


def is_plain_name(name: str) -> bool:
    """Whether the gate accepts a file or a folder of this name."""
    return NAME.fullmatch(name) is not None and NOT_PLAIN.fullmatch(name) is None
