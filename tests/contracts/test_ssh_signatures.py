"""Signatures: what ssh-keygen made counts for one meaning, by one person; everything else has a refusal of its own."""

import base64
import os
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from fido import Token
from upgrader.adapters.trust import ssh_signatures
from upgrader.adapters.trust.ssh_signatures import fingerprint, public_key, sign
from upgrader.domain.approval.claim import Claim
from upgrader.domain.approval.record import Namespace
from upgrader.domain.approval.trust import Key, Proof
from upgrader.domain.errors import PreflightFailed, Refused

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
DAY = timedelta(days=1)
RECORD = b'{\n  "decision": "approve"\n}\n'
APPROVAL = Namespace.APPROVAL


def make_key(path: Path, kind: str = "ed25519", *options: str) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *options, "-N", "", "-C", "li.na at work", "-f", path], check=True)
    return path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder / name) for name in ("li.na", "zhang.min")}


@pytest.fixture
def li_na(keys: dict[str, Path]) -> Key:
    return Key(public=public_key(keys["li.na"]), valid_from=NOW - DAY, valid_until=NOW + DAY)


@pytest.fixture
def signature(keys: dict[str, Path]) -> bytes:
    return sign(RECORD, APPROVAL, keys["li.na"])


def verify(
    content: bytes,
    signature: bytes | None,
    namespace: Namespace,
    principal: str,
    keys: Sequence[Key | str],
    at: datetime,
    file: str = "-",
) -> str:
    claim = Claim(
        content=content,
        signature=signature or b"",
        namespace=namespace,
        principal=principal,
        keys=tuple(keys),
        file=file,
    )
    return ssh_signatures.verify(claim, at)


def claim_of(signature: bytes, public: str, proof: Proof | None) -> Claim:
    return Claim(
        content=RECORD, signature=signature, namespace=APPROVAL, principal="li.na", keys=(public,), proof=proof
    )


def refusal(action: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as refused:
        action()
    return refused.value


def test_what_a_person_signed_is_theirs(keys: dict[str, Path], li_na: Key, signature: bytes) -> None:
    found = verify(RECORD, signature, APPROVAL, "li.na", [li_na], NOW)

    listed = subprocess.run(["ssh-keygen", "-l", "-f", keys["li.na"]], capture_output=True, text=True, check=True)
    assert found == fingerprint(li_na.public) == listed.stdout.split()[1]


@pytest.mark.parametrize(
    ("kind", "options"), [("ecdsa", ("-b", "256")), ("ecdsa", ("-b", "521")), ("rsa", ("-b", "3072"))]
)
def test_other_good_kinds_of_key_count_too(tmp_path: Path, kind: str, options: tuple[str, ...]) -> None:
    key = make_key(tmp_path / "key", kind, *options)

    assert verify(RECORD, sign(RECORD, APPROVAL, key), APPROVAL, "li.na", [public_key(key)], NOW)


def test_a_key_that_only_an_agent_holds_can_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    key = make_key(tmp_path / "key")
    socket = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    request.addfinalizer(agent.wait)
    request.addfinalizer(agent.kill)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    for _ in range(100):
        if subprocess.run(["ssh-add", "-q", key], capture_output=True, check=False).returncode == 0:
            break
    key.unlink()

    signature = sign(RECORD, APPROVAL, key.with_suffix(".pub"))

    assert verify(RECORD, signature, APPROVAL, "li.na", [public_key(key)], NOW)


def test_a_passphrase_is_asked_for_by_ssh_keygen_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key(tmp_path / "key")
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret words", "-f", key], check=True)
    asker = tmp_path / "ask"
    asker.write_text("#!/bin/sh\necho 'secret words'\n")
    asker.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(asker))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")

    assert verify(RECORD, sign(RECORD, APPROVAL, key), APPROVAL, "li.na", [public_key(key)], NOW)


def test_a_key_that_is_not_there_cannot_sign(tmp_path: Path) -> None:
    with pytest.raises(PreflightFailed, match="signing-failed") as failed:
        sign(RECORD, APPROVAL, tmp_path / "absent")

    assert "No such file" in failed.value.fields["reason"]


def test_signing_tells_people_nothing_that_confuses(keys: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    sign(RECORD, APPROVAL, keys["li.na"])

    assert capsys.readouterr() == ("", "")


def test_other_bytes_are_not_what_was_signed(li_na: Key, signature: bytes) -> None:
    error = refusal(lambda: verify(RECORD + b"\n", signature, APPROVAL, "li.na", [li_na], NOW, file="a.json.sig"))

    assert error.code == "signature-invalid"
    assert (error.fields["file"], error.fields["person"]) == ("a.json.sig", "li.na")


def test_a_signature_counts_for_its_own_meaning_only(li_na: Key, signature: bytes) -> None:
    error = refusal(lambda: verify(RECORD, signature, Namespace.ACCEPTANCE, "li.na", [li_na], NOW))

    assert error.code == "signature-invalid"
    assert "made for approval@upgrader.v1" in error.fields["reason"]


def test_another_persons_key_is_not_known(keys: dict[str, Path], li_na: Key) -> None:
    signature = sign(RECORD, APPROVAL, keys["zhang.min"])

    assert refusal(lambda: verify(RECORD, signature, APPROVAL, "li.na", [li_na], NOW)).code == "key-not-known"
    assert refusal(lambda: verify(RECORD, signature, APPROVAL, "li.na", [], NOW)).code == "key-not-known"


@pytest.mark.parametrize(
    ("begins", "ends", "revoked"),
    [(-2 * DAY, -DAY, None), (DAY, 2 * DAY, None), (-DAY, DAY, -DAY / 2), (-DAY, timedelta(0), None)],
    ids=["expired", "not yet valid", "revoked", "ends this very second"],
)
def test_a_key_counts_only_in_its_time(
    li_na: Key, signature: bytes, begins: timedelta, ends: timedelta, revoked: timedelta | None
) -> None:
    key = Key(
        public=li_na.public,
        valid_from=NOW + begins,
        valid_until=NOW + ends,
        revoked=None if revoked is None else NOW + revoked,
    )

    assert refusal(lambda: verify(RECORD, signature, APPROVAL, "li.na", [key], NOW)).code == "key-not-valid"


def test_a_key_listed_twice_and_revoked_once_is_revoked(li_na: Key, signature: bytes) -> None:
    revoked = Key(public=li_na.public, valid_from=NOW - DAY, valid_until=NOW + DAY, revoked=NOW - DAY)

    assert refusal(lambda: verify(RECORD, signature, APPROVAL, "li.na", [li_na, revoked], NOW)).code == "key-not-valid"


@pytest.mark.parametrize("missing", [None, b""])
def test_no_signature_is_missing(li_na: Key, missing: bytes | None) -> None:
    assert refusal(lambda: verify(RECORD, missing, APPROVAL, "li.na", [li_na], NOW)).code == "signature-missing"


def unarmoured(armoured: bytes) -> bytes:
    return base64.b64decode(b"".join(armoured.splitlines()[1:-1]))


def armoured_again(content: bytes) -> bytes:
    encoded = base64.encodebytes(content).replace(b"\n", b"")
    lines = [encoded[start : start + 70] for start in range(0, len(encoded), 70)]
    return b"\n".join([b"-----BEGIN SSH SIGNATURE-----", *lines, b"-----END SSH SIGNATURE-----", b""])


MALFORMED: dict[str, Callable[[bytes], bytes]] = {
    "text after": lambda good: good + b"approved by all\n",
    "text before": lambda good: b"\n" + good,
    "two blocks": lambda good: good + good,
    "no last line feed": lambda good: good[:-1],
    "CRLF": lambda good: good.replace(b"\n", b"\r\n"),
    "lines of another length": lambda good: good.replace(b"\n", b"", 2).replace(b"-----U", b"-----\nU", 1),
    "space in the base64": lambda good: good.replace(b"U1NI", b"U1 NI", 1),
    "not base64": lambda good: good.replace(b"U1NI", b"U1*I", 1),
    "another magic": lambda good: armoured_again(b"SSHSIX" + unarmoured(good)[6:]),
    "another version": lambda good: armoured_again(unarmoured(good).replace(b"SIG\0\0\0\1", b"SIG\0\0\0\2", 1)),
    "bytes after the last field": lambda good: armoured_again(unarmoured(good) + b"\0"),
    "cut short": lambda good: armoured_again(unarmoured(good)[:-1]),
    "another hash": lambda good: armoured_again(unarmoured(good).replace(b"sha512", b"sha384", 1)),
    "reserved field filled": lambda good: armoured_again(
        unarmoured(good).replace(b"v1\0\0\0\0\0\0\0\6sha", b"v1\0\0\0\1x\0\0\0\6sha", 1)
    ),
    "far too large": lambda good: armoured_again(unarmoured(good) + bytes(64 * 1024)),
    "nothing of the kind": lambda good: b"yes\n",
}


@pytest.mark.parametrize("spoil", MALFORMED.values(), ids=MALFORMED)
def test_only_the_one_spelling_of_a_signature_is_read(
    li_na: Key, signature: bytes, spoil: Callable[[bytes], bytes]
) -> None:
    assert armoured_again(unarmoured(signature)) == signature
    assert spoil(signature) != signature

    error = refusal(lambda: verify(RECORD, spoil(signature), APPROVAL, "li.na", [li_na], NOW, file="a.json.sig"))

    assert error.code == "signature-malformed"
    assert error.fields["file"] == "a.json.sig"


def test_wherever_one_bit_of_a_signature_flips_it_is_refused(li_na: Key, signature: bytes) -> None:
    content = unarmoured(signature)
    for place in range(0, len(content), 5):
        flipped = bytearray(content)
        flipped[place] ^= 0x01

        refusal(partial(verify, RECORD, armoured_again(bytes(flipped)), APPROVAL, "li.na", [li_na], NOW))


@pytest.mark.parametrize("bits", ["2048", "3071"])
def test_rsa_below_3072_bits_is_not_allowed(tmp_path: Path, bits: str) -> None:
    key = make_key(tmp_path / "key", "rsa", "-b", bits)
    made = subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-f", key, "-n", APPROVAL], input=RECORD, capture_output=True, check=True
    )

    error = refusal(lambda: verify(RECORD, made.stdout, APPROVAL, "li.na", [public_key(key)], NOW))
    assert error.code == "key-type-not-allowed"
    assert refusal(lambda: sign(RECORD, APPROVAL, key)).code == "key-type-not-allowed", "told when signing, not later"


def test_a_certificate_in_the_place_of_a_key_is_not_allowed(tmp_path: Path, keys: dict[str, Path]) -> None:
    key = make_key(tmp_path / "key")
    command: list[str | Path] = [
        "ssh-keygen",
        "-q",
        "-s",
        keys["zhang.min"],
        "-I",
        "li.na",
        "-n",
        "li.na",
        key.with_suffix(".pub"),
    ]
    subprocess.run(command, check=True)
    made = subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-f", tmp_path / "key-cert.pub", "-n", APPROVAL],
        input=RECORD,
        capture_output=True,
        check=True,
    )

    error = refusal(lambda: verify(RECORD, made.stdout, APPROVAL, "li.na", [public_key(keys["zhang.min"])], NOW))

    assert error.code in ("key-type-not-allowed", "key-not-known")


def test_a_token_that_was_touched_counts() -> None:
    token = Token.new()

    assert verify(RECORD, token.sign(RECORD), APPROVAL, "li.na", [token.public], NOW) == fingerprint(token.public)


def test_a_token_that_nobody_touched_does_not_count() -> None:
    token = Token.new()
    signature = token.sign(RECORD, touched=False)

    assert refusal(lambda: verify(RECORD, signature, APPROVAL, "li.na", [token.public], NOW)).code == "key-not-touched"


@pytest.mark.parametrize(
    "public", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA==", "x y z"]
)
def test_a_malformed_public_key_is_refused(public: str, signature: bytes) -> None:
    assert refusal(lambda: verify(RECORD, signature, APPROVAL, "li.na", [public], NOW)).code == "key-malformed"


def test_nothing_around_us_changes_the_answer(
    li_na: Key, signature: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    liar = tmp_path / "ssh-keygen"
    liar.write_text("#!/bin/sh\nexit 0\n")
    liar.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert refusal(lambda: verify(b"other", signature, APPROVAL, "li.na", [li_na], NOW)).code == "signature-invalid"


def test_without_ssh_keygen_nothing_is_verified(li_na: Key, signature: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_signatures, "VERIFY_ENVIRONMENT", {"PATH": "/nonexistent"})

    with pytest.raises(PreflightFailed, match="ssh-keygen-not-run"):
        verify(RECORD, signature, APPROVAL, "li.na", [li_na], NOW)


def test_the_public_half_is_read_without_its_comment(keys: dict[str, Path], tmp_path: Path) -> None:
    public = public_key(keys["li.na"])

    assert public.split()[0] == "ssh-ed25519"
    assert len(public.split()) == 2
    with pytest.raises(PreflightFailed, match="key-unreadable"):
        public_key(tmp_path / "absent")


@pytest.mark.parametrize(
    ("proof", "pin", "code"),
    [(None, False, ""), (Proof.TOUCH, False, ""), (Proof.PIN, True, ""), (Proof.PIN, False, "key-without-pin")],
)
def test_a_token_shows_what_the_role_asks_for(proof: Proof | None, pin: bool, code: str) -> None:
    token = Token.new()
    claim = claim_of(token.sign(RECORD, pin=pin), token.public, proof)

    if code:
        assert refusal(lambda: ssh_signatures.verify(claim, NOW)).code == code
    else:
        assert ssh_signatures.verify(claim, NOW) == fingerprint(token.public)


def test_where_a_token_is_asked_for_no_other_key_counts(li_na: Key, signature: bytes) -> None:
    claim = claim_of(signature, li_na.public, Proof.TOUCH)

    assert refusal(lambda: ssh_signatures.verify(claim, NOW)).code == "key-without-token"


def test_without_ssh_keygen_nothing_is_signed(
    keys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(PreflightFailed) as caught:
        sign(RECORD, APPROVAL, keys["li.na"])

    assert caught.value.code == "signing-failed"
    assert caught.value.fields["reason"] == "ssh-keygen: No such file or directory"
