"""The gate's mirror: what it reads is what was committed, and the branch that it follows only moves forward."""

import os
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from upgrader.adapters.git import git_objects
from upgrader.adapters.git.exported_tree import Blob, folder_digest, remove_export, tree_digest
from upgrader.adapters.git.git_mirror import GitMirror, Snapshot
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, PreflightFailed, Refused, UpgraderError

RECORD = "approvals/CHG-2026-0001/approve_li.na_information-department_0a1b2c3d.json"
PLAN = "approvals/CHG-2026-0001/plan.json"
IDENTITY = ["-c", "user.name=li.na", "-c", "user.email=li.na@hospital.example", "-c", "commit.gpgsign=false"]


class Work:
    """A person's work tree, from which a bare repository is fed."""

    def __init__(self, folder: Path, kind: str = "sha1") -> None:
        self.folder, self.bare = folder / "work", folder / "remote.git"
        for place, options in ((self.folder, ()), (self.bare, ("--bare",))):
            command = ["git", "init", "-q", "-b", "main", f"--object-format={kind}", *options, place]
            subprocess.run(command, check=True)

    def git(self, *arguments: str, feed: bytes | None = None) -> str:
        command = ["git", "-C", str(self.folder), *IDENTITY, *arguments]
        return subprocess.run(command, input=feed, capture_output=True, check=True).stdout.decode().strip()

    def write(self, path: str, content: str = "content\n", mode: int = 0o644) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(content)
        (self.folder / path).chmod(mode)

    def publish(self, message: str = "more") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.push()

    def push(self) -> str:
        self.git("push", "-q", "--force", str(self.bare), "HEAD:refs/heads/main")
        return self.git("rev-parse", "HEAD")

    def publish_tree(self, *lines: bytes) -> None:
        """Commit a tree object of our own making, which `git add` would never make."""
        tree = self.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", feed=b"".join(lines))
        commit = self.git("commit-tree", tree, "-p", "HEAD", "-m", "odd")
        self.git("update-ref", "HEAD", commit)
        self.push()


@pytest.fixture
def work(tmp_path: Path) -> Work:
    work = Work(tmp_path)
    work.write("playbooks/upgrade.yml", "---\n")
    work.write("roles/archive/files/host.sh", "#!/bin/sh\n", 0o755)
    work.write(RECORD, "{}\n")
    work.write(PLAN, '{"revision": 1}\n')
    work.publish("first")
    return work


@pytest.fixture
def mirror(tmp_path: Path, work: Work) -> GitMirror:
    return GitMirror(tmp_path / "state" / "mirror.git", str(work.bare), "main")


def mirrored(tmp_path: Path) -> Path:
    return tmp_path / "state" / "mirror.git"


def code_of(action: Callable[[], object], kind: type[UpgraderError] = Refused) -> str:
    with pytest.raises(kind) as refused:
        action()
    return refused.value.code


# Reading


def test_files_are_read_sorted_with_their_modes(work: Work, mirror: GitMirror) -> None:
    snapshot = mirror.refresh()

    assert snapshot.commit == work.git("rev-parse", "HEAD")
    assert snapshot.files("roles", "playbooks/upgrade.yml") == (
        Blob("playbooks/upgrade.yml", "100644", b"---\n"),
        Blob("roles/archive/files/host.sh", "100755", b"#!/bin/sh\n"),
    )
    assert snapshot.files("roles")[0].digest == Digest.of(b"#!/bin/sh\n")
    assert len(snapshot.files()) == 4


def test_a_prefix_is_a_folder_or_a_file_and_not_the_start_of_a_name(work: Work, mirror: GitMirror) -> None:
    work.write("roles-of-mine/x")
    work.publish()

    assert mirror.refresh().paths("roles/") == ("roles/archive/files/host.sh",)
    assert mirror.refresh().paths("role", "nowhere") == ()


def test_one_file_is_read_or_is_not_there(mirror: GitMirror) -> None:
    snapshot = mirror.refresh()

    assert snapshot.read(PLAN) == b'{"revision": 1}\n'
    assert snapshot.read("approvals") is None
    assert snapshot.read("../etc/passwd") is None


def test_attributes_and_filters_change_nothing(work: Work, mirror: GitMirror) -> None:
    work.write(".gitattributes", "* text eol=crlf ident export-ignore\n")
    work.write("playbooks/ident.yml", "$Id$\n")
    work.publish()

    assert mirror.refresh().read("playbooks/ident.yml") == b"$Id$\n"


def test_the_mirror_follows_the_branch_forward(work: Work, mirror: GitMirror) -> None:
    old = mirror.refresh()
    work.write(PLAN, '{"revision": 2}\n')
    work.publish()

    new = mirror.refresh()

    assert new.read(PLAN) == b'{"revision": 2}\n'
    assert old.read(PLAN) == b'{"revision": 1}\n', "a snapshot stays what it was"
    assert mirror.refresh().commit == mirror.snapshot().commit == new.commit


def test_other_branches_and_tags_do_not_come_in(work: Work, mirror: GitMirror, tmp_path: Path) -> None:
    work.git("tag", "main")
    work.git("push", "-q", str(work.bare), "HEAD:refs/heads/other", "refs/tags/main")

    mirror.refresh()

    refs = subprocess.run(["git", "-C", mirrored(tmp_path), "for-each-ref"], capture_output=True, check=True, text=True)
    assert [line.split("\t")[1] for line in refs.stdout.splitlines()] == ["refs/heads/main"]


def test_a_sha256_repository_is_read_too(tmp_path: Path) -> None:
    work = Work(tmp_path, "sha256")
    work.write(RECORD)
    work.publish()
    mirror = GitMirror(mirrored(tmp_path), str(work.bare), "main")

    assert len(mirror.refresh().commit) == 64
    work.write("more")
    work.publish()
    assert mirror.refresh().read("more") == b"content\n"


def test_the_settings_of_whoever_runs_it_do_not_count(
    mirror: GitMirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    (tmp_path / ".gitconfig").write_text(
        f'[core]\n\tfsmonitor = "touch {ran}"\n[uploadpack]\n\tpackObjectsHook = "touch {ran}"\n'
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_ALTERNATE_OBJECT_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    mirror.refresh()

    assert not ran.exists()


# Where the branch is


def test_a_repository_that_does_not_answer_is_unreachable(work: Work, mirror: GitMirror, tmp_path: Path) -> None:
    assert code_of(GitMirror(tmp_path / "m", str(tmp_path / "nowhere"), "main").refresh, PreflightFailed) == (
        "repository-unreachable"
    )

    kept = mirror.refresh()
    work.bare.rename(tmp_path / "gone")

    assert code_of(mirror.refresh, PreflightFailed) == "repository-unreachable"
    assert mirror.snapshot().commit == kept.commit


def test_a_missing_branch_is_told_from_a_missing_repository(work: Work, mirror: GitMirror, tmp_path: Path) -> None:
    assert code_of(GitMirror(tmp_path / "m", str(work.bare), "other").refresh) == "branch-missing"

    mirror.refresh()
    subprocess.run(["git", "-C", work.bare, "update-ref", "-d", "refs/heads/main"], check=True)

    assert code_of(mirror.refresh) == "branch-missing"


def test_a_mirror_that_lost_its_branch_gives_no_commit_of_it(work: Work, mirror: GitMirror, tmp_path: Path) -> None:
    commit = mirror.refresh().commit
    subprocess.run(["git", "-C", mirrored(tmp_path), "update-ref", "-d", "refs/heads/main"], check=True)
    afresh = GitMirror(mirrored(tmp_path), str(work.bare), "main")

    assert code_of(afresh.snapshot) == "branch-missing"
    assert code_of(lambda: afresh.at(commit)) == "branch-missing"


@pytest.mark.parametrize("branch", ["", "-x", "a..b", "+main", "main:main", "a b", "refs/heads/*", "a.lock~1", "x/"])
def test_a_branch_is_a_plain_name(tmp_path: Path, branch: str) -> None:
    assert code_of(lambda: GitMirror(tmp_path, "/srv/git/x", branch)) == "git-address"


def test_an_address_cannot_run_a_program(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    assert code_of(lambda: GitMirror(tmp_path / "m", f"--upload-pack=touch {ran}", "main")) == "git-address"
    for url in (f"ext::sh -c touch% {ran}", "git://127.0.0.1/x", "http://127.0.0.1:1/x", "fd::0"):
        assert code_of(GitMirror(tmp_path / "m", url, "main").refresh, PreflightFailed) == "repository-unreachable"
    assert not ran.exists()


# History that was rewritten


def test_a_rewritten_branch_is_refused_and_the_mirror_stays(work: Work, mirror: GitMirror) -> None:
    accepted = mirror.refresh().commit
    work.git("commit", "-q", "--amend", "--allow-empty", "-m", "nothing happened here")
    rewritten = work.push()

    with pytest.raises(Refused) as refused:
        mirror.refresh()

    assert refused.value.code == "branch-rewritten"
    assert (refused.value.fields["expected"], refused.value.fields["found"]) == (accepted, rewritten)
    assert mirror.snapshot().commit == accepted
    assert code_of(mirror.refresh) == "branch-rewritten", "asking again does not help"


def test_a_branch_that_went_back_is_refused(work: Work, mirror: GitMirror) -> None:
    work.write("more")
    work.publish()
    mirror.refresh()
    work.git("reset", "-q", "--hard", "HEAD~1")
    work.push()

    assert code_of(mirror.refresh) == "branch-rewritten"


def test_a_merge_that_holds_the_old_tip_goes_forward(work: Work, mirror: GitMirror) -> None:
    mirror.refresh()
    work.git("checkout", "-q", "-b", "side", "HEAD")
    work.write("side")
    work.publish()
    work.git("checkout", "-q", "main")
    work.write("straight")
    work.publish()
    mirror.refresh()
    work.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    tip = work.push()

    assert mirror.refresh().commit == tip
    assert mirror.removed_records(tip, "approvals") == ()


# Records that vanished


def test_a_record_that_was_never_touched_is_no_removed_record(work: Work, mirror: GitMirror) -> None:
    work.write(PLAN, '{"revision": 2}\n')
    work.write("approvals/CHG-2026-0001/another.json")
    commit = work.publish()
    mirror.refresh()

    assert mirror.removed_records(commit, "approvals/CHG-2026-0001") == ()
    assert mirror.removed_records(commit, "nowhere") == ()


def test_a_record_that_was_removed_and_put_back_is_found(work: Work, mirror: GitMirror) -> None:
    work.git("rm", "-q", RECORD)
    work.publish()
    work.write(RECORD, "{}\n")
    commit = work.publish()
    mirror.refresh()

    assert mirror.removed_records(commit, "approvals/CHG-2026-0001") == (RECORD,)
    assert mirror.removed_records(commit, "approvals/CHG-2026-0002") == ()


def test_a_record_that_was_changed_or_moved_is_found(work: Work, mirror: GitMirror) -> None:
    work.write(RECORD, "{ }\n")
    work.publish()
    commit = work.publish()
    mirror.refresh()
    assert mirror.removed_records(commit, "approvals") == (RECORD,)

    work.git("mv", "approvals", "withdrawn")
    commit = work.publish()
    mirror.refresh()
    assert mirror.removed_records(commit, "approvals") == (RECORD,)


def test_a_folder_in_the_place_of_a_record_is_found(work: Work, mirror: GitMirror) -> None:
    work.git("rm", "-q", RECORD)
    work.write(f"{RECORD}/x")
    commit = work.publish()
    mirror.refresh()

    assert mirror.removed_records(commit, "approvals") == (RECORD,)


def test_a_merge_that_drops_the_record_of_one_side_is_found(work: Work, mirror: GitMirror) -> None:
    rejection = "approvals/CHG-2026-0001/reject_wang.fang.json"
    work.git("checkout", "-q", "-b", "side")
    work.write(rejection)
    work.publish()
    work.git("checkout", "-q", "main")
    work.write("straight")
    work.publish()
    work.git("merge", "-q", "-s", "ours", "--no-ff", "-m", "merge", "side")
    commit = work.push()
    mirror.refresh()

    assert mirror.removed_records(commit, "approvals/CHG-2026-0001") == (rejection,)


def test_what_was_found_gone_is_not_forgotten_and_not_looked_for_twice(
    work: Work, mirror: GitMirror, tmp_path: Path
) -> None:
    work.git("rm", "-q", RECORD)
    commit = work.publish()
    mirror.refresh()
    assert mirror.removed_records(commit, "approvals") == (RECORD,)
    (memory,) = mirrored(tmp_path).glob("walked-*")
    written = memory.stat().st_mtime_ns

    assert mirror.removed_records(commit, "approvals/CHG-2026-0001") == (RECORD,)
    assert memory.stat().st_mtime_ns == written

    another = "approvals/CHG-2026-0002/approve.json"
    work.write(another)
    work.publish()
    work.git("rm", "-q", another)
    commit = work.publish()
    mirror.refresh()
    for spoil in (lambda: None, lambda: memory.write_text("{"), memory.unlink):
        spoil()
        assert mirror.removed_records(commit, "approvals") == (RECORD, another)
    assert mirror.removed_records(commit, "approvals/CHG-2026-0002") == (another,)


# Trees that have no place in an upgrade


def test_a_symbolic_link_anywhere_is_refused(work: Work, mirror: GitMirror) -> None:
    (work.folder / "roles/archive/link").symlink_to("/etc/passwd")
    work.publish()

    with pytest.raises(Refused) as refused:
        mirror.refresh()

    assert refused.value.code == "git-mode"
    assert refused.value.fields == {"path": "roles/archive/link", "found": "120000"}


def test_a_submodule_is_refused(work: Work, mirror: GitMirror) -> None:
    work.git("update-index", "--add", "--cacheinfo", f"160000,{work.git('rev-parse', 'HEAD')},roles/vendor")
    work.git("commit", "-q", "-m", "submodule")
    work.push()

    assert code_of(mirror.refresh) == "git-mode"


@pytest.mark.parametrize("name", ["a b", "上线.yml", "x\ny", "a:b", "a\\b", "$(x)", "{{x}}", "-x;y", "a~1", "~a", "a~"])
def test_a_name_with_other_characters_is_refused(work: Work, mirror: GitMirror, name: str) -> None:
    work.write(f"playbooks/{name}")
    work.publish()

    assert code_of(mirror.refresh) == "git-path"


def test_versions_of_packages_may_be_folders(work: Work, mirror: GitMirror) -> None:
    places = ("releases/lis/1.0.0+client/release.yml", "releases/lis/1.11.2-1~bpo12+1/release.yml")
    for place in places:
        work.write(place)
    work.publish()

    mirror.refresh()

    assert {file.path for file in mirror.snapshot().files("releases")} >= set(places)


def test_names_that_differ_in_case_only_are_refused(work: Work, mirror: GitMirror) -> None:
    work.write("playbooks/Upgrade.yml")
    work.publish()

    assert code_of(mirror.refresh) == "git-path"


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("100644", ".git"),
        ("100644", ".GIT"),
        ("100644", ".."),
        ("100644", "."),
        ("100644", "a/b"),
        ("100664", "a"),
        ("0", "a"),
    ],
)
def test_a_tree_that_git_add_would_never_make_is_refused(work: Work, mirror: GitMirror, mode: str, name: str) -> None:
    blob = bytes.fromhex(work.git("hash-object", "-w", "--stdin", feed=b"x"))
    work.publish_tree(f"{mode} {name}\0".encode() + blob)

    assert code_of(mirror.refresh) in ("git-object-refused", "git-path", "git-mode")


@pytest.mark.parametrize("name", [b".git", b".GiT", b"git~1", b"..", b".", b"a/b", b"\xff"])
def test_our_own_reading_of_a_tree_refuses_too(work: Work, name: bytes, tmp_path: Path) -> None:
    """As above, with git's own check on fetching left out of it."""
    blob = bytes.fromhex(work.git("hash-object", "-w", "--stdin", feed=b"x"))
    mirror = GitMirror(mirrored(tmp_path), str(work.bare), "main")
    mirror.refresh()
    tree = work.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", feed=b"100644 " + name + b"\0" + blob)
    commit = work.git("commit-tree", tree, "-p", "HEAD", "-m", "odd")
    for id in (blob.hex(), tree, commit):
        put_loose(mirrored(tmp_path), id, loose(work.folder / ".git", id))
    subprocess.run(["git", "-C", mirrored(tmp_path), "update-ref", "refs/heads/main", commit], check=True)

    assert code_of(mirror.snapshot) == "git-path"


# A mirror that somebody bent


def loose(repository: Path, id: str) -> bytes:
    return zlib.decompress((repository / "objects" / id[:2] / id[2:]).read_bytes())


def put_loose(repository: Path, id: str, content: bytes) -> None:
    path = repository / "objects" / id[:2] / id[2:]
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(zlib.compress(content))


def refreshed_and_unpacked(mirror: GitMirror, folder: Path) -> Snapshot:
    """Refresh, and let each object of the mirror have a file of its own."""
    mirror.refresh()
    for pack in (folder / "objects" / "pack").glob("*.pack"):
        content = pack.read_bytes()
        pack.unlink()
        pack.with_suffix(".idx").unlink()
        subprocess.run(["git", "-C", folder, "unpack-objects", "-q"], input=content, check=True)
    return mirror.snapshot()


def test_a_flipped_byte_in_an_object_file_is_found(work: Work, mirror: GitMirror, tmp_path: Path) -> None:
    snapshot = refreshed_and_unpacked(mirror, mirrored(tmp_path))
    id = work.git("rev-parse", f"HEAD:{PLAN}")
    path = mirrored(tmp_path) / "objects" / id[:2] / id[2:]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.chmod(0o644)
    path.write_bytes(content)

    assert code_of(lambda: snapshot.read(PLAN), Integrity) == "git-object-damaged"


def test_wherever_a_byte_flips_in_a_pack_it_is_found(mirror: GitMirror, tmp_path: Path) -> None:
    mirror.refresh()
    (pack,) = (mirrored(tmp_path) / "objects" / "pack").glob("*.pack")
    pack.chmod(0o644)
    content = pack.read_bytes()
    for place in range(12, len(content) - 20, 23):
        pack.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])

        with pytest.raises(Integrity):
            mirror.snapshot().files()


def test_other_content_under_the_id_of_an_object_is_found_though_git_hands_it_out(
    work: Work, mirror: GitMirror, tmp_path: Path
) -> None:
    snapshot = refreshed_and_unpacked(mirror, mirrored(tmp_path))
    id = work.git("rev-parse", f"HEAD:{PLAN}")
    put_loose(mirrored(tmp_path), id, loose(mirrored(tmp_path), id).replace(b": 1", b": 9"))

    believed = subprocess.run(
        ["git", "-C", mirrored(tmp_path), "cat-file", "blob", id], capture_output=True, check=True
    )
    assert believed.stdout == b'{"revision": 9}\n'
    with pytest.raises(Integrity) as refused:
        snapshot.files("approvals")

    assert refused.value.code == "git-object-damaged"
    assert refused.value.fields["expected"] == id


@pytest.mark.parametrize("size", [b"96", b"6", b"9999999999"])
def test_an_object_that_is_not_as_long_as_it_says_is_found_and_not_waited_for(
    work: Work, mirror: GitMirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: bytes
) -> None:
    monkeypatch.setattr(git_objects, "ANSWER_SECONDS", 0.5)
    snapshot = refreshed_and_unpacked(mirror, mirrored(tmp_path))
    id = work.git("rev-parse", f"HEAD:{PLAN}")
    put_loose(mirrored(tmp_path), id, loose(mirrored(tmp_path), id).replace(b"blob 16", b"blob " + size))

    with pytest.raises((Integrity, Refused), match="git-object-"):
        snapshot.read(PLAN)


@pytest.mark.parametrize("what", ["HEAD", "HEAD^{tree}", "HEAD:approvals"])
def test_a_changed_commit_or_tree_is_found(work: Work, mirror: GitMirror, tmp_path: Path, what: str) -> None:
    refreshed_and_unpacked(mirror, mirrored(tmp_path))
    id = work.git("rev-parse", what)
    content = loose(mirrored(tmp_path), id)
    put_loose(mirrored(tmp_path), id, content[:-1] + bytes([content[-1] ^ 1]))

    assert code_of(mirror.refresh, Integrity) == "git-object-damaged"


def test_a_missing_object_is_found(work: Work, mirror: GitMirror, tmp_path: Path) -> None:
    snapshot = refreshed_and_unpacked(mirror, mirrored(tmp_path))
    id = work.git("rev-parse", f"HEAD:{PLAN}")
    (mirrored(tmp_path) / "objects" / id[:2] / id[2:]).unlink()

    assert code_of(lambda: snapshot.read(PLAN), Integrity) == "git-object-damaged"


def test_a_replace_ref_is_refused(work: Work, mirror: GitMirror, tmp_path: Path) -> None:
    commit = mirror.refresh().commit
    work.write("more")
    other = work.publish()
    mirror.refresh()
    subprocess.run(["git", "-C", mirrored(tmp_path), "replace", commit, other], check=True)

    assert code_of(mirror.refresh) == "git-mirror-altered"
    assert code_of(mirror.snapshot) == "git-mirror-altered"
    subprocess.run(["git", "-C", mirrored(tmp_path), "pack-refs", "--all"], check=True)
    assert code_of(mirror.refresh) == "git-mirror-altered"


@pytest.mark.parametrize(
    "name", ["shallow", "info/grafts", "objects/info/alternates", "objects/info/http-alternates", "commondir"]
)
def test_a_mirror_that_can_show_other_objects_is_refused(mirror: GitMirror, tmp_path: Path, name: str) -> None:
    mirror.refresh()
    (mirrored(tmp_path) / name).parent.mkdir(exist_ok=True)
    (mirrored(tmp_path) / name).write_text("\n")

    with pytest.raises(Refused) as refused:
        mirror.refresh()

    assert refused.value.code == "git-mirror-altered"
    assert refused.value.fields["found"] == name


def test_a_mirror_with_another_configuration_is_refused(mirror: GitMirror, tmp_path: Path) -> None:
    mirror.refresh()
    with (mirrored(tmp_path) / "config").open("a") as config:
        config.write('[url "/srv/other"]\n\tinsteadOf = /srv/git\n')

    assert code_of(mirror.refresh) == "git-mirror-altered"


def test_a_hook_in_the_mirror_does_not_run(work: Work, mirror: GitMirror, tmp_path: Path) -> None:
    mirror.refresh()
    ran, hook = tmp_path / "ran", mirrored(tmp_path) / "hooks" / "reference-transaction"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    work.publish()

    mirror.refresh()

    assert not ran.exists()


def test_a_shallow_repository_is_refused(work: Work, tmp_path: Path) -> None:
    mirror = GitMirror(mirrored(tmp_path), str(work.bare), "main")
    work.publish()
    accepted = mirror.refresh()
    work.publish()
    work.bare.rename(tmp_path / "whole.git")
    command = ["git", "clone", "-q", "--bare", "--depth=1", f"file://{tmp_path}/whole.git", str(work.bare)]
    subprocess.run(command, check=True)

    assert code_of(GitMirror(tmp_path / "new.git", str(work.bare), "main").refresh) == "git-shallow"
    assert code_of(mirror.refresh) == "git-shallow", "git itself would fetch nothing and say that all is well"
    assert mirror.snapshot().commit == accepted.commit


# Exporting


def test_an_export_is_the_approved_tree_read_only(mirror: GitMirror, tmp_path: Path) -> None:
    snapshot, target = mirror.refresh(), tmp_path / "export"

    digest = mirror.export(snapshot, ["roles", "playbooks"], target)

    assert digest == tree_digest(snapshot.files("roles", "playbooks")) == folder_digest(target)
    script = target / "roles/archive/files/host.sh"
    assert script.read_bytes() == b"#!/bin/sh\n"
    modes = {path.stat().st_mode & 0o777 for path in target.rglob("*") if path.is_dir()} | {
        target.stat().st_mode & 0o777
    }
    assert modes == {0o555}
    assert script.stat().st_mode & 0o777 == 0o555
    assert (target / "playbooks/upgrade.yml").stat().st_mode & 0o777 == 0o444
    assert not (target / "approvals").exists()


def test_the_digest_is_over_sorted_lines_of_mode_sha256_and_path() -> None:
    blobs = (Blob("b", "100644", b"2"), Blob("a", "100755", b"1"))
    lines = f"100644 {Digest.of(b'2')} b\n100755 {Digest.of(b'1')} a\n"

    assert tree_digest(blobs) == tree_digest(reversed(blobs)) == Digest.of(lines.encode())


@pytest.mark.parametrize("change", ["content", "mode", "added", "removed", "renamed"])
def test_whatever_changes_in_an_export_changes_its_digest(mirror: GitMirror, tmp_path: Path, change: str) -> None:
    target = tmp_path / "export"
    before = mirror.export(mirror.refresh(), ["roles", "playbooks"], target)
    subprocess.run(["chmod", "-R", "u+w", target], check=True)
    playbook = target / "playbooks/upgrade.yml"
    match change:
        case "content":
            playbook.write_text("--- # x\n")
        case "mode":
            playbook.chmod(0o755)
        case "added":
            (target / "playbooks/more.yml").write_text("")
        case "removed":
            playbook.unlink()
        case "renamed":
            playbook.rename(target / "playbooks/other.yml")

    assert folder_digest(target) != before


def test_a_link_or_an_odd_file_in_an_export_is_found(mirror: GitMirror, tmp_path: Path) -> None:
    target = tmp_path / "export"
    mirror.export(mirror.refresh(), ["roles"], target)
    (target / "roles").chmod(0o755)

    (target / "roles" / "odd").symlink_to("/etc")
    assert code_of(lambda: folder_digest(target), Integrity) == "export-odd-file"
    (target / "roles" / "odd").unlink()
    os.mkfifo(target / "roles" / "odd")
    assert code_of(lambda: folder_digest(target), Integrity) == "export-odd-file"


def test_an_export_goes_to_a_new_folder_and_is_never_empty(mirror: GitMirror, tmp_path: Path) -> None:
    snapshot = mirror.refresh()
    (tmp_path / "there").mkdir()

    assert (
        code_of(lambda: mirror.export(snapshot, ["roles"], tmp_path / "there"), PreflightFailed) == "export-not-written"
    )
    assert code_of(lambda: mirror.export(snapshot, ["nothing"], tmp_path / "new")) == "tree-empty"
    with pytest.raises(ValueError, match="no prefix"):
        mirror.export(snapshot, [], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_export_is_removed_read_only_as_it_is(mirror: GitMirror, tmp_path: Path) -> None:
    mirror.export(mirror.refresh(), ["roles"], tmp_path / "export")

    remove_export(tmp_path / "export")
    remove_export(tmp_path / "export")

    assert not (tmp_path / "export").exists()
