"""Signatures that Windows and Debian know are shown as what they are: valid, broken, of a stranger, or not there."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upgrader.adapters.builds.authenticode import authenticode
from upgrader.adapters.builds.build_inspection import Keyrings, inspect_build
from upgrader.adapters.builds.debian_package import read_package
from upgrader.domain.errors import Refused
from upgrader.domain.releases.build_facts import PlatformSignature, SignatureState
from upgrader.domain.releases.build_kind import BuildKind

SIGNED = Path(__file__).parent / "signed_builds"
AUTHORITY = SIGNED / "authority.pem"
CONTROL = "Package: lis\nVersion: 4.2.1\nArchitecture: amd64\nMaintainer: v <v@example.invalid>\nDescription: x\n"
needs_osslsigncode = pytest.mark.skipif(
    shutil.which("osslsigncode") is None, reason="NOT CHECKED: osslsigncode is not installed"
)


# Windows


@needs_osslsigncode
def test_a_signed_program_is_shown_with_signer_issuer_and_time_stamp() -> None:
    found = authenticode(SIGNED / "signed.exe", AUTHORITY)

    assert (found.state, found.signer, found.issuer, found.signed_at) == (
        SignatureState.VALID,
        "/CN=Lanxin Health Test signer",
        "/CN=Lanxin Health Test authority",
        "2026-11-01T00:00:00Z",
    )


@needs_osslsigncode
@pytest.mark.parametrize(
    ("name", "authorities", "state"),
    [
        ("unstamped.exe", AUTHORITY, SignatureState.VALID),
        ("signed.exe", None, SignatureState.SIGNER_UNKNOWN),
        ("plain.exe", AUTHORITY, SignatureState.NONE),
    ],
)
def test_a_program_is_shown_as_what_it_is(name: str, authorities: Path | None, state: SignatureState) -> None:
    found = authenticode(SIGNED / name, authorities)

    assert (found.state, found.signed_at) == (state, None)


@needs_osslsigncode
@pytest.mark.parametrize("at", [0x200, 0x100, 1100])
def test_a_program_that_was_changed_is_never_shown_as_valid(tmp_path: Path, at: int) -> None:
    content = bytearray((SIGNED / "signed.exe").read_bytes())
    content[at] ^= 1
    (tmp_path / "changed.exe").write_bytes(content)

    assert authenticode(tmp_path / "changed.exe", AUTHORITY).state is not SignatureState.VALID


@needs_osslsigncode
def test_an_inspected_program_carries_its_signature() -> None:
    facts = inspect_build(SIGNED / "signed.exe", Keyrings(authorities=AUTHORITY))

    assert facts.kind is BuildKind.EXE
    assert [signature.state for signature in facts.signatures] == [SignatureState.VALID]


def test_without_the_program_that_checks_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upgrader.adapters.builds.authenticode.SEARCH_PATH", "/nonexistent")

    found = authenticode(SIGNED / "signed.exe", AUTHORITY)

    assert (found.state, found.detail) == (SignatureState.NOT_CHECKED, "osslsigncode")


# Debian


def ar_part(name: str, content: bytes) -> bytes:
    header = f"{name:<16}{1700000000:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
    return header + content + (b"\n" if len(content) % 2 else b"")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(CONTROL)
    for name, mode in (("postinst", 0o755), ("conffiles", 0o644)):
        (tree / "DEBIAN" / name).write_text("#!/bin/sh\n" if mode & 1 else "")
        (tree / "DEBIAN" / name).chmod(mode)
    (tree / "opt" / "lis").mkdir(parents=True)
    (tree / "opt" / "lis" / "code").write_bytes(os.urandom(5000))
    (tree / "opt" / "lis" / "current").symlink_to("/etc/lis")
    path = folder / "lis_4.2.1_amd64.deb"
    command = ["dpkg-deb", "-Zxz", "--root-owner-group", "-b", str(tree), str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return path


class Gpg:
    """A person's keyring of their own, and the agent that gpg starts for it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(mode=0o700)
        self("--quick-gen-key", "Lanxin Health <release@lanxin.example>", "ed25519", "sign", "never")
        self.keyring = home / "lanxin-health.gpg"
        self.keyring.write_bytes(self("--export"))

    def __call__(self, *arguments: str, content: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--passphrase", "", *arguments]
        return subprocess.run(command, input=content, check=True, capture_output=True, timeout=60).stdout

    def sign(self, content: bytes, *more: str) -> bytes:
        return self("--detach-sign", *more, content=content)


@pytest.fixture(scope="module")
def gpg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gpg]:
    if not all(shutil.which(program) for program in ("gpg", "gpgv", "gpgconf")):
        pytest.skip("NOT CHECKED: gpg and gpgv are not installed")
    home = tmp_path_factory.mktemp("gpg") / "home"
    try:
        yield Gpg(home)
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, timeout=60)


def signed_inside(package: Path, gpg: Gpg, target: Path) -> Path:
    """What debsigs makes: one more part, `_gpgorigin`, over the bytes of the three."""
    content = b""
    for part in read_package(package).parts:
        content += package.read_bytes()[part.at : part.at + part.size]
    target.write_bytes(package.read_bytes() + ar_part("_gpgorigin", gpg.sign(content)))
    return target


def told(path: Path, keyring: Path | None) -> list[PlatformSignature]:
    return list(inspect_build(path, Keyrings(openpgp=keyring)).signatures)


def test_a_package_says_what_it_is(package: Path) -> None:
    facts = inspect_build(package)

    assert (facts.kind, facts.files, facts.total_bytes, facts.signatures) == (BuildKind.DEB, 1, 5000, ())
    assert facts.says == {
        "Package": "lis",
        "Version": "4.2.1",
        "Architecture": "amd64",
        "Maintainer": "v <v@example.invalid>",
        "Scripts": "postinst",
    }


def test_a_signature_inside_a_package_is_shown(package: Path, gpg: Gpg, tmp_path: Path) -> None:
    path = signed_inside(package, gpg, tmp_path / "lis.deb")

    (valid,) = told(path, gpg.keyring)
    (stranger,) = told(path, None)

    assert (valid.state, stranger.state) == (SignatureState.VALID, SignatureState.SIGNER_UNKNOWN)
    assert valid.signer is not None
    assert "Lanxin Health <release@lanxin.example>" in valid.signer
    assert valid.signed_at is not None
    assert (valid.detail or "").endswith(stranger.signer or "?")  # the number of a key is the end of its fingerprint


def test_a_package_that_was_changed_under_its_signature_is_shown_as_broken(
    package: Path, gpg: Gpg, tmp_path: Path
) -> None:
    path = tmp_path / "lis.deb"
    path.write_bytes(package.read_bytes() + ar_part("_gpgorigin", gpg.sign(b"another package")))
    (tmp_path / "lis.deb.asc").write_bytes(gpg.sign(b"something else", "--armor"))

    assert [signature.state for signature in told(path, gpg.keyring)] == [SignatureState.BROKEN] * 2


def test_a_detached_signature_beside_a_package_is_shown(package: Path, gpg: Gpg, tmp_path: Path) -> None:
    path = Path(shutil.copy(package, tmp_path / "lis.deb"))
    (tmp_path / "lis.deb.asc").write_bytes(gpg.sign(path.read_bytes(), "--armor"))

    assert [signature.state for signature in told(path, gpg.keyring)] == [SignatureState.VALID]


def test_a_signature_of_weak_sums_is_not_taken_for_one(package: Path, gpg: Gpg, tmp_path: Path) -> None:
    path = tmp_path / "lis.deb"
    listed = gpg("--clearsign", content=b"Version: 4\nFiles:\n 0123 0123 4 debian-binary\n")
    path.write_bytes(package.read_bytes() + ar_part("_gpgbuilder", listed))

    assert [signature.state for signature in told(path, gpg.keyring)] == [SignatureState.NOT_CHECKED]


def parts(package: Path) -> dict[str, bytes]:
    content = package.read_bytes()
    return {part.name: content[part.at : part.at + part.size] for part in read_package(package).parts}


def build(named: list[tuple[str, bytes]]) -> bytes:
    return b"!<arch>\n" + b"".join(ar_part(name, content) for name, content in named)


def bad_packages(package: Path) -> dict[str, tuple[bytes, str]]:
    good = parts(package)
    binary, control, data = (good[name] for name in ("debian-binary", "control.tar.xz", "data.tar.xz"))
    three = [("debian-binary", binary), ("control.tar.xz", control), ("data.tar.xz", data)]
    return {
        "no control": (build([three[0], three[2]]), "package-malformed"),
        "control twice": (build([three[0], three[1], *three[1:]]), "package-malformed"),
        "other order": (build([three[0], three[2], three[1]]), "package-malformed"),
        "one part more": (build([*three, ("evil.tar", b"x")]), "package-malformed"),
        "another format": (build([("debian-binary", b"3.0\n"), *three[1:]]), "package-malformed"),
        "a path as a part": (build([*three, ("../../etc/x", b"x")]), "package-malformed"),
        "zstd": (build([*three[:2], ("data.tar.zst", b"x")]), "package-compression"),
        "control is no archive": (build([three[0], ("control.tar.xz", b"x"), three[2]]), "archive-damaged"),
        "data is no control": (build([three[0], ("control.tar.xz", data), three[2]]), "archive-link"),
        "cut": (package.read_bytes()[:-100], "archive-damaged"),
        "goes on": (package.read_bytes() + b"!<arch>\n", "archive-damaged"),
    }


@pytest.mark.parametrize("name", ["no control", "control twice", "other order", "one part more", "another format"])
def test_what_is_no_package_is_refused(package: Path, tmp_path: Path, name: str) -> None:
    _is_refused(package, tmp_path, name)


@pytest.mark.parametrize(
    "name", ["a path as a part", "zstd", "control is no archive", "data is no control", "cut", "goes on"]
)
def test_a_package_with_a_trap_is_refused(package: Path, tmp_path: Path, name: str) -> None:
    _is_refused(package, tmp_path, name)


def _is_refused(package: Path, tmp_path: Path, name: str) -> None:
    content, code = bad_packages(package)[name]
    (tmp_path / "bad.deb").write_bytes(content)

    with pytest.raises(Refused) as caught:
        inspect_build(tmp_path / "bad.deb")

    assert (caught.value.code, caught.value.fields["file"]) == (code, "bad.deb")


@needs_osslsigncode
@given(st.integers(64, 5000), st.binary(min_size=1, max_size=8))
@settings(max_examples=25, deadline=None)
def test_whatever_becomes_of_a_signed_program_something_is_told(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: bytes
) -> None:
    content = bytearray((SIGNED / "signed.exe").read_bytes())
    content[at : at + len(value)] = value
    path = tmp_path_factory.getbasetemp() / "mutated.exe"
    path.write_bytes(content)

    assert authenticode(path, AUTHORITY).state in set(SignatureState)
