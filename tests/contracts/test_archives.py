"""An archive that a vendor packed holds nothing that could surprise a host, and is unpacked where we say."""

import gzip
import io
import lzma
import os
import random
import struct
import subprocess
import tarfile
import time
import unicodedata
import zipfile
import zlib
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.zip_bytes import WINDOWS, ZipMember, deflated, write_zip, zip_bytes
from contracts.zip_bytes import folder as zip_folder
from fuzz import TIMES
from upgrader.adapters.archives import BUILD_LIMITS, Limits, members_of, unpack
from upgrader.adapters.builds.build_inspection import inspect_build
from upgrader.domain.errors import Refused, UpgraderError
from upgrader.domain.releases.build_facts import BuildFacts
from upgrader.domain.releases.build_kind import BuildKind

# How many seconds the mutations run; a hundred times as long with UPGRADER_FUZZ=100
FUZZ_SECONDS = 3.0 * TIMES

# Tar


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

    assert inspect_build(path) == BuildFacts(BuildKind.TAR, files=3, total_bytes=16)


def test_what_tar_makes_of_a_folder_is_good(tmp_path: Path) -> None:
    (tmp_path / "build" / "bin").mkdir(parents=True)
    (tmp_path / "build" / "bin" / "health").write_bytes(os.urandom(50_000))
    path = tmp_path / "build.tar.gz"

    for form in ("gnu", "pax", "ustar"):
        command = ["tar", f"--format={form}", "-czf", str(path), "-C", str(tmp_path / "build"), "."]
        subprocess.run(command, check=True, timeout=60)
        assert inspect_build(path) == BuildFacts(BuildKind.TAR, files=1, total_bytes=50_000)


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
    "backslash": ([member("a\\b")], "archive-name"),
    "upwards with backslashes": ([member("a\\..\\b")], "archive-name-outside"),
    "drive": ([member("C:x")], "archive-name-outside"),
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
    "folder with content": ([member("a", b"12345", type=tarfile.DIRTYPE)], "archive-damaged"),
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
        inspect_build(path)

    assert (caught.value.code, caught.value.fields["file"]) == (code, "build.tar.gz")


def test_a_name_for_every_member_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "build.tar.gz", [member("a")], pax={"path": "../b"})

    with pytest.raises(Refused) as caught:
        inspect_build(path)

    assert caught.value.code in ("archive-extended-header", "archive-name-outside")


def test_what_git_archive_writes_beside_its_members_is_harmless(tmp_path: Path) -> None:
    path = pack(tmp_path / "build.tar.gz", GOOD, pax={"comment": "0" * 40})

    assert inspect_build(path).files == 2


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "build.tar.gz", [member("a\udcff")], tarfile.GNU_FORMAT)

    with pytest.raises(Refused) as caught:
        inspect_build(path)

    assert caught.value.code == "archive-name"


def plain_tar(tmp_path: Path) -> bytes:
    return pack(tmp_path / "plain.tar", [member("a", b"1" * 600), member("b", b"2" * 600)]).read_bytes()


def test_an_archive_that_goes_on_after_its_end_is_refused(tmp_path: Path) -> None:
    content = plain_tar(tmp_path)
    (tmp_path / "two.tar").write_bytes(content + content)
    (tmp_path / "lone.tar").write_bytes(content[: 3 * 1024] + bytes(512) + content[3 * 1024 - 1536 :])

    for name in ("two.tar", "lone.tar"):
        with pytest.raises(Refused) as caught:
            inspect_build(tmp_path / name)
        assert caught.value.code == "archive-goes-on"


@pytest.mark.parametrize("length", [0, 100, 512, 1000, 1536, 2100, 3072])
def test_an_archive_that_ends_too_early_is_refused(tmp_path: Path, length: int) -> None:
    (tmp_path / "cut.tar").write_bytes(plain_tar(tmp_path)[:length])

    with pytest.raises(Refused) as caught:
        inspect_build(tmp_path / "cut.tar")

    assert caught.value.code == ("archive-damaged" if length > 300 else "build-kind-differs")


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    content = bytearray(plain_tar(tmp_path))
    content[1536 + 148] ^= 1  # the check sum of the second header
    (tmp_path / "damaged.tar").write_bytes(content)

    with pytest.raises(Refused) as caught:
        inspect_build(tmp_path / "damaged.tar")

    assert caught.value.code == "archive-damaged"


def test_a_compressed_archive_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.tar.gz").write_bytes(gzip.compress(plain_tar(tmp_path))[:-20])
    (tmp_path / "cut.tar.xz").write_bytes(lzma.compress(plain_tar(tmp_path))[:-20])

    for name in ("cut.tar.gz", "cut.tar.xz"):
        with pytest.raises(Refused) as caught:
            inspect_build(tmp_path / name)
        assert caught.value.code == "archive-damaged"


def test_an_xz_that_goes_on_is_refused(tmp_path: Path) -> None:
    packed = lzma.compress(plain_tar(tmp_path))
    (tmp_path / "two.tar.xz").write_bytes(packed + packed)

    with pytest.raises(Refused) as caught:
        inspect_build(tmp_path / "two.tar.xz")

    assert caught.value.code == "archive-goes-on"


@pytest.mark.parametrize(
    ("limits", "code"),
    [(Limits(10**9, 3), "archive-too-many-members"), (Limits(10, 10), "archive-too-large")],
)
@pytest.mark.parametrize("kind", [BuildKind.TAR, BuildKind.ZIP])
def test_the_limits_hold(tmp_path: Path, kind: BuildKind, limits: Limits, code: str) -> None:
    good = [ZipMember(name, b"1234567") for name in ("a", "b", "c", "d")]
    path = {
        BuildKind.TAR: pack(tmp_path / "build.tar.gz", [member(one.name, one.content) for one in good]),
        BuildKind.ZIP: write_zip(tmp_path / "build.zip", good),
    }[kind]

    with pytest.raises(Refused) as caught, members_of(path, kind, limits) as members:
        deque(members, maxlen=0)

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
        facts = inspect_build(path)
    except Refused:
        return
    assert facts.files in (1, 2)


def test_what_the_system_does_not_give_is_told_in_its_words(tmp_path: Path) -> None:
    (tmp_path / "build.tar.gz").mkdir()

    with pytest.raises(Refused) as caught:
        inspect_build(tmp_path / "build.tar.gz")

    assert caught.value.code == "drop-unreadable"
    assert caught.value.fields["found"] == "Is a directory"


# Zip

GOOD_ZIP = [
    zip_folder("bin/"),
    ZipMember("bin/health", b"#!/bin/sh\n", mode=0o100755),
    ZipMember("etc/中文.conf", b"1"),
]


def test_a_good_zip_is_counted(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", [*GOOD_ZIP, ZipMember("stored", b"12345", method=0)])

    assert inspect_build(path) == BuildFacts(BuildKind.ZIP, files=3, total_bytes=16)


def test_what_zip_and_python_make_of_a_folder_is_good(tmp_path: Path) -> None:
    (tmp_path / "build" / "bin").mkdir(parents=True)
    (tmp_path / "build" / "bin" / "health").write_bytes(os.urandom(50_000))
    (tmp_path / "build" / "说明.txt").write_text("说明" * 1000, encoding="utf-8")
    expected = BuildFacts(BuildKind.ZIP, files=2, total_bytes=56_000)
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    for options in (["-r"], ["-r", "-X"], ["-r", "-0"], ["-r", "-D"]):
        path = tmp_path / f"zip{''.join(options)}.zip"
        command = ["zip", "-q", *options, str(path), "."]
        subprocess.run(command, cwd=tmp_path / "build", check=True, timeout=60, env=environment)
        assert inspect_build(path) == expected, options
    with zipfile.ZipFile(tmp_path / "python.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((tmp_path / "build").rglob("*")):
            archive.write(file, file.relative_to(tmp_path / "build"))
    assert inspect_build(tmp_path / "python.zip") == expected


def test_what_is_written_to_a_pipe_has_its_sizes_afterwards_and_is_good(tmp_path: Path) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    written = Pipe()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"1" * 600)
        archive.writestr("b", b"2" * 600)
    (tmp_path / "a.zip").write_bytes(written.getvalue())

    assert inspect_build(tmp_path / "a.zip").files == 2


def test_what_git_archive_writes_behind_its_members_is_harmless(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", GOOD_ZIP, comment=b"0" * 40)

    assert inspect_build(path).files == 2


def extra(kind: int, value: bytes) -> bytes:
    return struct.pack("<2H", kind, len(value)) + value


ONE = ZipMember("a", b"1" * 600)
LONG = ONE.content
QUINES = zip_bytes([ONE])
TWO = zip_bytes([ONE, ZipMember("b")])
DIRECTORY_OF_ONE = QUINES[
    QUINES.index(b"PK\1\2") : -22
]  # the end record has 22 bytes: size and start of the directory are at 12 and 16


def with_end(content: bytes, *, size: int) -> bytes:
    """The archive, whose end record says another size of the directory."""
    return content[:-10] + struct.pack("<L", size) + content[-6:]


def longer(content: bytes, by: int) -> bytes:
    """The archive of one stored member, which both headers say to be longer than it is."""
    changed, central = bytearray(content), content.index(b"PK\1\2")
    for at in (18, 22, central + 20, central + 24):
        struct.pack_into("<L", changed, at, struct.unpack_from("<L", changed, at)[0] + by)
    return bytes(changed)


BAD_ZIPS: dict[str, tuple[bytes, str]] = {
    # names
    "absolute": (zip_bytes([ZipMember("/etc/cron.d/x")]), "archive-name-outside"),
    "upwards": (zip_bytes([ZipMember("../x")]), "archive-name-outside"),
    "upwards inside": (zip_bytes([ZipMember("a/../../x")]), "archive-name-outside"),
    "upwards with backslashes": (zip_bytes([ZipMember("a\\..\\..\\x")]), "archive-name-outside"),
    "absolute with a backslash": (zip_bytes([ZipMember("\\windows\\x")]), "archive-name-outside"),
    "a server's share": (zip_bytes([ZipMember("\\\\server\\share\\x")]), "archive-name-outside"),
    "a drive": (zip_bytes([ZipMember("C:/windows/x")]), "archive-name-outside"),
    "a drive, relative": (zip_bytes([ZipMember("c:x")]), "archive-name-outside"),
    "a backslash": (zip_bytes([ZipMember("a\\b")]), "archive-name"),
    "a stream beside a file": (zip_bytes([ZipMember("a.txt:hidden")]), "archive-name"),
    "a device of Windows": (zip_bytes([ZipMember("bin/NUL.txt")]), "archive-name"),
    "a dot that Windows drops": (zip_bytes([ZipMember("setup.exe.")]), "archive-name"),
    "a star": (zip_bytes([ZipMember("a*")]), "archive-name"),
    "a zero byte": (zip_bytes([ZipMember("a\0.exe")]), "archive-name"),
    "a line feed": (zip_bytes([ZipMember("a\nb")]), "archive-name"),
    "right to left": (zip_bytes([ZipMember("a\u202egpj.exe")]), "archive-name"),
    "empty": (zip_bytes([ZipMember("")]), "archive-name"),
    "empty part": (zip_bytes([ZipMember("a//b")]), "archive-name"),
    "dot part": (zip_bytes([ZipMember("a/./b")]), "archive-name"),
    "not NFC": (zip_bytes([ZipMember(NFD)]), "archive-name"),
    "deep": (zip_bytes([ZipMember("/".join("a" * 33))]), "archive-name"),
    "long": (zip_bytes([ZipMember("/".join(["a" * 100] * 11))]), "archive-name"),
    "GBK without a word of it": (
        zip_bytes([ZipMember("", raw_name="说明".encode("gbk"), flags=0)]),
        "archive-name-encoding",
    ),
    "a code page of Windows": (
        zip_bytes([ZipMember("说明", flags=0, made_by=WINDOWS)]),
        "archive-name-encoding",
    ),
    "UTF-8 that is none": (zip_bytes([ZipMember("", raw_name=b"\xff\xfe")]), "archive-name-encoding"),
    # names that meet
    "twice": (zip_bytes([ONE, ONE]), "archive-names-collide"),
    "twice with a dot": (zip_bytes([ONE, ZipMember("./a")]), "archive-names-collide"),
    "capital": (zip_bytes([ZipMember("README"), ZipMember("readme")]), "archive-names-collide"),
    "capital folder": (zip_bytes([ZipMember("Bin/a"), ZipMember("bin/b")]), "archive-names-collide"),
    "file, then folder": (zip_bytes([ONE, ZipMember("a/b")]), "archive-names-collide"),
    "folder, then file": (zip_bytes([ZipMember("a/b"), ONE]), "archive-names-collide"),
    "folder and file": (zip_bytes([zip_folder("a/"), ONE]), "archive-names-collide"),
    # kinds
    "a link": (zip_bytes([ZipMember("a", b"/etc/passwd", mode=0o120777)]), "archive-link"),
    "a link of Windows": (zip_bytes([ZipMember("a", b"x", dos=0x400)]), "archive-link"),
    "a device": (zip_bytes([ZipMember("a", b"", mode=0o020644, method=0)]), "archive-device"),
    "a pipe": (zip_bytes([ZipMember("a", b"", mode=0o010644, method=0)]), "archive-device"),
    "set-uid": (zip_bytes([ZipMember("a", mode=0o104755)]), "archive-mode"),
    "a folder without its slash": (zip_bytes([ZipMember("a", b"", mode=0o040755, method=0)]), "archive-member-type"),
    "a folder for DOS alone": (zip_bytes([ZipMember("a", b"", mode=0, dos=0x10, method=0)]), "archive-member-type"),
    "a folder with content": (zip_bytes([ZipMember("a/", b"x", mode=0o040755)]), "archive-member-type"),
    "a file with a slash": (zip_bytes([ZipMember("a/", b"", method=0)]), "archive-member-type"),
    # forms
    "encrypted": (zip_bytes([ZipMember("a", flags=0x801)]), "archive-encrypted"),
    "strongly encrypted": (zip_bytes([ZipMember("a", flags=0x841)]), "archive-encrypted"),
    "encrypted by AES": (
        zip_bytes([ZipMember("a", extra=extra(0x9901, b"\2\0AE\3\0\0"), flags=0x801)]),
        "archive-extended-header",
    ),
    "a patch": (zip_bytes([ZipMember("a", flags=0x820)]), "archive-extended-header"),
    "LZMA": (zip_bytes([ZipMember("a", method=14)]), "archive-method"),
    "deflate64": (zip_bytes([ZipMember("a", method=9)]), "archive-method"),
    "zip64, in a member": (zip_bytes([ZipMember("a", size=0xFFFFFFFF)]), "archive-zip64"),
    "zip64, in an extra": (zip_bytes([ZipMember("a", extra=extra(1, bytes(16)))]), "archive-extended-header"),
    "zip64, at the end": (zip_bytes([ONE], count=0xFFFF), "archive-zip64"),
    "another name in an extra": (
        zip_bytes([ZipMember("a", extra=extra(0x7075, b"\1" + struct.pack("<L", zlib.crc32(b"a")) + b"../b"))]),
        "archive-extended-header",
    ),
    "an extra that is cut": (zip_bytes([ZipMember("a", extra=b"\x55\x54\xff\x00")]), "archive-damaged"),
    "an unknown extra beside the content": (
        zip_bytes([ZipMember("a", local_extra=extra(0x1234, b""))]),
        "archive-extended-header",
    ),
    "a comment on a member": (zip_bytes([ZipMember("a", comment=b"x")]), "archive-extended-header"),
    # two headers
    "another name beside the content": (zip_bytes([ZipMember("a", local_name=b"b")]), "archive-headers-differ"),
    "another size beside the content": (zip_bytes([ZipMember("a", local_size=7)]), "archive-headers-differ"),
    "other flags beside the content": (zip_bytes([ZipMember("a", local_flags=0)]), "archive-headers-differ"),
    "another size afterwards": (
        zip_bytes([ZipMember("a", b"1", flags=0x808, descriptor=struct.pack("<3L", zlib.crc32(b"1"), 3, 2))]),
        "archive-headers-differ",
    ),
    # where things lie
    "bytes before": (zip_bytes([ONE], before=b"MZ" + bytes(100)), "build-kind-differs"),
    "a zip before": (zip_bytes([ONE], before=QUINES), "archive-goes-on"),
    "bytes before, offsets mended": (zip_bytes([ONE], before=QUINES, shift=len(QUINES)), "archive-goes-on"),
    "bytes between members": (zip_bytes([ONE, ZipMember("b", gap=b"PK\3\4")]), "archive-goes-on"),
    "bytes before the directory": (zip_bytes([ONE], between=b"12345"), "archive-goes-on"),
    "bytes after": (zip_bytes([ONE], after=b"12345"), "archive-goes-on"),
    "a zip after": (zip_bytes([ONE], after=QUINES), "archive-goes-on"),
    "a zip in the comment": (zip_bytes([ONE], comment=b"PK\x05\x06" + bytes(18)), "archive-goes-on"),
    "a comment that hides": (zip_bytes([ONE], comment=b"\0\0"), "archive-goes-on"),
    "more members than are counted": (zip_bytes([ONE, ZipMember("b")], count=1), "archive-goes-on"),
    "an entry that is not counted": (
        with_end(QUINES[:-22] + DIRECTORY_OF_ONE + QUINES[-22:], size=2 * len(DIRECTORY_OF_ONE)),
        "archive-goes-on",
    ),
    "an entry that is none": (QUINES.replace(b"PK\1\2", b"PK\1\3"), "archive-damaged"),
    "a header beside the content that is none": (
        TWO[: TWO.rindex(b"PK\3\4")] + b"PK\3\5" + TWO[TWO.rindex(b"PK\3\4") + 4 :],
        "archive-damaged",
    ),
    "a directory beyond all measure": (with_end(QUINES, size=64 * 1024 * 1024 + 1), "archive-header-too-large"),
    "a content that ends in the directory": (
        longer(zip_bytes([ZipMember("a", b"12", method=0)]), by=20),
        "archive-overlap",
    ),
    "fewer members than are counted": (zip_bytes([ONE], count=2), "archive-damaged"),
    "one content for two": (zip_bytes([ONE, ZipMember("b", LONG, local_name=b"a")], offsets=[0, 0]), "archive-overlap"),
    "a member inside another": (zip_bytes([ZipMember("a", QUINES, method=0), ONE], offsets=[0, 31]), "archive-overlap"),
    "a member into the directory": (
        zip_bytes([ZipMember("a", b"12", packed=b"12" + bytes(100), method=0, size=102)])[:-60]
        + zip_bytes([ZipMember("a", b"12", packed=b"12" + bytes(100), method=0, size=102)])[-60:],
        "archive-damaged",
    ),
    # content
    "less than was said": (zip_bytes([ZipMember("a", b"12", size=3)]), "archive-damaged"),
    "more than was said": (zip_bytes([ZipMember("a", b"12", size=1)]), "archive-damaged"),
    "another check sum": (zip_bytes([ZipMember("a", b"12", crc=1)]), "archive-damaged"),
    "a stream that is none": (zip_bytes([ZipMember("a", b"12", packed=b"\xff\xff")]), "archive-damaged"),
    "a stream that goes on": (zip_bytes([ZipMember("a", b"12", packed=deflated(b"12") + b"34")]), "archive-goes-on"),
    "a stream that is cut": (zip_bytes([ZipMember("a", LONG, packed=deflated(LONG)[:-2])]), "archive-damaged"),
    "stored, with two sizes": (zip_bytes([ZipMember("a", b"12", method=0, size=3)]), "archive-damaged"),
    "zeros": (zip_bytes([ZipMember("a", bytes(5_000_000))]), "archive-ratio"),
    "zeros, and silent about it": (zip_bytes([ZipMember("a", bytes(5_000_000), size=1000)]), "archive-damaged"),
    "too large": (zip_bytes([ZipMember("a", b"1", size=0xFFFFFFF0)]), "archive-too-large"),
    "no file": (zip_bytes([zip_folder("a/")]), "archive-empty"),
    "no end": (zip_bytes([ONE])[:-1], "archive-damaged"),
    "one part of several": (zip_bytes([ONE])[:-18] + b"\1\0" + zip_bytes([ONE])[-16:], "archive-damaged"),
}


@pytest.mark.parametrize(("content", "code"), BAD_ZIPS.values(), ids=BAD_ZIPS)
def test_a_zip_that_may_not_be_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "build.zip"
    path.write_bytes(content)

    with pytest.raises(Refused) as caught:
        inspect_build(path)

    assert (caught.value.code, caught.value.fields["file"]) == (code, "build.zip")


@pytest.mark.parametrize("length", range(0, len(QUINES), 7))
def test_a_zip_that_ends_too_early_is_refused(tmp_path: Path, length: int) -> None:
    (tmp_path / "cut.zip").write_bytes(QUINES[:length])

    with pytest.raises(Refused):
        inspect_build(tmp_path / "cut.zip")


# Unpacking


def below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", [BuildKind.TAR, BuildKind.ZIP])
def test_what_is_unpacked_is_what_was_packed_with_plain_modes(tmp_path: Path, kind: BuildKind) -> None:
    path = {
        BuildKind.TAR: pack(tmp_path / "a.tar.gz", GOOD),
        BuildKind.ZIP: write_zip(tmp_path / "a.zip", [*GOOD_ZIP[:2], ZipMember("etc/中文.conf", b"x", mode=0o100666)]),
    }[kind]

    unpack(path, kind, tmp_path / "new" / "target", BUILD_LIMITS)

    target = tmp_path / "new" / "target"
    assert below(target) == {"bin/health": b"#!/bin/sh\n", "etc/中文.conf": b"x"}
    assert (target / "bin" / "health").stat().st_mode & 0o7777 == 0o755
    assert (target / "etc" / "中文.conf").stat().st_mode & 0o7777 == 0o644


def test_nothing_is_unpacked_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()

    with pytest.raises(UpgraderError) as caught:
        unpack(write_zip(tmp_path / "a.zip", [ONE]), BuildKind.ZIP, tmp_path / "target", BUILD_LIMITS)

    assert caught.value.code == "quarantine-not-writable"


# Neither format can hold a NUL in a name.
names = st.text(st.sampled_from("abAé中./\\: \n\u202e~$" + unicodedata.normalize("NFD", "é")[1]), max_size=12)


@given(
    st.lists(st.tuples(names, st.booleans()), min_size=1, max_size=4), st.sampled_from([BuildKind.TAR, BuildKind.ZIP])
)
@settings(max_examples=300, deadline=None)
def test_whatever_the_names_are_nothing_lands_outside(
    tmp_path_factory: pytest.TempPathFactory, listed: list[tuple[str, bool]], kind: BuildKind
) -> None:
    place = tmp_path_factory.mktemp("names")
    path = place / ("a.zip" if kind is BuildKind.ZIP else "a.tar")
    if kind is BuildKind.ZIP:
        write_zip(path, [zip_folder(name + "/") if is_folder else ZipMember(name) for name, is_folder in listed])
    else:
        pack(path, [folder(name) if is_folder else member(name) for name, is_folder in listed])
    target = place / "deep" / "target"

    with suppress(Refused):
        unpack(path, kind, target, BUILD_LIMITS)
        written = {str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()}
        assert written == {name.removeprefix("./") for name, is_folder in listed if not is_folder}
    assert set(place.iterdir()) <= {path, place / "deep"}
    assert not target.parent.exists() or set(target.parent.iterdir()) == {target}
    assert not any(p.is_symlink() for p in place.rglob("*"))


# Mutations


def seeds(folder: Path) -> Iterable[tuple[str, bytes]]:
    """Real archives of real tools, one of each form."""
    tree = folder / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin" / "health").write_bytes(b"#!/bin/sh\nexit 0\n" * 20)
    (tree / "说明.txt").write_text("说明" * 50, encoding="utf-8")
    for suffix, options in ((".tar", ""), (".tar.gz", "z"), (".tar.xz", "J")):
        subprocess.run(
            ["tar", f"-c{options}f", str(folder / f"a{suffix}"), "-C", str(tree), "."], check=True, timeout=60
        )
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    subprocess.run(["zip", "-qr", str(folder / "a.zip"), "."], cwd=tree, check=True, timeout=60, env=environment)
    (tree / "DEBIAN").mkdir()
    control = "Package: lis\nVersion: 4.2.1\nArchitecture: amd64\nMaintainer: v <v@example.invalid>\nDescription: x\n"
    (tree / "DEBIAN" / "control").write_text(control)
    command = ["dpkg-deb", "-Zxz", "--root-owner-group", "-b", str(tree), str(folder / "a.deb")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    for suffix in (".tar", ".tar.gz", ".tar.xz", ".zip", ".deb"):
        yield suffix, (folder / f"a{suffix}").read_bytes()


def mutated(content: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, cut out, put in or doubled."""
    changed = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        at = chance.randrange(len(changed) or 1)
        match chance.randrange(5):
            case 0:
                changed[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                changed[at : at + 1] = bytes([(changed[at] if changed else 0) ^ 1 << chance.randrange(8)])
            case 2:
                del changed[at : at + chance.choice([1, 8, 512])]
            case 3:
                changed[at:at] = chance.randbytes(chance.choice([1, 8]))
            case _:
                changed[at : at + 4] = chance.choice([b"\xff" * 4, bytes(4), b"\x7f" + b"\xff" * 3, b"\xff\xff\0\0"])
    return bytes(changed)


def test_whatever_becomes_of_an_archive_only_a_refusal_comes_and_soon(tmp_path: Path) -> None:
    forms = list(seeds(tmp_path))
    chance = random.Random(20261122)
    outside = tmp_path / "outside"
    outside.mkdir()
    until, tried, slowest = time.monotonic() + FUZZ_SECONDS, 0, 0.0
    while time.monotonic() < until:
        suffix, content = forms[tried % len(forms)]
        path = outside / f"m{suffix}"
        path.write_bytes(mutated(content, chance))
        started = time.process_time()
        with suppress(Refused):
            facts = inspect_build(path)
            if facts.kind is not BuildKind.DEB:
                unpack(path, facts.kind, outside / "target", BUILD_LIMITS)
        slowest, tried = max(slowest, time.process_time() - started), tried + 1
        assert {entry.name for entry in outside.iterdir()} <= {path.name, "target"}
        subprocess.run(["rm", "-rf", str(outside / "target"), str(path)], check=True, timeout=60)

    assert tried > 50
    assert slowest < 2
