"""The site's secrets: what is read, what is refused, and what may stand in no evidence."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from upgrader.adapters.state.bundle import find_secret
from upgrader.adapters.trust.secret_files import SecretFiles
from upgrader.domain.errors import Refused
from upgrader.lab.keys import ensure_key

VALUE = "s3cret-of-exam-db"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    put(tmp_path / "secrets" / "exam-db", f"{VALUE}\n".encode())
    return tmp_path / "secrets"


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


def test_a_secret_is_read_by_its_name(folder: Path) -> None:
    secrets = SecretFiles(folder, ())

    assert secrets.read(["exam-db"]) == {"exam-db": VALUE}
    assert secrets.read([]) == {}
    assert SecretFiles(folder.with_name("nowhere"), ()).known() == []


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "it is not there": (lambda path: path.unlink(), "secret-missing"),
    "it is a link": (link, "secret-missing"),
    "it is a pipe": (pipe, "secret-file-mode"),
    "others may read it": (lambda path: path.chmod(0o604), "secret-file-mode"),
    "the group may read it": (lambda path: path.chmod(0o640), "secret-file-mode"),
    "it is empty": (lambda path: put(path, b""), "secret-malformed"),
    "it is too short to be looked for": (lambda path: put(path, b"1234567"), "secret-malformed"),
    "it has two lines": (lambda path: put(path, b"password1\npassword2\n"), "secret-malformed"),
    "it is no text": (lambda path: put(path, b"\xff" * 20), "secret-malformed"),
}


@pytest.mark.parametrize(("spoil", "code"), BAD.values(), ids=BAD)
def test_a_secret_is_refused_when(folder: Path, spoil: Callable[[Path], object], code: str) -> None:
    spoil(folder / "exam-db")

    with pytest.raises(Refused, match=code):
        SecretFiles(folder, ()).read(["exam-db"])


@pytest.mark.parametrize("name", ["../trust/trust.1.json", "", ".", "Exam", "a/b"])
def test_only_a_plain_name_is_a_secrets(folder: Path, name: str) -> None:
    with pytest.raises(Refused, match="secret-malformed"):
        SecretFiles(folder, ()).read([name])


def test_what_is_in_a_private_key_is_known_too(folder: Path, tmp_path: Path) -> None:
    key = ensure_key(tmp_path / "key", comment="li.na")
    known = SecretFiles(folder, (key, None, tmp_path / "key.pub")).known()

    assert VALUE in known
    assert find_secret({"runs/1.txt": key.read_bytes()}, known) == "runs/1.txt"
    assert find_secret({"records/a.json": (tmp_path / "key.pub").read_bytes()}, known) is None
