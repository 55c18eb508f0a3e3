"""The ground an adapter stands on gives way: a disk, a program, a file of others. Each says so by its own code."""

import errno
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from upgrader.adapters.archives.tar_archive import tar_members
from upgrader.adapters.builds import drop_draft, vendor_drop
from upgrader.adapters.builds.build_store import BuildStore
from upgrader.adapters.builds.drop_draft import DropDraft
from upgrader.adapters.builds.vendor_drop import VendorDrop, read_checksums
from upgrader.adapters.git import git_mirror, git_objects
from upgrader.adapters.git.exported_tree import folder_digest
from upgrader.adapters.git.git_clone import Clone
from upgrader.adapters.git.git_mirror import GitMirror
from upgrader.adapters.hosts import ansible
from upgrader.adapters.hosts.host_keys import host_key
from upgrader.adapters.hosts.inventory import AnsibleInventory
from upgrader.adapters.hosts.known_hosts import KnownHosts
from upgrader.adapters.programs import ControllerPrograms
from upgrader.adapters.sources import https, sftp
from upgrader.adapters.sources.transfer import Credentials
from upgrader.adapters.state import brake_files, bundle
from upgrader.adapters.state.brake_files import BrakeFiles
from upgrader.adapters.state.locks import Locks
from upgrader.domain.changes.brake import Ask, Brake
from upgrader.domain.errors import UpgraderError
from upgrader.domain.names import ChangeId, PersonId

NOW = datetime(2026, 11, 21, 15, tzinfo=UTC)
CHANGE, PERSON = ChangeId("CHG-2026-0001"), PersonId("li.na")
IDENTITY = ["-c", "user.name=li.na", "-c", "user.email=li.na@hospital.example"]


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(UpgraderError) as refused:
        action()
    return refused.value.code


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", folder, *IDENTITY, *arguments], capture_output=True, check=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def no_folder(tmp_path: Path) -> Path:
    """A path at which no folder can be made: below a plain file. Root is stopped by that, too."""
    (tmp_path / "plain").write_text("a file\n")
    return tmp_path / "plain" / "state"


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


# ------------------------------------------------------------------------------------------------- the gate's mirror


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    subprocess.run(["git", "init", "-q", "-b", "main", work], check=True)
    (work / "ansible.cfg").write_text("[defaults]\n" * 100)
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "first")
    return work


def test_an_object_that_is_larger_than_any_honest_one_is_not_read(
    remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = GitMirror(tmp_path / "mirror.git", str(remote), "main")
    monkeypatch.setattr(git_objects, "LARGEST_OBJECT", 500)

    assert code_of(lambda: mirror.refresh().files("ansible.cfg")[0].content) == "git-object-too-large"


def test_a_mirror_that_git_cannot_use_is_told_from_a_remote_that_does_not_answer(remote: Path, tmp_path: Path) -> None:
    mirror = GitMirror(tmp_path / "mirror.git", str(remote), "main")
    mirror.refresh()
    (tmp_path / "mirror.git" / "HEAD").unlink()

    assert code_of(lambda: GitMirror(tmp_path / "mirror.git", str(remote), "main").refresh()) == "git-mirror-damaged"


def test_a_mirror_needs_a_place_and_git(
    remote: Path, tmp_path: Path, no_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert code_of(GitMirror(no_folder, str(remote), "main").refresh) == "mirror-not-made"
    mirror = GitMirror(tmp_path / "mirror.git", str(remote), "main")
    mirror.refresh()
    monkeypatch.setitem(git_mirror.ENVIRONMENT, "PATH", str(tmp_path))

    assert code_of(GitMirror(tmp_path / "mirror.git", str(remote), "main").refresh) == "git-not-run"


def test_an_export_that_is_gone_is_no_export(tmp_path: Path) -> None:
    assert code_of(lambda: folder_digest(tmp_path / "gone")) == "export-unreadable"


# ---------------------------------------------------------------------------------------------------------- evidence


def test_a_bundle_beyond_any_honest_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "LARGEST_BUNDLE", 100)
    (tmp_path / "x.tar").write_bytes(bytes(101))

    assert code_of(lambda: bundle.read_bundle(tmp_path / "x.tar")) == "evidence-too-large"
    (tmp_path / "x.tar").write_bytes(bytes(100))
    assert code_of(lambda: bundle.read_bundle(tmp_path / "x.tar")) != "evidence-too-large"


# ----------------------------------------------------------------------------------------------------------- secrets


def test_secrets_are_written_to_memory_or_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ansible, "MEMORY", tmp_path / "no tmpfs")
    fleet = SimpleNamespace(_read_secrets=lambda names: dict.fromkeys(names, "value"))

    def secrets_of_a_wave() -> None:
        with ansible.AnsibleFleet._secret_file(fleet, ["exam-db"]):  # type: ignore[arg-type]
            raise AssertionError("a secret stands on a disk")

    assert code_of(secrets_of_a_wave) == "secrets-need-memory"


# ----------------------------------------------------------------------------------------------------------- staging


def test_a_drop_of_countless_files_is_not_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        (tmp_path / f"file-{number}").write_text("x")
    listed = "".join(f"{'0' * 64}  file-{number}\n" for number in range(4)).encode()
    monkeypatch.setattr(vendor_drop, "MOST_FILES_IN_DROP", 3)
    monkeypatch.setattr(drop_draft, "MOST_FILES_IN_DROP", 3)

    assert code_of(lambda: VendorDrop(tmp_path).read()) == "drop-too-many-files"
    assert code_of(lambda: read_checksums(listed)) == "drop-too-many-files"
    assert code_of(lambda: DropDraft(tmp_path).found()) == "drop-too-many-files"


def test_a_draft_that_cannot_be_written_is_told(tmp_path: Path, no_folder: Path) -> None:
    assert code_of(lambda: DropDraft(no_folder).write_manifest("x")) == "draft-not-writable"
    assert code_of(lambda: DropDraft(no_folder).seal(b"x", b"y")) == "draft-not-writable"


def test_a_build_needs_a_store(tmp_path: Path, no_folder: Path) -> None:
    (tmp_path / "build").write_bytes(b"build")

    assert code_of(lambda: BuildStore(no_folder).put(tmp_path / "build")) == "build-not-kept"


def test_an_archive_of_no_known_form_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "build.rar").write_bytes(b"Rar!")

    assert code_of(lambda: list(tar_members(tmp_path / "build.rar", None, None))) == "archive-type-unknown"  # type: ignore[arg-type]


def test_what_proves_who_we_are_or_who_they_are_has_to_be_usable(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\xff\xfe no key, no certificate, no text\n")
    broken.chmod(0o600)
    sign_in = SimpleNamespace(_credentials=Credentials(identity=broken))

    assert code_of(lambda: https._context(broken)) == "authorities-unusable"
    assert code_of(lambda: https._context(tmp_path / "gone")) == "authorities-unusable"
    assert code_of(lambda: list(sftp.SftpServer._keys(sign_in))) == "identity-unusable"  # type: ignore[arg-type]
    assert code_of(Credentials(password_file=broken).password) == "password-file-unreadable"
    assert code_of(Credentials(password_file=tmp_path / "gone").password) == "password-file-unreadable"


# --------------------------------------------------------------------------------------------------- hosts and lists


@pytest.mark.parametrize(
    "line", ["127.0.0.1 ssh-ed25519", "@revoked h ssh-ed25519 AAAA", "*.h ssh-ed25519 AAAA", "|1|x ssh-ed25519 AAAA",
             "127.0.0.1 ssh-ed25519 %%%"],
)  # fmt: skip
def test_a_line_that_hides_whose_key_it_is_pins_nothing(tmp_path: Path, line: str) -> None:
    (tmp_path / "known_hosts").write_text(f"# keys\n{line}\n")

    assert code_of(lambda: KnownHosts.read(tmp_path / "known_hosts")) == "known-hosts-malformed"


def test_host_keys_that_cannot_be_read_pin_nothing(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_bytes(b"\xff\n")

    assert code_of(lambda: KnownHosts.read(tmp_path / "known_hosts")) == "known-hosts-unreadable"
    assert code_of(lambda: KnownHosts.read(tmp_path / "gone")) == "known-hosts-unreadable"


def test_no_inventory_and_no_host_is_no_list(tmp_path: Path) -> None:
    inventory = AnsibleInventory(tmp_path / "cache")

    assert code_of(lambda: inventory.resolve(tmp_path, "all")) == "inventory-missing"
    for pattern in ("", "; reboot", "@/etc/passwd", "a b", "{{ x }}"):
        assert code_of(lambda pattern=pattern: inventory.resolve(tmp_path, pattern)) == "inventory-pattern-malformed"  # type: ignore[misc]


def test_a_pattern_that_names_nobody_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "hosts.yml").write_text("all: {hosts: {host-01: {ansible_host: 127.0.1.1}}}\n")
    (tmp_path / "inventory" / "known_hosts").write_text("127.0.1.1 ssh-ed25519 AAAA\n")

    assert code_of(lambda: AnsibleInventory(tmp_path / "cache").resolve(tmp_path, "host-01:!all")) == (
        "inventory-pattern-empty"
    )


def test_a_host_that_does_not_answer_is_silent() -> None:
    assert code_of(lambda: host_key("127.9.9.9", 1)) == "host-silent"


# ------------------------------------------------------------------------------------------------- this very machine


def test_a_program_that_is_not_there_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))

    assert code_of(lambda: ControllerPrograms().version("ssh-keygen")) == "program-missing"


def test_a_state_folder_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = ControllerPrograms()
    tmp_path.chmod(0o770)
    assert code_of(lambda: programs.check_state(tmp_path)) == "state-open-to-others"
    tmp_path.chmod(0o707)
    assert code_of(lambda: programs.check_state(tmp_path)) == "state-open-to-others"
    tmp_path.chmod(0o755)
    assert programs.check_state(tmp_path) == tmp_path
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write wherever a disk lets it
    assert code_of(lambda: programs.check_state(tmp_path)) == "state-not-writable"


def test_a_lock_that_cannot_be_made_is_not_held(
    tmp_path: Path, no_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hold(folder: Path) -> None:
        with Locks(folder).hold(["host-01"], "apply", "li.na", NOW):
            raise AssertionError("held")

    assert code_of(lambda: hold(no_folder)) == "lock-not-possible"
    (tmp_path / "locks" / "host-01").mkdir(parents=True)
    assert code_of(lambda: hold(tmp_path / "locks")) == "lock-not-possible"
    monkeypatch.setattr(os, "pwrite", full)
    assert code_of(lambda: hold(tmp_path / "others")) == "lock-not-possible"


def test_a_stop_that_nobody_could_see_is_no_stop(
    tmp_path: Path, no_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = Brake(ask=Ask.PAUSE, change=CHANGE, person=PERSON, since=NOW, reason="wards call")
    lift = Brake(ask=Ask.LIFT, person=PERSON, since=NOW, reason="over")

    assert code_of(lambda: BrakeFiles(no_folder).ask(pause)) == "brake-not-written"
    assert code_of(lambda: BrakeFiles(tmp_path / "brakes").lift(lift)) == "brake-not-written"  # there is no stop
    monkeypatch.setattr(brake_files, "_write_new", full)
    assert code_of(lambda: BrakeFiles(tmp_path / "brakes").ask(pause)) == "brake-not-written"


# ---------------------------------------------------------------------------------------------------- a person's clone


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    work = tmp_path / "clone"
    clone = Clone.init(work)
    for name, text in (("user.name", "li.na"), ("user.email", "li.na@hospital.example")):
        git(work, "config", name, text)
    (work / "README.md").write_text("one\n")
    clone.commit([work / "README.md"], "first")
    return clone


def test_a_repository_cannot_be_made_below_a_file(no_folder: Path) -> None:
    assert code_of(lambda: Clone.init(no_folder)) == "init-failed"


def test_a_clone_between_two_branches_has_none(clone: Clone) -> None:
    git(clone.root, "checkout", "-q", "--detach")

    assert code_of(clone.branch) == "no-branch"


def test_settings_that_another_program_is_writing_are_not_written_over(clone: Clone) -> None:
    (clone.root / ".git" / "config.lock").write_text("")

    assert code_of(lambda: clone.remember(PERSON, Path("key"))) == "settings-not-written"
    assert code_of(lambda: clone.add_remote("ssh://git@127.0.0.1/x.git")) == "settings-not-written"


def test_a_damaged_clone_says_which_of_its_works_failed(clone: Clone) -> None:
    readme = clone.root / "README.md"
    readme.write_text("two\n")
    (clone.root / ".git" / "index").write_bytes(b"DIRC damaged")

    assert code_of(lambda: Clone(clone.root).is_clean([readme])) == "status-failed"
    assert code_of(lambda: Clone(clone.root).commit([clone.root / "gone"], "no file")) == "commit-failed"


def test_a_history_with_a_hole_is_not_shown_as_if_it_were_whole(clone: Clone) -> None:
    first, readme = clone.head(), clone.root / "README.md"
    readme.write_text("two\n")
    clone.commit([readme], "second")
    (clone.root / ".git" / "objects" / first[:2] / first[2:]).unlink()

    assert code_of(lambda: Clone(clone.root).history(readme)) == "history-failed"


def test_a_commit_that_is_not_on_the_branch_authorizes_no_way_back(remote: Path, tmp_path: Path) -> None:
    mirror = GitMirror(tmp_path / "mirror.git", str(remote), "main")
    mirror.refresh()
    aside = git(remote, "commit-tree", "HEAD^{tree}", "-m", "aside")

    assert code_of(lambda: mirror.at(aside)) == "commit-not-on-branch"
    assert code_of(lambda: mirror.at("0" * 40)) == "commit-not-on-branch"


def test_a_secret_stands_in_no_bundle(tmp_path: Path) -> None:
    files = {"runs/wave-0/upgrade.txt": b"password=s3cret-of-exam-db\n"}

    def write() -> object:
        return bundle.write_bundle(tmp_path / "x.tar", files, b"", b"", secrets=["s3cret-of-exam-db"])

    assert code_of(write) == "evidence-holds-secret"
    assert not (tmp_path / "x.tar").exists()
