"""Objects that git would hand out and that no upgrade may hold: read from a pipe, as `git cat-file --batch` answers."""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from upgrader.adapters.git.git_objects import LARGEST_DEPTH, Objects
from upgrader.domain.errors import Refused


def id_of(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


@contextmanager
def answering(kind: str, content: bytes, times: int = 1) -> Iterator[Objects]:
    """Objects whose git answers with this very object, as often as it is asked for."""
    reading, writing = os.pipe()
    answer = f"{id_of(kind, content)} {kind} {len(content)}\n".encode() + content + b"\n"
    with os.fdopen(reading, "rb", buffering=0) as answers, os.fdopen(writing, "wb", buffering=0) as git:
        git.write(answer * times)
        yield Objects(io.BytesIO(), answers)


@pytest.mark.parametrize(
    "content",
    [
        b"parent " + b"a" * 40 + b"\n\nno tree",
        b"tree " + b"a" * 39 + b"\n\nan id that is too short",
        b"tree " + b"a" * 40 + b"\nparent --upload-pack=x\n\nan option in the place of an id",
    ],
)
def test_a_commit_that_git_would_never_write_is_refused(content: bytes) -> None:
    with answering("commit", content) as objects, pytest.raises(Refused) as refused:
        objects.commit(id_of("commit", content))

    assert refused.value.code == "git-object-refused"


@pytest.mark.parametrize("content", [b"100644 a\0" + b"x" * 19, b"100644 a" + b"x" * 20])
def test_a_tree_that_ends_in_the_middle_of_a_line_is_refused(content: bytes) -> None:
    with answering("tree", content) as objects, pytest.raises(Refused) as refused:
        objects.tree(id_of("tree", content))

    assert refused.value.code == "git-object-refused"


def test_folders_in_folders_without_end_are_refused() -> None:
    with answering("tree", b"") as objects, pytest.raises(Refused) as refused:
        list(objects.walk(id_of("tree", b""), "a/" * (LARGEST_DEPTH + 1)))

    assert refused.value.code == "git-path"
