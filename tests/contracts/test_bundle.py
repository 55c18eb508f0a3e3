"""The evidence bundle: whichever byte of it is changed, the check fails and says where."""

import base64
import html
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import pytest

from upgrader.adapters.state.bundle import Bundle, armoured, check_bundle, find_secret, read_bundle, write_bundle
from upgrader.domain.changes.request import Kind
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, Refused
from upgrader.domain.names import ChangeId, PersonId, SiteId, SystemId, Version
from upgrader.domain.papers.evidence import CLOSURE_FORMAT, Closure, Ending, make_statement

CHANGE = "CHG-2026-0142"
FILES: Mapping[str, bytes] = {
    "plan.json": b'{\n  "format": "upgrader.plan/1"\n}\n',
    "request.yml": "reason: 修复重复报警\n".encode(),
    "records/approve_li.na_information-department_0a1b2c3d.json": b"{}\n",
    "journal.jsonl": b"{}\n{}\n",
    "runs/wave-0/upgrade.txt": b"x" * 512,  # fills its block: there is no padding to change
    "empty.txt": b"",
}
CLOSURE = Closure(
    format=CLOSURE_FORMAT,
    site=SiteId("renmin-hospital"),
    repository="renmin-hospital/upgrades",
    change=ChangeId(CHANGE),
    kind=Kind.NORMAL,
    system=SystemId("exam-scheduling"),
    version=Version("3.5.10"),
    plan=Digest.of(FILES["plan.json"]),
    journal=Digest.of(b"{}\n"),
    entries=2,
    ending=Ending.COMPLETED,
    hosts={"upgraded": 3},
    trust_version=1,
    closed=datetime(2026, 11, 25, 8, 30, tzinfo=UTC),
    closed_by=PersonId("zhao.min"),
    upgrader="0.1.0",
)
STATEMENT = make_statement(CLOSURE, {name: Digest.of(content) for name, content in FILES.items()}).to_bytes()


class Seal:
    """A real OpenSSH key, and the check that it signed the statement. What was found right is not asked twice."""

    def __init__(self, folder: Path) -> None:
        self.key, self.signers = folder / "key", folder / "signers"
        _ssh_keygen("-q", "-t", "ed25519", "-N", "", "-C", "seal", "-f", str(self.key))
        public = self.key.with_suffix(".pub").read_text().strip()
        self.signers.write_text(f'sealer namespaces="evidence@upgrader.v1" {public}\n')
        statement = folder / "statement.json"
        statement.write_bytes(STATEMENT)
        _ssh_keygen("-q", "-Y", "sign", "-n", "evidence@upgrader.v1", "-f", str(self.key), str(statement))
        self.signature = statement.with_suffix(".json.sig").read_bytes()
        self.asked = 0

    def check(self, bundle: Bundle) -> None:
        if (bundle.statement_bytes, bundle.signature) == (STATEMENT, self.signature):
            return
        self.asked += 1
        signature = self.key.with_name("found.sig")
        signature.write_bytes(bundle.signature)
        verify = ["-Y", "verify", "-f", str(self.signers), "-I", "sealer", "-n", "evidence@upgrader.v1"]
        told = subprocess.run(
            ["ssh-keygen", *verify, "-s", str(signature)],
            input=bundle.statement_bytes,
            capture_output=True,
            check=False,
        )
        if told.returncode != 0:
            raise Integrity("signature-invalid", file="statement.json.sig")


@pytest.fixture(scope="module")
def seal(tmp_path_factory: pytest.TempPathFactory) -> Seal:
    return Seal(tmp_path_factory.mktemp("seal"))


@pytest.fixture
def bundle(tmp_path: Path, seal: Seal) -> Path:
    path = tmp_path / f"{CHANGE}.evidence.tar"
    write_bundle(path, FILES, STATEMENT, seal.signature, secrets=())
    return path


def test_a_bundle_is_read_back_whole(bundle: Path, seal: Seal) -> None:
    found = check_bundle(bundle, seal.check)

    assert found.files == FILES
    assert found.statement.closure == CLOSURE
    assert (found.statement_bytes, found.signature) == (STATEMENT, seal.signature)


def test_any_tar_can_list_it_and_the_statement_comes_first(bundle: Path) -> None:
    with tarfile.open(bundle) as tar:
        members = tar.getmembers()

    assert [member.name for member in members][:2] == [f"{CHANGE}/statement.json", f"{CHANGE}/statement.json.sig"]
    assert sorted(member.name for member in members[2:]) == sorted(f"{CHANGE}/{name}" for name in FILES)
    assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in members} == {(0, 0, 0, "", 0o644)}


@pytest.mark.skipif(shutil.which("jq") is None, reason="no jq on this machine")
def test_the_commands_that_the_report_prints_check_it_by_hand(bundle: Path, seal: Seal) -> None:
    page = resources.files("upgrader.adapters.report").joinpath("report.html.j2").read_text(encoding="utf-8")
    printed = html.unescape(
        page[page.index("<pre><code>tar ") :].partition("</code></pre>")[0].removeprefix("<pre><code>")
    )
    commands = printed.replace("{{ view.seal.bundle|shell }}", bundle.name).replace("{{ change }}", CHANGE)

    told = subprocess.run(["sh", "-e", "-c", commands], cwd=bundle.parent, capture_output=True, text=True, check=True)

    assert 'Good "evidence@upgrader.v1" signature with ED25519 key SHA256:' in told.stdout
    assert told.stdout.count(": OK") == len(FILES)


def test_the_same_evidence_gives_the_same_bytes(bundle: Path, tmp_path: Path, seal: Seal) -> None:
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(FILES["journal.jsonl"])
    again = tmp_path / "again.tar"

    files: dict[str, bytes | Path] = {name: FILES[name] for name in reversed(list(FILES))}
    digest = write_bundle(again, {**files, "journal.jsonl": journal}, STATEMENT, seal.signature, secrets=())

    assert again.read_bytes() == bundle.read_bytes()
    assert digest == Digest.of(bundle.read_bytes())


@pytest.mark.slow
def test_whichever_byte_is_changed_the_check_fails_and_names_its_member(bundle: Path, seal: Seal) -> None:
    """Every byte of the file in turn; for those inside the seal ssh-keygen itself is asked."""
    whole = bundle.read_bytes()
    owners = _owners(bundle)
    wrongly_named = []

    for offset in range(len(whole)):
        bundle.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x01]) + whole[offset + 1 :])
        with pytest.raises(Integrity) as refusal:
            check_bundle(bundle, seal.check)
        if owners[offset] not in refusal.value.fields["file"]:
            wrongly_named.append((offset, owners[offset], str(refusal.value)))

    assert not wrongly_named
    assert seal.asked > 200


@pytest.mark.slow
@pytest.mark.parametrize("flip", [0x20, 0x80, 0xFF])
def test_other_flips_of_the_seal_and_the_headers_fail_too(bundle: Path, seal: Seal, flip: int) -> None:
    whole = bundle.read_bytes()
    owners = _owners(bundle)

    for offset in range(len(whole)):
        if owners[offset] not in ("statement.json.sig", "plan.json") and offset % 7:
            continue
        bundle.write_bytes(whole[:offset] + bytes([whole[offset] ^ flip]) + whole[offset + 1 :])
        with pytest.raises(Integrity):
            check_bundle(bundle, seal.check)


def test_every_cut_and_everything_appended_is_seen(bundle: Path, seal: Seal) -> None:
    whole = bundle.read_bytes()

    for cut in [*range(0, len(whole), 97), len(whole) - 1]:
        bundle.write_bytes(whole[:cut])
        with pytest.raises(Integrity):
            check_bundle(bundle, seal.check)
    for more in (b"\0", b"x", bytes(512), bytes(10240), whole):
        bundle.write_bytes(whole + more)
        with pytest.raises(Integrity):
            check_bundle(bundle, seal.check)


def test_a_file_that_was_taken_out_put_in_or_put_elsewhere_is_named(bundle: Path, seal: Seal) -> None:
    """The tar is made again as we would make it, so that only the statement can tell."""
    whole = bundle.read_bytes()
    pieces = _pieces(bundle)

    def with_pieces(names: list[str]) -> None:
        body = b"".join(pieces[name] for name in names)
        bundle.write_bytes(body + bytes(1024 + -(len(body) + 1024) % 10240))

    with_pieces(list(pieces))
    assert bundle.read_bytes() == whole

    with_pieces([name for name in pieces if name != "journal.jsonl"])
    with pytest.raises(Integrity, match=r"evidence-missing: file=journal\.jsonl"):
        check_bundle(bundle, seal.check)

    pieces["zzz.txt"] = _piece(f"{CHANGE}/zzz.txt", b"more")
    with_pieces(list(pieces))
    with pytest.raises(Integrity, match=r"evidence-not-listed: file=zzz\.txt"):
        check_bundle(bundle, seal.check)

    del pieces["zzz.txt"]
    with_pieces([*list(pieces)[:2], *reversed(list(pieces)[2:])])
    with pytest.raises(Integrity, match="evidence-damaged"):
        check_bundle(bundle, seal.check)

    pieces["plan.json"] = _piece("CHG-2026-0143/plan.json", FILES["plan.json"])
    with_pieces(list(pieces))
    with pytest.raises(Integrity, match="evidence-damaged"):
        check_bundle(bundle, seal.check)


def test_a_changed_file_with_a_statement_made_to_fit_falls_with_the_seal(tmp_path: Path, seal: Seal) -> None:
    forged = {**FILES, "plan.json": b"another plan\n"}
    statement = make_statement(CLOSURE, {name: Digest.of(content) for name, content in forged.items()}).to_bytes()
    path = tmp_path / "forged.tar"
    write_bundle(path, forged, statement, seal.signature, secrets=())

    with pytest.raises(Integrity, match=r"file=statement\.json\.sig"):
        check_bundle(path, seal.check)


def test_a_changed_file_is_named_with_both_digests(bundle: Path, seal: Seal) -> None:
    whole = bundle.read_bytes()
    bundle.write_bytes(whole.replace("修复".encode(), "新增".encode()))

    with pytest.raises(Integrity) as refusal:
        check_bundle(bundle, seal.check)

    assert refusal.value.code == "evidence-changed"
    assert refusal.value.fields["file"] == "request.yml"
    assert refusal.value.fields["expected"] == Digest.of(FILES["request.yml"]).hex


def test_another_spelling_of_the_same_signature_is_not_the_same_bundle(tmp_path: Path, seal: Seal) -> None:
    lines = seal.signature.decode().split("\n")
    rewrapped = "\n".join([lines[0], "".join(lines[1:-2]), *lines[-2:]]).encode()
    assert armoured(base64.b64decode("".join(lines[1:-2]))) == seal.signature

    for other in (rewrapped, seal.signature + b"\n", seal.signature.replace(b"\n", b"\r\n"), b"", seal.signature * 2):
        with pytest.raises(Integrity, match="evidence-seal-malformed"):
            write_bundle(tmp_path / "x.tar", FILES, STATEMENT, other, secrets=())


def test_a_bundle_that_the_statement_does_not_cover_is_not_written(tmp_path: Path, seal: Seal) -> None:
    path = tmp_path / "x.tar"

    for files in ({}, {**FILES, "more.txt": b""}, {**FILES, "plan.json": b""}):
        with pytest.raises(Integrity):
            write_bundle(path, files, STATEMENT, seal.signature, secrets=())

    assert not path.exists()


def test_a_secret_keeps_the_bundle_from_being_written(tmp_path: Path, seal: Seal) -> None:
    files = {**FILES, "runs/wave-0/upgrade.txt": b"login: nurse / Herz&Blut-7\n"}
    path = tmp_path / "x.tar"

    with pytest.raises(Refused) as refusal:
        write_bundle(path, files, STATEMENT, seal.signature, secrets=["Herz&Blut-7"])

    assert refusal.value.fields["file"] == "runs/wave-0/upgrade.txt"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        '密码 p"ss/wörd&7!'.encode(),
        b'{"password": "p\\"ss/w\\u00f6rd&7!"}',
        '{"password": "p\\"ss/wörd&7!"}'.encode(),
        "<td>p&quot;ss/wörd&amp;7!</td>".encode(),
        b"https://host/?p=p%22ss%2Fw%C3%B6rd%267%21&x=1",
        *(b"Authorization: Basic " + base64.b64encode(b"u" * n + 'p"ss/wörd&7!tail'.encode()) for n in range(4)),
    ],
)
def test_a_secret_is_found_in_its_usual_disguises(content: bytes) -> None:
    secret = 'p"ss/wörd&7!'

    assert find_secret({"a.txt": b"nothing", "b.txt": b"before " + content + b" after"}, [secret]) == "b.txt"
    assert find_secret({"a.txt": b"nothing"}, [secret]) is None


@pytest.mark.parametrize("secret", ["", "abc"])
def test_a_secret_too_short_to_look_for_is_an_error(secret: str) -> None:
    with pytest.raises(ValueError, match="can't be looked for"):
        find_secret({"a.txt": b"abc"}, [secret])


def test_what_is_no_bundle_is_refused(tmp_path: Path, seal: Seal) -> None:
    path = tmp_path / "x.tar"

    with pytest.raises(Integrity, match="evidence-unreadable"):
        read_bundle(path)
    for content in (b"", bytes(10240), b"PK\x03\x04" * 300, STATEMENT):
        path.write_bytes(content)
        with pytest.raises(Integrity):
            check_bundle(path, seal.check)


def _owners(bundle: Path) -> list[str]:
    """To which member each byte belongs: its header, content and padding; the end belongs to the file."""
    owners = []
    for name, piece in _pieces(bundle).items():
        owners += [name] * len(piece)
    return owners + [bundle.name] * (len(bundle.read_bytes()) - len(owners))


def _pieces(bundle: Path) -> dict[str, bytes]:
    whole = bundle.read_bytes()
    with tarfile.open(bundle) as tar:
        members = tar.getmembers()
    ends = [*(member.offset for member in members[1:]), members[-1].offset_data + 512 * (-(-members[-1].size // 512))]
    return {m.name.removeprefix(f"{CHANGE}/"): whole[m.offset : end] for m, end in zip(members, ends, strict=True)}


def _piece(name: str, content: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


def _ssh_keygen(*arguments: str) -> None:
    subprocess.run(["ssh-keygen", *arguments], check=True, capture_output=True)


def test_a_bundle_that_nobody_could_read_again_is_not_written(
    tmp_path: Path, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("upgrader.adapters.state.bundle.LARGEST_BUNDLE", 1000)

    with pytest.raises(Refused) as caught:
        write_bundle(tmp_path / "a.tar", FILES, STATEMENT, seal.signature, secrets=())

    assert caught.value.code == "evidence-too-large"
    assert list(tmp_path.iterdir()) == []
