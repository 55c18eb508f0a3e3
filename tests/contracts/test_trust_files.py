"""The trust chain on disk: each version signed by the keys of the one before it and by its own."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from upgrader.adapters.trust.ssh_signatures import public_key, sign
from upgrader.adapters.trust.trust_files import TrustFiles, check_current, root_fingerprint
from upgrader.domain.approval.record import Namespace
from upgrader.domain.approval.trust import FORMAT, Key, Organisation, Person, Repository, Role, Root, Row, Rule, Trust
from upgrader.domain.errors import PreflightFailed, Refused
from upgrader.domain.names import PersonId, RoleId, SiteId

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
YEAR = timedelta(days=365)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    for name in "abcde":
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    return {name: folder / name for name in "abcde"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "trust"


@pytest.fixture
def files(folder: Path) -> TrustFiles:
    return TrustFiles(folder)


def trust_of(version: int, keys: dict[str, Path], roots: str, threshold: int) -> Trust:
    """A small hospital: one role, one person, one rule."""
    role, person_key = RoleId("information-department"), public_key(keys["e"])
    key = Key(public=person_key, valid_from=NOW - YEAR, valid_until=NOW + YEAR)
    person = Person(
        id=PersonId("li.na"),
        name={"zh": "李娜", "en": "Li Na"},
        organisation=Organisation.HOSPITAL,
        active=True,
        roles=(role,),
        keys=(key,),
    )
    rule = Rule(approvals=(Row(role, 1),), people=1, tests=(), acceptance=(Row(role, 1),), approval_hours=24)
    return Trust(
        format=FORMAT,
        site=SiteId("renmin-hospital"),
        version=version,
        repository=Repository("upgrades", "https://git.hospital.example/upgrades", "main"),
        issued=NOW,
        expires=NOW + YEAR,
        root=Root(threshold, tuple(public_key(keys[name]) for name in roots)),
        roles={role: Role(name={"zh": "信息科", "en": "Information"}, organisation=Organisation.HOSPITAL)},
        people=(person,),
        vendors=(),
        rules={"normal": rule},
    )


def signed(trust: Trust, keys: dict[str, Path], signers: str) -> Sequence[bytes]:
    return [sign(trust.to_bytes(), Namespace.TRUST_ROOT, keys[name]) for name in signers]


def install(files: TrustFiles, keys: dict[str, Path], version: int, roots: str, threshold: int, signers: str) -> Trust:
    trust = trust_of(version, keys, roots, threshold)
    files.install(trust, signed(trust, keys, signers))
    return trust


@pytest.fixture
def chain(files: TrustFiles, keys: dict[str, Path]) -> Trust:
    """Three versions, in which the root keys move on from a, b, c to c, d."""
    install(files, keys, 1, "abc", 2, "ab")
    install(files, keys, 2, "bcd", 2, "bc")
    return install(files, keys, 3, "cd", 1, "cd")


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refused:
        action()
    return refused.value.code


def test_the_newest_version_of_a_whole_chain_is_loaded(files: TrustFiles, chain: Trust, folder: Path) -> None:
    assert files.versions() == (1, 2, 3)
    assert files.load() == chain
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}


def test_no_trust_file_is_missing_and_approves_nothing(files: TrustFiles, folder: Path) -> None:
    assert code_of(files.load) == "trust-missing"
    folder.mkdir()
    assert code_of(files.load) == "trust-missing"
    assert code_of(files.fingerprint) == "trust-missing"


@pytest.mark.parametrize(
    ("roots", "threshold", "signers", "why"),
    [
        ("abc", 2, "a", "one of two"),
        ("abc", 2, "aa", "the same key twice"),
        ("abc", 2, "", "nobody"),
        ("cd", 2, "cd", "too few of the version before"),
        ("cd", 2, "ab", "too few of its own"),
        ("cd", 2, "abc", "still too few of its own"),
    ],
)
def test_too_few_signatures_are_refused_and_nothing_written(
    files: TrustFiles, keys: dict[str, Path], folder: Path, roots: str, threshold: int, signers: str, why: str
) -> None:
    first = install(files, keys, 1, "abc", 2, "ab")
    before = sorted(folder.iterdir())

    assert code_of(lambda: install(files, keys, 2, roots, threshold, signers)) == "trust-signatures-missing", why

    assert sorted(folder.iterdir()) == before
    assert files.load() == first


def test_a_signature_by_a_stranger_or_over_other_bytes_is_refused(files: TrustFiles, keys: dict[str, Path]) -> None:
    trust = trust_of(1, keys, "abc", 2)
    other = signed(trust_of(1, keys, "abcd", 2), keys, "b")
    elsewhere = [sign(trust.to_bytes(), Namespace.APPROVAL, keys["b"])]

    assert code_of(lambda: files.install(trust, signed(trust, keys, "abe"))) == "key-not-known"
    assert code_of(lambda: files.install(trust, [*signed(trust, keys, "a"), *other])) == "signature-invalid"
    assert code_of(lambda: files.install(trust, [*signed(trust, keys, "a"), *elsewhere])) == "signature-invalid"
    assert files.versions() == ()


@pytest.mark.parametrize("version", [1, 2, 3, 5])
def test_a_version_that_is_not_the_next_is_refused(
    files: TrustFiles, chain: Trust, keys: dict[str, Path], version: int
) -> None:
    assert code_of(lambda: install(files, keys, version, "cd", 1, "cd")) == "trust-version"


def test_a_chain_starts_with_version_one(files: TrustFiles, keys: dict[str, Path]) -> None:
    assert code_of(lambda: install(files, keys, 2, "abc", 2, "abc")) == "trust-version"


def test_a_skipped_version_is_found(files: TrustFiles, chain: Trust, folder: Path) -> None:
    (folder / "trust.2.json").unlink()

    assert code_of(files.load) == "trust-chain-gap"


def test_an_old_version_under_a_new_number_is_found(files: TrustFiles, chain: Trust, folder: Path) -> None:
    shutil.copy(folder / "trust.2.json", folder / "trust.4.json")
    shutil.copy(folder / "trust.2.json.1.sig", folder / "trust.4.json.1.sig")

    assert code_of(files.load) == "trust-version"


def test_a_forged_version_is_found(files: TrustFiles, chain: Trust, folder: Path, keys: dict[str, Path]) -> None:
    """Whoever can write the folder, but holds no root key, changes nothing."""
    forged = trust_of(4, keys, "e", 1)
    (folder / "trust.4.json").write_bytes(forged.to_bytes())
    (folder / "trust.4.json.1.sig").write_bytes(signed(forged, keys, "e")[0])

    assert code_of(files.load) == "trust-signatures-missing"


def test_an_edited_version_is_found(files: TrustFiles, chain: Trust, folder: Path) -> None:
    path = folder / "trust.2.json"
    path.write_bytes(path.read_bytes().replace("李娜".encode(), "李妮".encode()))

    assert code_of(files.load) == "signature-invalid"


def test_a_chain_of_another_site_is_found(files: TrustFiles, keys: dict[str, Path]) -> None:
    install(files, keys, 1, "abc", 2, "ab")
    other = replace(trust_of(2, keys, "abc", 2), site=SiteId("other-hospital"))

    assert code_of(lambda: files.install(other, signed(other, keys, "ab"))) == "trust-other-site"


@pytest.mark.parametrize("name", ["trust.2.json", "trust.2.json.1.sig", "."])
@pytest.mark.parametrize("mode", [0o664, 0o646, 0o777])
def test_what_others_may_write_is_refused(files: TrustFiles, chain: Trust, folder: Path, name: str, mode: int) -> None:
    (folder / name).chmod(mode)

    assert code_of(files.load) == "trust-file-mode"


@pytest.mark.parametrize("name", ["trust.2.json", "trust.2.json.1.sig"])
def test_a_link_is_refused(files: TrustFiles, chain: Trust, folder: Path, name: str) -> None:
    (folder / name).rename(folder / "elsewhere")
    (folder / name).symlink_to("elsewhere")

    assert code_of(files.load) == "trust-file-mode"


@pytest.mark.parametrize("name", ["trust.2.json", "trust.2.json.1.sig"])
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_folder_or_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(
    files: TrustFiles, chain: Trust, folder: Path, name: str, make: Callable[[Path], None]
) -> None:
    (folder / name).unlink()
    make(folder / name)

    assert code_of(files.load) == "trust-file-mode"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("name", ["trust.2.json", "trust.2.json.1.sig", "."])
def test_another_owner_is_refused(files: TrustFiles, chain: Trust, folder: Path, name: str) -> None:
    os.chown(folder / name, 65534, -1)

    assert code_of(files.load) == "trust-file-mode"


def test_a_weak_trust_file_is_refused_when_it_is_installed(files: TrustFiles, keys: dict[str, Path]) -> None:
    weak = replace(trust_of(1, keys, "a", 1), rules={})

    assert code_of(lambda: files.install(weak, signed(weak, keys, "a"))) == "trust-weak"


def test_what_an_install_that_was_cut_off_left_behind_does_no_harm(
    files: TrustFiles, chain: Trust, folder: Path, keys: dict[str, Path]
) -> None:
    for number in (1, 2, 3):
        (folder / f"trust.4.json.{number}.sig").write_bytes(b"left behind")
    assert files.load() == chain

    fourth = install(files, keys, 4, "cd", 1, "c")

    assert files.load() == fourth


def test_a_full_disk_leaves_the_chain_as_it_was(
    files: TrustFiles, chain: Trust, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda descriptor: os.close(-1))
        with pytest.raises(PreflightFailed, match="trust-not-written"):
            install(files, keys, 4, "cd", 1, "c")

    assert files.load() == chain


def test_a_trust_file_ends_and_does_not_come_from_the_future(keys: dict[str, Path]) -> None:
    trust = trust_of(1, keys, "a", 1)

    check_current(trust, NOW)
    assert code_of(lambda: check_current(trust, NOW + YEAR)) == "trust-expired"
    assert code_of(lambda: check_current(trust, NOW - timedelta(hours=1))) == "trust-from-the-future"


def test_the_fingerprint_names_the_first_root_keys_and_their_threshold(
    files: TrustFiles, chain: Trust, keys: dict[str, Path]
) -> None:
    first = trust_of(1, keys, "cab", 2).root

    assert files.fingerprint() == root_fingerprint(first)
    assert root_fingerprint(replace(first, threshold=1)) != root_fingerprint(first)
    assert root_fingerprint(chain.root) != root_fingerprint(first)
