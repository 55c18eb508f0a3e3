"""A person's clone: my record reaches the shared repository, and nothing else of mine does."""

import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from upgrader.adapters.git.git_clone import Clone
from upgrader.domain.errors import PreflightFailed
from upgrader.domain.names import PersonId

RECORD = Path("approvals/CHG-2026-0001/approve_li.na.json")


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", folder, *arguments], capture_output=True, check=True, text=True).stdout.strip()


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of whoever runs the tests don't count."""
    settings = tmp_path / ".gitconfig"
    settings.write_text("[user]\n\tname = Li Na\n\temail = li.na@hospital.example\n[init]\n\tdefaultBranch = main\n")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "shared.git")
    return tmp_path / "shared.git"


def cloned(shared: Path, folder: Path) -> Clone:
    git(folder.parent, "clone", "-q", str(shared), folder.name)
    return Clone(folder)


def write(clone: Clone, path: Path | str, content: str = "{}\n") -> Path:
    whole = clone.root / path
    whole.parent.mkdir(parents=True, exist_ok=True)
    whole.write_text(content)
    return whole


@pytest.fixture
def mine(shared: Path, tmp_path: Path) -> Clone:
    clone = cloned(shared, tmp_path / "mine")
    write(clone, "README.md")
    clone.commit([Path("README.md")], "first")
    clone.push()
    return clone


@pytest.fixture
def other(shared: Path, mine: Clone, tmp_path: Path) -> Clone:
    """A colleague's clone of the same repository."""
    return cloned(shared, tmp_path / "other")


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(PreflightFailed) as failed:
        action()
    return failed.value.code


def test_a_clone_is_found_from_any_folder_in_it(mine: Clone, shared: Path, tmp_path: Path) -> None:
    inside = write(mine, RECORD).parent

    assert Clone(inside).root == mine.root
    assert mine.url() == str(shared)
    assert mine.branch() == "main"
    assert mine.head() == git(mine.root, "rev-parse", "HEAD")


def test_outside_of_a_repository_there_is_none(tmp_path: Path) -> None:
    assert code_of(lambda: Clone(tmp_path)) == "not-a-repository"
    assert code_of(lambda: Clone(tmp_path / "nowhere")) == "not-a-repository"


def test_a_new_repository_is_empty_and_can_be_committed_to(tmp_path: Path) -> None:
    clone = Clone.init(tmp_path / "new")
    assert (clone.head(), clone.url(), clone.branch(), clone.history(Path())) == ("", "", "main", ())

    record = write(clone, RECORD)
    assert not clone.is_clean([record])
    assert clone.commit([record], "first") == clone.head() != ""
    assert clone.is_clean([record])
    assert Clone.init(tmp_path / "new").head() == clone.head(), "to make it again is harmless"


def test_a_commit_holds_the_named_files_and_nothing_else(mine: Clone) -> None:
    write(mine, "secret.txt")
    write(mine, "README.md", "half written\n")
    git(mine.root, "add", "secret.txt")

    commit = mine.commit([write(mine, RECORD)], "approve CHG-2026-0001", author="Wang Fang")

    assert git(mine.root, "show", "--name-only", "--format=%an <%ae>/%cn/%s", commit).split("\n\n") == [
        "Wang Fang <li.na@hospital.example>/Li Na/approve CHG-2026-0001",
        str(RECORD),
    ]
    assert git(mine.root, "status", "--porcelain").splitlines() == ["M README.md", "A  secret.txt"]


def test_nothing_new_makes_no_commit(mine: Clone) -> None:
    before = mine.head()

    assert mine.commit([Path("README.md")], "again") == before
    with pytest.raises(ValueError, match="no path"):
        mine.commit([], "nothing")


def test_clean_means_committed_and_nothing_beside_it(mine: Clone) -> None:
    record = write(mine, RECORD)
    assert not mine.is_clean([RECORD.parent])
    assert mine.is_clean([Path("README.md")])

    mine.commit([record], "approve")
    assert mine.is_clean([RECORD, Path()])

    record.write_text("changed\n")
    assert not mine.is_clean([RECORD])
    git(mine.root, "add", str(RECORD))
    assert not mine.is_clean([RECORD.parent])


def test_a_record_reaches_the_others(mine: Clone, other: Clone) -> None:
    mine.commit([write(mine, RECORD)], "approve")
    mine.push()

    assert other.pull() == mine.head()
    assert (other.root / RECORD).exists()
    assert other.pull() == mine.head(), "to pull again is harmless"


def test_when_a_colleague_was_faster_my_one_commit_goes_on_top(mine: Clone, other: Clone) -> None:
    other.commit([write(other, "approvals/CHG-2026-0001/approve_wang.fang.json")], "approve")
    other.push()
    write(mine, "README.md", "half written\n")
    mine.commit([write(mine, RECORD)], "approve")

    mine.push()

    assert (mine.root / "README.md").read_text() == "half written\n"
    assert [revision.author for revision in mine.history(Path("approvals"))] == ["Li Na", "Li Na"]
    assert other.pull() == mine.head()


def test_a_conflict_is_left_to_the_person_with_their_commit_kept(mine: Clone, other: Clone) -> None:
    other.commit([write(other, RECORD, "theirs\n")], "approve")
    other.push()
    commit = mine.commit([write(mine, RECORD, "mine\n")], "approve")

    assert code_of(mine.push) == "push-failed"
    assert mine.head() == commit
    assert mine.is_clean([RECORD])
    assert code_of(mine.pull) == "pull-failed"


def test_more_than_one_commit_is_not_moved(mine: Clone, other: Clone) -> None:
    other.commit([write(other, "x")], "x")
    other.push()
    mine.commit([write(mine, "y")], "y")
    commit = mine.commit([write(mine, "z")], "z")

    assert code_of(mine.push) == "push-failed"
    assert mine.head() == commit


def test_a_repository_that_does_not_answer_fails_plainly(mine: Clone, shared: Path, tmp_path: Path) -> None:
    shared.rename(tmp_path / "gone")

    assert code_of(mine.pull) == "pull-failed"
    mine.commit([write(mine, RECORD)], "approve")
    assert code_of(mine.push) == "push-failed"


def test_a_refusal_by_the_server_is_told(mine: Clone, shared: Path) -> None:
    hook = shared / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    mine.commit([write(mine, RECORD)], "approve")

    assert code_of(mine.push) == "push-failed"


def test_without_a_remote_there_is_nothing_to_pull_and_nowhere_to_push(tmp_path: Path) -> None:
    clone = Clone.init(tmp_path / "new")
    clone.commit([write(clone, RECORD)], "first")

    assert clone.pull() == clone.head()
    assert code_of(clone.push) == "push-failed"


def test_person_and_key_are_remembered_here(mine: Clone, tmp_path: Path) -> None:
    assert (mine.person, mine.key) == (None, None)

    mine.remember(PersonId("li.na"), Path("~/.ssh/id_ed25519"))

    assert mine.person == "li.na"
    assert mine.key == tmp_path / ".ssh/id_ed25519"
    assert git(mine.root, "config", "upgrader.person") == "li.na"


def test_the_history_of_a_folder_is_newest_first(mine: Clone) -> None:
    for number in range(3):
        mine.commit([write(mine, RECORD, f"{number}\n")], f"approve {number}\n\nbecause")

    found = mine.history(RECORD.parent)

    assert [revision.subject for revision in found] == ["approve 2", "approve 1", "approve 0"]
    assert found[0].commit == mine.head()


@pytest.mark.parametrize("name", ["-x", "--amend", "--help"])
def test_a_name_and_a_message_are_never_an_option(mine: Clone, name: str) -> None:
    path = write(mine, name)

    mine.commit([path], "--amend")

    assert mine.is_clean([path])
    assert [revision.subject for revision in mine.history(path)] == ["--amend"]


@pytest.mark.parametrize("name", ["--output=ran", "$(touch ran)", ":(top)", "*", "a b", "上线.json", ".GIT/x"])
def test_a_name_that_the_gate_would_not_accept_is_not_committed(mine: Clone, name: str) -> None:
    path, before = write(mine, name), mine.head()

    assert code_of(lambda: mine.commit([path], "odd")) == "path-not-plain"

    assert mine.head() == before
    assert mine.history(path) == ()
    assert not mine.is_clean([path])
    assert not list(mine.root.rglob("ran"))


def test_a_path_outside_of_the_clone_is_refused(mine: Clone, tmp_path: Path) -> None:
    for path in (tmp_path / ".gitconfig", Path("../.gitconfig")):
        assert code_of(partial(mine.commit, [path], "x")) == "path-outside"
    (mine.root / "link").symlink_to(tmp_path / ".gitconfig")
    assert code_of(lambda: mine.is_clean([Path("link")])) == "path-outside"
