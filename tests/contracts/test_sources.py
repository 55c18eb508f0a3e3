"""Drops come whole or not at all: from folders, archives, SFTP and HTTPS servers, over links that break."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

import builders
from contracts.file_servers import (
    ADDRESS,
    BadLink,
    Sshd,
    WebServer,
    free_port,
    make_key,
    running_sshd,
    running_web_server,
)
from upgrader.adapters.builds.vendor_drop import DropPapers, VendorDrop
from upgrader.adapters.sources import Credentials, Quarantine, Source, open_drop, transfer
from upgrader.adapters.sources.sftp import SftpServer
from upgrader.domain.approval.trust import Server, Trust
from upgrader.domain.errors import BadInput, Integrity, PreflightFailed, Refused, UpgraderError
from upgrader.domain.releases.source import read_address

BUILD, NOTES = "exam-scheduling-3.5.10.tar.gz", "RELEASE-NOTES.md"
LARGE = 900_000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def drop_files() -> dict[str, bytes]:
    """The drop as a vendor has it; the build is no archive, since nobody looks into it here."""
    build, notes = os.urandom(LARGE), b"# 3.5.10\n"
    release = f"""\
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
""".encode()
    files = {BUILD: build, NOTES: notes, "release.yml": release}
    listed = "".join(f"{sha256(content)}  {name}\n" for name, content in sorted(files.items()))
    return {**files, "SHA256SUMS": listed.encode(), "SHA256SUMS.sig": b"-----BEGIN SSH SIGNATURE-----\n"}


@dataclass(slots=True)
class Desk:
    """Whoever stages: what they were told, and the papers they were asked about."""

    quarantine: Quarantine
    folder: Path
    trust: Trust = field(default_factory=builders.make_trust)
    told: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    refuse: bool = False

    def progress(self, key: str, fields: Mapping[str, object]) -> None:
        self.told.append(f"{key} {fields.get('file', '')} {fields.get('percent', '')}".strip())

    def vouched(self, papers: DropPapers) -> None:
        self.asked.append(papers.release.name)
        if self.refuse:
            raise Refused("signature-invalid", file="SHA256SUMS.sig")

    def fetch(self, source: Source | str) -> dict[str, bytes]:
        """The files of the drop as they are seen while it is open."""
        wanted = Source(source) if isinstance(source, str) else source
        with open_drop(wanted, self.trust, self.quarantine, self.vouched, self.progress) as folder:
            return {path.name: path.read_bytes() for path in folder.iterdir()}

    def refused(self, source: Source | str, error: type[UpgraderError]) -> UpgraderError:
        with pytest.raises(error) as caught:
            self.fetch(source)
        return caught.value

    def kept(self) -> int:
        """How many bytes of the build have been put away."""
        return sum(path.stat().st_size for path in self.folder.rglob(f"{BUILD}.part"))

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    patient = partial(transfer.Transfer, pauses=(0.0, 0.0))
    monkeypatch.setattr("upgrader.adapters.sources.Transfer", patient)
    return Desk(Quarantine(tmp_path / "state" / "quarantine"), tmp_path / "state" / "quarantine")


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return drop_files()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> Path:
    place = tmp_path_factory.mktemp("vendor") / "lis-3.5.10"
    place.mkdir()
    for name, content in files.items():
        (place / name).write_bytes(content)
    return place


# Folders, media and archives


def test_a_folder_is_read_where_it_lies(desk: Desk, folder: Path, files: dict[str, bytes]) -> None:
    assert desk.fetch(str(folder)) == files
    assert desk.left() == []


@pytest.mark.parametrize("inside", ["", "lis-3.5.10/"])
@pytest.mark.parametrize("name", ["lis.zip", "lis.tar.gz", "lis.tar"])
def test_an_archive_that_holds_the_drop_is_as_good_as_the_drop(
    desk: Desk, tmp_path: Path, files: dict[str, bytes], folder: Path, name: str, inside: str
) -> None:
    path = tmp_path / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as zipped:
            for file in files:
                zipped.write(folder / file, inside + file)
    else:
        with tarfile.open(path, "w:gz" if name.endswith("gz") else "w") as tarred:
            for file in files:
                tarred.add(folder / file, inside + file)

    assert desk.fetch(str(path)) == files
    assert desk.left() == []


def test_an_archive_with_a_trap_leaves_nothing_behind(desk: Desk, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "lis.zip", "w") as zipped:
        zipped.writestr("SHA256SUMS", "x")
        zipped.writestr("../../escaped", "x")

    assert desk.refused(str(tmp_path / "lis.zip"), Refused).code == "archive-name-outside"
    assert desk.left() == []
    assert not list(tmp_path.rglob("escaped"))


def test_a_bare_build_is_told_the_way(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "setup.exe").write_bytes(b"MZ" + bytes(100))

    assert desk.refused(str(tmp_path / "setup.exe"), Refused).code == "source-not-a-drop"


def test_a_copy_that_was_cut_short_is_told_with_its_file_and_sizes(tmp_path: Path, folder: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "stick")
    os.truncate(copy / BUILD, 4096)

    with pytest.raises(Integrity) as caught:
        VendorDrop(copy).read()

    assert (caught.value.code, caught.value.fields) == (
        "drop-file-cut",
        {"file": BUILD, "expected": str(LARGE), "found": "4096"},
    )


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """A file whose bytes the disk does not give any more: this process's own memory, read from zero."""
    if os.geteuid() != 0:
        pytest.skip("NOT CHECKED: to make a file that gives an I/O error takes root")
    done = subprocess.run(
        ["mount", "--bind", f"/proc/{os.getpid()}/mem", str(path)], capture_output=True, timeout=60, check=False
    )
    if done.returncode:
        pytest.skip("NOT CHECKED: nothing may be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True, timeout=60)


@pytest.mark.parametrize("name", [BUILD, "release.yml", "SHA256SUMS"])
def test_a_stick_that_gives_an_input_output_error_is_told_with_its_file(
    tmp_path: Path, folder: Path, name: str
) -> None:
    copy = shutil.copytree(folder, tmp_path / "stick")

    with unreadable(copy / name), pytest.raises(Refused) as caught:
        VendorDrop(copy).read()

    assert (caught.value.code, caught.value.fields) == (
        "drop-unreadable",
        {"file": name, "found": "Input/output error"},
    )


def test_a_stick_that_was_pulled_is_told(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        VendorDrop(tmp_path / "pulled").read()

    assert caught.value.code == "drop-unreadable"


# Addresses


@pytest.mark.parametrize(
    "text",
    [
        "http://files.lanxin.example/lis",
        "ftp://files.lanxin.example/lis",
        "sftp://sftp.lanxin.example/lis",  # nobody is meant
        "sftp://li.na:secret@sftp.lanxin.example/lis",
        "https://files.lanxin.example/lis?token=secret",
        "https://files.lanxin.example/a/../../lis",
        "https://files.lanxin.example:99999/lis",
        "https://files.lanxin.example",
        "sftp://-oProxyCommand=reboot@host/lis",
        "sftp://a@-oProxyCommand/lis",
        "https://host/a b",
        "https://host/a%2e%2e/b",
    ],
)
def test_an_address_that_is_none_is_refused_without_showing_a_password(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_address(text)

    assert caught.value.code == "source-malformed"
    assert ":secret@" not in str(caught.value)


@pytest.mark.parametrize("text", ["sftp://a@h/lis", "sftp://a@h:2222/x/lis.zip", "https://h/lis-4.2.1.tar.gz"])
def test_an_address_is_shown_as_it_was_said(text: str) -> None:
    address = read_address(text)

    assert str(address) == text
    assert address is not None
    assert address.is_archive == text.endswith(("zip", "gz"))


@pytest.mark.parametrize("text", ["/media/usb/lis", "lis.zip", "C:\\drop", "./a:b"])
def test_a_path_is_no_address(text: str) -> None:
    assert read_address(text) is None


# SFTP


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def over_sftp(sshd: Sshd, path: Path, port: int | None = None, kind: str = "ed25519") -> Source:
    return Source(
        f"sftp://{sshd.user}@{ADDRESS}:{port or sshd.port}{path}",
        frozenset({sshd.fingerprints[kind]}),
        Credentials(identity=sshd.client_key),
    )


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_folder_comes_over_sftp(desk: Desk, sshd: Sshd, folder: Path, files: dict[str, bytes], kind: str) -> None:
    assert desk.fetch(over_sftp(sshd, folder, kind=kind)) == files
    assert desk.asked == ["exam-scheduling 3.5.10"]
    assert f"progress.fetching {BUILD} 100" in desk.told
    assert desk.left() == []


def test_an_archive_comes_over_sftp(desk: Desk, sshd: Sshd, folder: Path, files: dict[str, bytes]) -> None:
    packed = Path(shutil.make_archive(str(folder.parent / "packed"), "gztar", folder))

    assert desk.fetch(over_sftp(sshd, packed)) == files


def test_a_cut_transfer_goes_on_where_it_stopped(desk: Desk, sshd: Sshd, folder: Path, files: dict[str, bytes]) -> None:
    papers = [None] * 3
    with BadLink(sshd.port, [*papers, 400_000, None], lambda: desk.kept() > 100_000).open() as link:
        source = over_sftp(sshd, folder, link.port)
        assert desk.fetch(source) == files

        percents = [int(line.split()[-1]) for line in desk.told if line.startswith(f"progress.fetching {BUILD}")]
        assert any(line.startswith("progress.link-broken") for line in desk.told)
        assert percents == sorted(set(percents))  # none came twice: it went on, and did not start again


def test_a_link_that_stays_broken_is_gone_on_with_by_the_next_command(
    desk: Desk, sshd: Sshd, folder: Path, files: dict[str, bytes]
) -> None:
    with BadLink(sshd.port, [None, None, None, 400_000, 0], lambda: desk.kept() > 100_000).open() as link:
        broken = desk.refused(over_sftp(sshd, folder, link.port), PreflightFailed)
        assert broken.code == "source-broken"
        assert int(broken.fields["done"]) > 100_000
        assert f"{BUILD}.part" in desk.left()
        assert BUILD not in desk.left()

        link.budgets = [None]
        desk.told.clear()
        assert desk.fetch(over_sftp(sshd, folder, link.port)) == files
        first = next(line for line in desk.told if line.startswith(f"progress.fetching {BUILD}"))
        assert int(first.split()[-1]) > 20


def test_a_link_that_breaks_while_more_is_asked_for_prints_nothing(
    desk: Desk, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud: list[object] = []
    monkeypatch.setattr(threading, "excepthook", loud.append)
    build = os.urandom(12_000_000)
    (tmp_path / BUILD).write_bytes(build)
    place = tmp_path / "here" / BUILD
    place.parent.mkdir()

    def begun() -> bool:
        part = place.with_name(f"{BUILD}.part")
        return part.exists() and part.stat().st_size > 100_000

    with BadLink(sshd.port, [1_000_000, 9_000_000, None], begun).open() as link:
        address = read_address(f"sftp://{sshd.user}@{ADDRESS}:{link.port}{tmp_path}")
        assert address is not None
        server = SftpServer(address, frozenset({sshd.fingerprints["ed25519"]}), Credentials(identity=sshd.client_key))
        assert transfer.Transfer(server, desk.progress).fetch(BUILD, place, 20_000_000)

    for thread in threading.enumerate():
        if "_prefetch_thread" in thread.name:
            thread.join(60)
    assert place.read_bytes() == build
    assert link.connections == 3
    assert loud == []


def test_parts_that_do_not_fit_together_are_fetched_anew(
    desk: Desk, sshd: Sshd, folder: Path, files: dict[str, bytes]
) -> None:
    with BadLink(sshd.port, [None, None, None, 400_000, 0], lambda: desk.kept() > 100_000).open() as link:
        desk.refused(over_sftp(sshd, folder, link.port), PreflightFailed)
        (part,) = desk.folder.rglob(f"{BUILD}.part")
        content = bytearray(part.read_bytes())
        content[5000] ^= 1
        part.write_bytes(content)
        link.budgets = [None]

        assert desk.fetch(over_sftp(sshd, folder, link.port)) == files


def test_nobody_is_trusted_on_first_use(desk: Desk, sshd: Sshd, folder: Path) -> None:
    with BadLink(sshd.port, [None]).open() as link:
        unsaid = replace(over_sftp(sshd, folder, link.port), host_keys=frozenset())

        assert desk.refused(unsaid, BadInput).code == "host-key-not-said"
        assert link.connections == 0


def test_another_host_key_is_refused_before_anybody_logs_in(
    desk: Desk, sshd: Sshd, folder: Path, tmp_path: Path
) -> None:
    other = replace(over_sftp(sshd, folder), host_keys=frozenset({make_key(tmp_path / "other")}))

    refusal = desk.refused(other, Refused)

    assert refusal.code == "source-host-key-differs"
    assert sshd.fingerprints["ed25519"] in refusal.fields["found"]


def test_the_trust_file_says_which_key_a_server_has(
    desk: Desk, sshd: Sshd, folder: Path, files: dict[str, bytes], tmp_path: Path
) -> None:
    (vendor,) = desk.trust.vendors
    pinned = replace(vendor, servers=(Server(ADDRESS, sshd.port, sshd.fingerprints["ed25519"]),))
    desk.trust = replace(desk.trust, vendors=(pinned,))
    unsaid = replace(over_sftp(sshd, folder), host_keys=frozenset())
    against = replace(unsaid, host_keys=frozenset({make_key(tmp_path / "other")}))

    assert desk.fetch(unsaid) == files
    assert desk.refused(against, BadInput).code == "host-key-against-policy"


@pytest.mark.parametrize("said", ["MD5:aa:bb", "SHA256:short", "ssh-ed25519 AAAA"])
def test_a_fingerprint_that_is_none_is_refused(desk: Desk, sshd: Sshd, folder: Path, said: str) -> None:
    source = replace(over_sftp(sshd, folder), host_keys=frozenset({said}))

    assert desk.refused(source, BadInput).code == "host-key-malformed"


def test_whoever_is_not_let_in_is_told_so(desk: Desk, sshd: Sshd, folder: Path, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    source = replace(over_sftp(sshd, folder), credentials=Credentials(identity=tmp_path / "stranger"))

    assert desk.refused(source, Refused).code == "source-log-in-refused"


def test_a_password_that_others_can_read_is_not_used(desk: Desk, sshd: Sshd, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o644)
    source = replace(over_sftp(sshd, folder), credentials=Credentials(password_file=tmp_path / "password"))

    assert desk.refused(source, BadInput).code == "password-file-open-to-others"


def test_a_server_that_is_not_there_is_told_so(desk: Desk, sshd: Sshd, folder: Path) -> None:
    assert desk.refused(over_sftp(sshd, folder, free_port()), PreflightFailed).code == "source-broken"


def test_a_folder_without_papers_is_told_so(desk: Desk, sshd: Sshd, tmp_path: Path) -> None:
    refusal = desk.refused(over_sftp(sshd, tmp_path), Refused)

    assert (refusal.code, refusal.fields["file"]) == ("source-file-missing", "SHA256SUMS")


def test_nothing_large_is_fetched_that_nobody_vouches_for(desk: Desk, sshd: Sshd, folder: Path) -> None:
    desk.refuse = True

    assert desk.refused(over_sftp(sshd, folder), Refused).code == "signature-invalid"
    assert not any(BUILD in line for line in desk.told)


# HTTPS


@pytest.fixture
def web(tmp_path: Path, files: dict[str, bytes]) -> Iterator[WebServer]:
    place = tmp_path / "web"
    place.mkdir()
    with running_web_server(place) as server:
        server.shelf.files = {f"/lis/{name}": content for name, content in files.items()}
        yield server


def over_https(web: WebServer, path: str = "/lis/") -> Source:
    return Source(f"https://{ADDRESS}:{web.port}{path}", authorities=web.authority)


def ranges(web: WebServer) -> list[str]:
    return [asked for path, asked in web.shelf.asked if path.endswith(BUILD)]


@pytest.mark.parametrize("path", ["/lis/", "/lis"])
def test_a_folder_comes_over_https(desk: Desk, web: WebServer, files: dict[str, bytes], path: str) -> None:
    assert desk.fetch(over_https(web, path)) == files
    assert desk.left() == []


def test_an_archive_comes_over_https(desk: Desk, web: WebServer, folder: Path, files: dict[str, bytes]) -> None:
    packed = Path(shutil.make_archive(str(folder.parent / "web"), "zip", folder))
    web.shelf.files = {"/lis-3.5.10.zip": packed.read_bytes()}
    web.shelf.cuts = [300_000]

    assert desk.fetch(over_https(web, "/lis-3.5.10.zip")) == files
    assert [asked for _, asked in web.shelf.asked] == ["", "bytes=300000-"]


def test_a_cut_answer_goes_on_where_it_stopped(desk: Desk, web: WebServer, files: dict[str, bytes]) -> None:
    web.shelf.cuts = [300_000, 200_000]

    assert desk.fetch(over_https(web)) == files
    assert ranges(web) == ["", "bytes=300000-", "bytes=500000-"]


def test_a_server_that_knows_no_ranges_starts_again(desk: Desk, web: WebServer, files: dict[str, bytes]) -> None:
    web.shelf.cuts, web.shelf.ranges_honoured = [300_000], False

    assert desk.fetch(over_https(web)) == files


def test_a_file_that_was_replaced_meanwhile_is_not_put_together_from_two(
    desk: Desk, web: WebServer, files: dict[str, bytes]
) -> None:
    web.shelf.cuts = [300_000] + [0] * 4
    desk.refused(over_https(web), PreflightFailed)
    web.shelf.tags[f"/lis/{BUILD}"] = '"2"'
    web.shelf.cuts = []

    assert desk.fetch(over_https(web)) == files


def wrong_authority(web: WebServer, tmp_path: Path) -> Source:
    other = tmp_path / "other"
    other.mkdir()
    with running_web_server(other) as stranger:
        return replace(over_https(web), authorities=stranger.authority)


def test_a_certificate_of_another_authority_is_refused(desk: Desk, web: WebServer, tmp_path: Path) -> None:
    assert desk.refused(wrong_authority(web, tmp_path), Refused).code == "source-certificate"
    assert desk.refused(replace(over_https(web), authorities=None), Refused).code == "source-certificate"
    assert web.shelf.asked == []


def test_a_certificate_for_another_name_is_refused(desk: Desk, tmp_path: Path) -> None:
    with running_web_server(tmp_path, name="127.0.83.2") as web:
        assert desk.refused(over_https(web), Refused).code == "source-certificate"
        assert web.shelf.asked == []


def test_a_redirect_on_the_same_server_is_followed(desk: Desk, web: WebServer, files: dict[str, bytes]) -> None:
    web.shelf.redirects = {f"/latest/{name}": f"/lis/{name}" for name in files}

    assert desk.fetch(over_https(web, "/latest/")) == files


@pytest.mark.parametrize(
    "location",
    [
        "https://{address}:1/lis/SHA256SUMS",
        "http://{address}:{port}/lis/SHA256SUMS",
        "https://{address}:{port}@evil.example/x",
        "//evil.example/x",
        "ftp://x/",
        "file:///etc/passwd",
        "https://[/",
        "",
        "/latest/SHA256SUMS",  # for ever
    ],
)
def test_a_redirect_to_elsewhere_is_not_followed(desk: Desk, web: WebServer, location: str) -> None:
    web.shelf.redirects = {"/latest/SHA256SUMS": location.format(address=ADDRESS, port=web.port)}

    assert desk.refused(over_https(web, "/latest/"), Refused).code == "source-redirected"


def test_more_than_was_said_is_not_taken(desk: Desk, web: WebServer) -> None:
    web.shelf.files[f"/lis/{BUILD}"] += b"!"

    assert desk.refused(over_https(web), Refused).code == "source-too-large"


def test_a_list_that_is_too_large_is_not_taken(desk: Desk, web: WebServer) -> None:
    web.shelf.files["/lis/SHA256SUMS"] = bytes(2_000_000)

    assert desk.refused(over_https(web), Refused).code == "source-too-large"
    assert "SHA256SUMS" not in desk.left()


def test_other_bytes_of_the_same_length_are_not_taken(desk: Desk, web: WebServer) -> None:
    web.shelf.files[f"/lis/{BUILD}"] = os.urandom(LARGE)

    assert desk.refused(over_https(web), Integrity).code == "drop-digest-differs"
    assert BUILD not in desk.left()


def test_a_server_that_does_not_say_how_much_comes_is_refused(desk: Desk, web: WebServer) -> None:
    web.shelf.silent_about_size = True

    assert desk.refused(over_https(web), Refused).code == "source-size-not-said"


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (404, Refused, "source-file-missing"),
        (410, Refused, "source-file-missing"),
        (403, Refused, "source-log-in-refused"),
        (503, PreflightFailed, "source-broken"),
    ],
)
def test_an_answer_that_is_none_is_told(
    desk: Desk, web: WebServer, status: int, error: type[UpgraderError], code: str
) -> None:
    web.shelf.status = status

    assert desk.refused(over_https(web), error).code == code


def test_a_password_goes_to_the_server_alone(
    desk: Desk, web: WebServer, files: dict[str, bytes], tmp_path: Path
) -> None:
    web.shelf.password = "Basic bGkubmE6c2VjcmV0"  # li.na:secret
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    source = Source(
        f"https://li.na@{ADDRESS}:{web.port}/lis/",
        credentials=Credentials(password_file=tmp_path / "password"),
        authorities=web.authority,
    )

    assert desk.fetch(source) == files
    assert not any("secret" in line for line in desk.told)
    assert desk.refused(over_https(web), Refused).code == "source-log-in-refused"


def test_a_full_disk_is_told_before_anything_is_fetched(
    desk: Desk, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "LEFT_FREE", 1 << 60)

    assert desk.refused(over_https(web), PreflightFailed).code == "quarantine-full"
