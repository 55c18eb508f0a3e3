"""A vendor drop is a closed world, and an archive in it holds nothing that could surprise a host."""

import gzip
import hashlib
import io
import os
import subprocess
import tarfile
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upgrader.adapters import vendor_drop
from upgrader.adapters.vendor_drop import ArchiveFacts, VendorDrop, inspect_archive, read_checksums
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


# Archives


def member(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    header = tarfile.TarInfo(name)
    header.size = len(content)
    for field, value in fields.items():
        setattr(header, field, value)
    return header, content


def folder(name: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, b"", type=tarfile.DIRTYPE)


def pack(
    path: Path,
    members: Iterable[tuple[tarfile.TarInfo, bytes]],
    form: int = tarfile.PAX_FORMAT,
    pax: dict[str, str] | None = None,
) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix != ".tar" else "w", format=form, pax_headers=pax) as archive:
        for header, content in members:
            archive.addfile(header, io.BytesIO(content))
    return path


GOOD = [folder("./"), folder("./bin"), member("./bin/health", b"#!/bin/sh\n", mode=0o755), member("etc/中文.conf")]


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar"])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_good_archive_is_counted(tmp_path: Path, name: str, form: int) -> None:
    path = pack(tmp_path / name, [*GOOD, member("lib/" + "long/" * 25 + "name", b"12345")], form)

    assert inspect_archive(path) == ArchiveFacts(files=3, total_bytes=16)


def test_what_tar_makes_of_a_folder_is_good(tmp_path: Path) -> None:
    (tmp_path / "build" / "bin").mkdir(parents=True)
    (tmp_path / "build" / "bin" / "health").write_bytes(os.urandom(50_000))
    path = tmp_path / "build.tar.gz"

    for form in ("gnu", "pax", "ustar"):
        command = ["tar", f"--format={form}", "-czf", str(path), "-C", str(tmp_path / "build"), "."]
        subprocess.run(command, check=True, timeout=60)
        assert inspect_archive(path) == ArchiveFacts(files=1, total_bytes=50_000)


NFD = unicodedata.normalize("NFD", "é.conf")
BAD_MEMBERS = {
    "link": ([member("a", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")], "archive-link"),
    "hard link": ([member("a"), member("b", b"", type=tarfile.LNKTYPE, linkname="a")], "archive-link"),
    "long link": ([member("a", b"", type=tarfile.SYMTYPE, linkname="x" * 300)], "archive-link"),
    "device": ([member("a", b"", type=tarfile.CHRTYPE)], "archive-device"),
    "disk": ([member("a", b"", type=tarfile.BLKTYPE)], "archive-device"),
    "pipe": ([member("a", b"", type=tarfile.FIFOTYPE)], "archive-device"),
    "contiguous": ([member("a", b"", type=tarfile.CONTTYPE)], "archive-member-type"),
    "sparse": ([member("a", b"", type=tarfile.GNUTYPE_SPARSE)], "archive-member-type"),
    "absolute": ([member("/etc/cron.d/x")], "archive-name-outside"),
    "upwards": ([member("../x")], "archive-name-outside"),
    "upwards inside": ([member("a/../../x")], "archive-name-outside"),
    "upwards folder": ([folder("a/..")], "archive-name-outside"),
    "empty part": ([member("a//b")], "archive-name"),
    "dot part": ([member("a/./b")], "archive-name"),
    "backslash": ([member("a\\..\\b")], "archive-name"),
    "line feed": ([member("a\nb")], "archive-name"),
    "right to left": ([member("a\u202egpj.sh")], "archive-name"),
    "not UTF-8": ([member("a\udcff")], "archive-extended-header"),
    "not NFC": ([member(NFD)], "archive-name"),
    "space at the end": ([member("a ")], "archive-name"),
    "deep": ([member("/".join("a" * 33))], "archive-name"),
    "long part": ([member("a" * 256)], "archive-name"),
    "long name": ([member("/".join(["a" * 100] * 11))], "archive-name"),
    "twice": ([member("a"), member("a")], "archive-names-collide"),
    "twice with a dot": ([member("a"), member("./a")], "archive-names-collide"),
    "capital": ([member("README"), member("readme")], "archive-names-collide"),
    "capital folder": ([member("Bin/a"), member("bin/b")], "archive-names-collide"),
    "file, then folder": ([member("a"), member("a/b")], "archive-names-collide"),
    "folder, then file": ([member("a/b"), member("a")], "archive-names-collide"),
    "set-uid": ([member("a", mode=0o4755)], "archive-mode"),
    "extended": ([member("a", pax_headers={"SCHILY.xattr.security.capability": "x"})], "archive-extended-header"),
    "sparse, new": ([member("a", pax_headers={"GNU.sparse.major": "7"})], "archive-extended-header"),
    "huge extension": ([member("a", pax_headers={"comment": os.urandom(40_000).hex()})], "archive-header-too-large"),
    "no file": ([folder("a")], "archive-empty"),
    "nothing": ([], "archive-empty"),
    "zeros": ([member("a", bytes(50_000_000))], "archive-ratio"),
}


@pytest.mark.parametrize(("members", "code"), BAD_MEMBERS.values(), ids=BAD_MEMBERS)
def test_a_member_that_may_not_be_is_refused(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], code: str
) -> None:
    path = pack(tmp_path / "build.tar.gz", members)

    with pytest.raises(Refused) as caught:
        inspect_archive(path)

    assert (caught.value.code, caught.value.fields["file"]) == (code, "build.tar.gz")


def test_a_name_for_every_member_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "build.tar.gz", [member("a")], pax={"path": "../b"})

    with pytest.raises(Refused) as caught:
        inspect_archive(path)

    assert caught.value.code in ("archive-extended-header", "archive-name-outside")


def test_what_git_archive_writes_beside_its_members_is_harmless(tmp_path: Path) -> None:
    path = pack(tmp_path / "build.tar.gz", GOOD, pax={"comment": "0" * 40})

    assert inspect_archive(path).files == 2


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "build.tar.gz", [member("a\udcff")], tarfile.GNU_FORMAT)

    with pytest.raises(Refused) as caught:
        inspect_archive(path)

    assert caught.value.code == "archive-name"


def plain_tar(tmp_path: Path) -> bytes:
    return pack(tmp_path / "plain.tar", [member("a", b"1" * 600), member("b", b"2" * 600)]).read_bytes()


def test_an_archive_that_goes_on_after_its_end_is_refused(tmp_path: Path) -> None:
    content = plain_tar(tmp_path)
    (tmp_path / "two.tar").write_bytes(content + content)
    (tmp_path / "lone.tar").write_bytes(content[: 3 * 1024] + bytes(512) + content[3 * 1024 - 1536 :])

    for name in ("two.tar", "lone.tar"):
        with pytest.raises(Refused) as caught:
            inspect_archive(tmp_path / name)
        assert caught.value.code == "archive-goes-on"


@pytest.mark.parametrize("length", [0, 100, 512, 1000, 1536, 2100, 3072])
def test_an_archive_that_ends_too_early_is_refused(tmp_path: Path, length: int) -> None:
    (tmp_path / "cut.tar").write_bytes(plain_tar(tmp_path)[:length])

    with pytest.raises(Refused) as caught:
        inspect_archive(tmp_path / "cut.tar")

    assert caught.value.code == "archive-damaged"


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    content = bytearray(plain_tar(tmp_path))
    content[1536 + 148] ^= 1  # the check sum of the second header
    (tmp_path / "damaged.tar").write_bytes(content)

    with pytest.raises(Refused) as caught:
        inspect_archive(tmp_path / "damaged.tar")

    assert caught.value.code == "archive-damaged"


@pytest.mark.parametrize("name", ["cut.tar.gz", "other.tar.gz", "build.zip"])
def test_what_is_no_such_archive_is_refused(tmp_path: Path, name: str) -> None:
    contents = {"cut.tar.gz": gzip.compress(plain_tar(tmp_path))[:-20], "other.tar.gz": b"PK\x03\x04", "build.zip": b""}
    (tmp_path / name).write_bytes(contents[name])

    with pytest.raises(Refused) as caught:
        inspect_archive(tmp_path / name)

    assert caught.value.code == ("archive-type-unknown" if name == "build.zip" else "archive-damaged")


@pytest.mark.parametrize(
    ("limit", "value", "code"),
    [("MOST_MEMBERS", 3, "archive-too-many-members"), ("LARGEST_TOTAL", 10, "archive-too-large")],
)
def test_the_limits_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, code: str) -> None:
    monkeypatch.setattr(vendor_drop, limit, value)
    path = pack(tmp_path / "build.tar.gz", GOOD)

    with pytest.raises(Refused) as caught:
        inspect_archive(path)

    assert caught.value.code == code


@given(st.integers(0, 3071), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_whatever_byte_is_damaged_only_a_refusal_leaves(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    content = bytearray(plain_tar(folder))
    content[at] = value
    path = folder / "fuzzed.tar"
    path.write_bytes(content)

    try:
        facts = inspect_archive(path)
    except Refused:
        return
    assert facts.files in (1, 2)
