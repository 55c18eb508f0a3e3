"""A vendor drop is a closed world: what is listed is there, what is there is listed, and all say the same."""

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from upgrader.adapters.builds.vendor_drop import VendorDrop, read_checksums
from upgrader.domain.errors import BadInput, Integrity, Refused, UpgraderError

BUILD, NOTES = "exam-scheduling-3.5.10.tar.gz", "RELEASE-NOTES.md"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def release(build: bytes, notes: bytes) -> str:
    return f"""\
system: exam-scheduling
version: 3.5.10
vendor: lanxin-health
released: 2026-10-12
summary: {{zh: 修复重复预约, en: mends double bookings}}
follows: ["3.4.*"]
strategy: archive
downtime: 20s
data: keep
builds: [{{file: {BUILD}, sha256: {sha256(build)}, size: {len(build)}}}]
documents: [{{file: {NOTES}, sha256: {sha256(notes)}, size: {len(notes)}}}]
service: {{name: exam-scheduling, unit: etc/exam-scheduling.service, script: bin/service, settle: 2s}}
health: {{command: bin/health, timeout: 20s}}
keep: 2
probes:
  - {{name: files, kind: command, run: "true", interval: 1s, count: 1, failures_allowed: 0, timeout: 5s}}
thresholds: {{failed_in_wave: 0, failed_in_all: 0, unreachable_in_wave: 1}}
"""


def write_list(drop: Path) -> None:
    names = sorted(path.name for path in drop.iterdir() if not path.name.startswith("SHA256SUMS"))
    lines = [f"{sha256((drop / name).read_bytes())}  {name}\n" for name in names]
    (drop / "SHA256SUMS").write_text("".join(lines))


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    build, notes = b"build" * 1000, b"# 3.5.10\n"
    (folder / BUILD).write_bytes(build)
    (folder / NOTES).write_bytes(notes)
    (folder / "release.yml").write_text(release(build, notes))
    write_list(folder)
    (folder / "SHA256SUMS.sig").write_text("-----BEGIN SSH SIGNATURE-----\n")
    return folder


def test_a_good_drop_is_read_whole(drop: Path) -> None:
    staged = VendorDrop(drop).read()

    assert staged.release.name == "exam-scheduling 3.5.10"
    assert [(build.file, path) for build, path in staged.files] == [(BUILD, drop / BUILD), (NOTES, drop / NOTES)]
    assert staged.checksums == (drop / "SHA256SUMS").read_bytes()
    assert staged.manifest == (drop / "release.yml").read_bytes()
    assert staged.signature == (drop / "SHA256SUMS.sig").read_bytes()


def test_the_list_is_what_sha256sum_writes(drop: Path) -> None:
    command = ["sha256sum", "release.yml", BUILD, NOTES]
    written = subprocess.run(command, cwd=drop, check=True, capture_output=True, timeout=60).stdout

    assert set(read_checksums(written)) == {"release.yml", BUILD, NOTES}


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(drop: Path) -> None:
        text = (drop / name).read_text()
        assert old in text
        (drop / name).write_text(text.replace(old, new, 1))

    return change


def relist(*changes: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(drop: Path) -> None:
        for one in changes:
            one(drop)
        write_list(drop)

    return change


def flip_a_byte(drop: Path) -> None:
    content = bytearray((drop / BUILD).read_bytes())
    content[4321] ^= 1
    (drop / BUILD).write_bytes(content)


def link(drop: Path) -> None:
    (drop / NOTES).rename(drop.parent / NOTES)
    (drop / NOTES).symlink_to(drop.parent / NOTES)


BROKEN: list[tuple[str, Callable[[Path], object], type[UpgraderError], str]] = [
    ("one byte of the build", flip_a_byte, Integrity, "drop-digest-differs"),
    ("one byte more", lambda d: (d / BUILD).write_bytes(b"build" * 1000 + b"!"), Integrity, "drop-digest-differs"),
    ("a file that is not listed", lambda d: (d / "setup.exe").touch(), Refused, "drop-file-unlisted"),
    ("a file too few", lambda d: (d / NOTES).unlink(), Refused, "drop-file-absent"),
    ("a folder", lambda d: (d / "more").mkdir(), Refused, "drop-not-a-file"),
    ("a link", link, Refused, "drop-not-a-file"),
    ("a pipe", lambda d: os.mkfifo(d / "pipe"), Refused, "drop-not-a-file"),
    ("no signature", lambda d: (d / "SHA256SUMS.sig").unlink(), Refused, "drop-paper-missing"),
    ("no list", lambda d: (d / "SHA256SUMS").unlink(), Refused, "drop-paper-missing"),
    ("no release", lambda d: (d / "release.yml").unlink(), Refused, "drop-paper-missing"),
    ("a huge signature", lambda d: (d / "SHA256SUMS.sig").write_bytes(b"x" * 65537), Refused, "drop-paper-too-large"),
    ("an unsigned release", edit("SHA256SUMS", "release.yml", "release.yaml"), Refused, "checksums-without-manifest"),
    ("a path in the list", edit("SHA256SUMS", NOTES, "../" + NOTES), Refused, "checksums-malformed"),
    ("one space in the list", edit("SHA256SUMS", "  ", " "), Refused, "checksums-malformed"),
    ("a binary mark in the list", edit("SHA256SUMS", "  ", " *"), Refused, "checksums-malformed"),
    ("CRLF in the list", edit("SHA256SUMS", "\n", "\r\n"), Refused, "checksums-malformed"),
    ("a comment in the list", edit("SHA256SUMS", "", "# ours\n"), Refused, "checksums-malformed"),
    ("no end of line", lambda d: os.truncate(d / "SHA256SUMS", 90), Refused, "checksums-malformed"),
    ("an empty list", lambda d: (d / "SHA256SUMS").write_bytes(b""), Refused, "checksums-malformed"),
    ("a name twice", edit("SHA256SUMS", "", f"{'a' * 64}  {BUILD}\n"), Refused, "checksums-name-twice"),
    ("the list in itself", edit("SHA256SUMS", "", f"{'a' * 64}  SHA256SUMS\n"), Refused, "checksums-name-twice"),
    (
        "listed, but the release does not know it",
        relist(lambda d: (d / "readme.txt").write_text("hello")),
        Refused,
        "drop-release-differs",
    ),
    (
        "another digest in the release",
        relist(edit("release.yml", f"{BUILD}, sha256: ", f"{BUILD}, sha256: {'0' * 64} # ")),
        BadInput,
        "document-invalid",
    ),
    (
        "another size in the release",
        relist(edit("release.yml", "size: 5000", "size: 5001")),
        Integrity,
        "release-size-differs",
    ),
    ("a release for templates", relist(edit("release.yml", "mends", "'{{x}}'")), BadInput, "document-invalid"),
]


@pytest.mark.parametrize(("change", "error", "code"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_broken_drop_is_refused(
    drop: Path, change: Callable[[Path], object], error: type[UpgraderError], code: str
) -> None:
    change(drop)

    with pytest.raises(error) as caught:
        VendorDrop(drop).read()

    assert caught.value.code == code


def test_a_release_that_names_another_digest_is_refused(drop: Path) -> None:
    old = sha256((drop / BUILD).read_bytes())
    relist(edit("release.yml", old, "0" * 64))(drop)

    with pytest.raises(Integrity) as caught:
        VendorDrop(drop).read()

    assert (caught.value.code, caught.value.fields["file"]) == ("release-digest-differs", BUILD)


def test_a_drop_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        VendorDrop(tmp_path / "nowhere").read()

    assert caught.value.code == "drop-unreadable"


def test_reading_changes_nothing(drop: Path) -> None:
    before = {path.name: path.read_bytes() for path in drop.iterdir()}

    VendorDrop(drop).read()

    assert {path.name: path.read_bytes() for path in drop.iterdir()} == before


def test_papers_that_were_exchanged_or_are_no_files_are_refused_before_the_builds_are_fetched(drop: Path) -> None:
    assert VendorDrop(drop).papers().release
    (drop / "release.yml").write_bytes((drop / "release.yml").read_bytes() + b"# more\n")
    with pytest.raises(Integrity, match="drop-digest-differs"):
        VendorDrop(drop).papers()

    (drop / "SHA256SUMS").unlink()
    os.mkfifo(drop / "SHA256SUMS")
    with pytest.raises(Refused, match="drop-not-a-file"):
        VendorDrop(drop).papers()
