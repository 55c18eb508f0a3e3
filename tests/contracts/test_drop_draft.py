"""A draft says of builds what can be known, and is unreadable until a person said the rest."""

import hashlib
import subprocess
import tarfile
from pathlib import Path

import pytest

from contracts.zip_bytes import ZipMember, write_zip
from upgrader.adapters.builds.drop_draft import DropDraft
from upgrader.adapters.builds.vendor_drop import VendorDrop
from upgrader.adapters.documents import draft_release, read_release
from upgrader.domain.digest import Digest
from upgrader.domain.errors import BadInput, Refused, UpgraderError
from upgrader.domain.names import PersonId, Version
from upgrader.domain.releases.draft import FoundFile, Proposal, Surroundings, newest_before, propose
from upgrader.domain.releases.release import Strategy

AROUND = Surroundings(PersonId("lanxin-health"), PersonId("li.na"), None, "2026-11-23")
CONTROL = "Package: lis\nVersion: 1:4.2.1-2\nArchitecture: amd64\nMaintainer: v <v@example.invalid>\nDescription: x\n"
ANSWERS = {
    "zh: TODO": "zh: 修复重复预约",
    "en: TODO": "en: mends double bookings",
    "follows: [TODO]": 'follows: ["4.1.*"]',
    "downtime: TODO": "downtime: 30s",
    "data: TODO": "data: keep",
    "url: TODO": 'url: "http://{address}:{port}/"',
    "command: TODO": "command: bin/health",
}


def complete(text: str) -> str:
    for todo, answer in ANSWERS.items():
        text = text.replace(todo, answer)
    return text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a vendor put on a stick: one archive and a manual."""
    tree = tmp_path / "tree"
    for name in ("bin/service", "bin/health", "etc/lis.service.in", "etc/lis.conf.in", "lib/code.py"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
        (tree / name).chmod(0o755 if name.startswith("bin/") else 0o644)
    stick = tmp_path / "stick"
    stick.mkdir()
    with tarfile.open(stick / "lis-4.2.1.tar.gz", "w:gz") as archive:
        archive.add(tree, ".")
    (stick / "RELEASE-NOTES.md").write_text("# 4.2.1\n")
    return stick


def drafted(folder: Path, around: Surroundings = AROUND, previous: str | None = None) -> str:
    return draft_release(propose(DropDraft(folder).found()), around, previous)


def test_what_an_archive_shows_is_proposed(folder: Path) -> None:
    text = drafted(folder)

    digest = hashlib.sha256((folder / "lis-4.2.1.tar.gz").read_bytes()).hexdigest()
    for line in (
        "system: lis",
        'version: "4.2.1" # lis-4.2.1.tar.gz',
        "vendor: lanxin-health",
        "packager: li.na",
        "strategy: archive",
        f'- {{file: "lis-4.2.1.tar.gz", sha256: "{digest}"',
        '- {file: "RELEASE-NOTES.md"',
        'service: {name: lis, unit: "etc/lis.service", script: "bin/service",',
        '- {from: "etc/lis.conf.in", to: "etc/lis.conf"}',
    ):
        assert line in text, (line, text)


def test_a_draft_is_unreadable_until_a_person_completed_it(folder: Path) -> None:
    text = drafted(folder)

    with pytest.raises(BadInput) as caught:
        read_release(text.encode(), "release.yml")

    left = {(p.line, p.column) for p in caught.value.problems}
    lines = text.splitlines()
    assert {p.code for p in caught.value.problems} == {"still-to-do"}
    assert all(lines[line - 1][column - 1 :].startswith("TODO") for line, column in left)
    assert len(left) == sum("TODO" in line.partition("#")[0] for line in lines)


def test_a_completed_draft_is_a_release(folder: Path) -> None:
    release = read_release(complete(drafted(folder)).encode(), "release.yml")

    assert (release.name, release.packager, release.strategy) == ("lis 4.2.1", "li.na", Strategy.ARCHIVE)
    assert release.service.unit == "etc/lis.service"
    assert [file.target for file in release.config] == ["etc/lis.conf", "etc/lis.service"]


def test_the_release_before_is_the_pattern(folder: Path) -> None:
    before = complete(drafted(folder)).replace("4.2.1", "4.2.0").replace("interval: 5s", "interval: 7s # slow host")

    text = drafted(folder, Surroundings(PersonId("lanxin-health"), None, Version("4.2.0"), "2026-11-23"), before)

    assert "interval: 7s # slow host" in text
    assert 'follows: ["4.2.0"]' in text
    assert "4.2.0.tar.gz" not in text
    assert "\npackager:" not in text
    assert sorted(line.strip().split()[0] for line in text.splitlines() if "TODO" in line.partition("#")[0]) == [
        "en:",
        "zh:",
    ]
    assert read_release(complete(text).encode(), "release.yml").probes[0].interval_seconds == 7


def test_a_debian_package_says_what_it_is(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(CONTROL)
    folder = tmp_path / "drop"
    folder.mkdir()
    command = ["dpkg-deb", "-Zxz", "--root-owner-group", "-b", str(tree), str(folder / "lis_4.2.1-2_amd64.deb")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)

    proposal = propose(DropDraft(folder).found())

    assert (proposal.system, proposal.version, proposal.strategy) == ("lis", "4.2.1", Strategy.PACKAGE)
    assert "package: {name: lis}" in draft_release(proposal, AROUND, None)


@pytest.mark.parametrize(
    ("name", "content", "strategy"),
    [("LIS_Setup-4.2.1.exe", b"MZ" + bytes(60), Strategy.WINDOWS)],
)
def test_a_build_for_windows_is_drafted_too(tmp_path: Path, name: str, content: bytes, strategy: Strategy) -> None:
    (tmp_path / name).write_bytes(content)

    proposal = propose(DropDraft(tmp_path).found())

    assert (proposal.system, proposal.version, proposal.strategy) == ("lis-setup", "4.2.1", strategy)


def test_files_that_disagree_leave_it_to_the_person(tmp_path: Path) -> None:
    write_zip(tmp_path / "lis-4.2.1.zip", [ZipMember("a")])
    write_zip(tmp_path / "pacs-1.0.zip", [ZipMember("a")])

    proposal = propose(DropDraft(tmp_path).found())

    assert (proposal.system, proposal.version) == (None, None)


def test_one_file_becomes_a_folder(tmp_path: Path) -> None:
    write_zip(tmp_path / "lis-4.2.1.zip", [ZipMember("a")])

    with pytest.raises(BadInput, match="draft-needs-folder"):
        DropDraft.of(tmp_path / "lis-4.2.1.zip", None)
    new = DropDraft.of(tmp_path / "lis-4.2.1.zip", tmp_path / "new")
    with pytest.raises(BadInput, match="draft-target-exists"):
        DropDraft.of(tmp_path / "lis-4.2.1.zip", tmp_path / "new")

    assert [file.file for file in new.found()] == ["lis-4.2.1.zip"]


def test_nothing_that_somebody_completed_is_written_over(folder: Path) -> None:
    DropDraft(folder).write_manifest("mine")

    with pytest.raises(BadInput, match="draft-exists"):
        DropDraft(folder).write_manifest("new")

    assert (folder / "release.yml").read_text() == "mine"


def folder_inside(folder: Path) -> None:
    (folder / "more").mkdir()


def strange_name(folder: Path) -> None:
    (folder / "发布说明.md").write_text("x")


def trap(folder: Path) -> None:
    write_zip(folder / "lis.zip", [ZipMember("../x")])


@pytest.mark.parametrize(
    ("change", "code"),
    [(folder_inside, "drop-not-a-file"), (strange_name, "draft-file-name"), (trap, "archive-name-outside")],
)
def test_what_could_not_be_staged_is_not_drafted(folder: Path, change: object, code: str) -> None:
    assert callable(change)
    change(folder)

    with pytest.raises(UpgraderError) as caught:
        DropDraft(folder).found()

    assert caught.value.code == code


def test_what_was_sealed_is_a_drop(folder: Path) -> None:
    draft = DropDraft(folder)
    draft.write_manifest(complete(drafted(folder)))

    draft.seal(draft.listing(), b"-----BEGIN SSH SIGNATURE-----\n")

    checked = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, timeout=60, check=False
    )
    assert checked.returncode == 0
    assert VendorDrop(folder).read().release.name == "lis 4.2.1"


def test_a_folder_without_a_manifest_is_not_sealed(folder: Path) -> None:
    with pytest.raises(Refused, match="drop-paper-missing"):
        DropDraft(folder).manifest()


def test_the_newest_older_release_is_the_pattern() -> None:
    staged = [Version(text) for text in ("4.1.9", "4.2.0", "4.10.0")]

    assert newest_before(staged, Version("4.2.1")) == "4.2.0"
    assert newest_before(staged, None) == "4.10.0"
    assert newest_before(staged, Version("1.0")) is None


def test_no_build_is_no_proposal() -> None:
    proposal: Proposal = propose([FoundFile("notes.md", 1, Digest.of(b"x"), None)])

    assert (proposal.builds, proposal.strategy) == ((), None)
