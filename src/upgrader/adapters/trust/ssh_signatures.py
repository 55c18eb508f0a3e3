"""OpenSSH signatures: made and verified by ssh-keygen, so that passphrases, agents and FIDO keys all work.

ssh-keygen says whether a signature is right; its exit code alone counts. What it does not look at, we do first: that
there is one armoured block and nothing else, every field of it (PROTOCOL.sshsig), the kind of key, the touch of a FIDO
key, and whether the key is one of that person's and counts at that time.
"""

import base64
import binascii
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Self, cast

from upgrader.domain.approval.claim import Claim
from upgrader.domain.approval.record import Namespace
from upgrader.domain.approval.trust import Proof
from upgrader.domain.errors import PreflightFailed, Refused
from upgrader.domain.names import PersonId

BEGIN = b"-----BEGIN SSH SIGNATURE-----\n"
END = b"-----END SSH SIGNATURE-----\n"
LINE = 70
LARGEST_SIGNATURE = 16 * 1024
SMALLEST_RSA = 3072
USER_PRESENT, USER_VERIFIED = 0x01, 0x04

# Which kinds of signature each kind of key may make.
SIGNATURES: Mapping[str, frozenset[str]] = {
    "ssh-ed25519": frozenset({"ssh-ed25519"}),
    "ecdsa-sha2-nistp256": frozenset({"ecdsa-sha2-nistp256"}),
    "ecdsa-sha2-nistp384": frozenset({"ecdsa-sha2-nistp384"}),
    "ecdsa-sha2-nistp521": frozenset({"ecdsa-sha2-nistp521"}),
    "sk-ssh-ed25519@openssh.com": frozenset({"sk-ssh-ed25519@openssh.com"}),
    "sk-ecdsa-sha2-nistp256@openssh.com": frozenset({"sk-ecdsa-sha2-nistp256@openssh.com"}),
    "ssh-rsa": frozenset({"rsa-sha2-256", "rsa-sha2-512"}),
}
HASHES = frozenset({"sha256", "sha512"})

VERIFY_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "HOME": "/nonexistent"}
VERIFY_SECONDS = 30
NOISE = b"Signing data on standard input"

Prove = Callable[[Claim, str], None]  # raises Refused unless this public key made the signature of the claim


def sign(content: bytes, namespace: Namespace, key: Path) -> bytes:
    """Sign with a private key, or with the public half of a key that an agent holds. Gives the armoured signature.

    ssh-keygen may ask on the terminal for a passphrase, a PIN or a touch. Raises PreflightFailed when it can't sign,
    Refused when this kind of key would not be accepted.
    """
    command = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", namespace.value]
    try:
        with tempfile.TemporaryFile() as document:
            document.write(content)
            document.seek(0)
            signature, told, code = _run_and_pass_on(command, document.fileno())
    except OSError as error:
        raise PreflightFailed("signing-failed", key=key, reason=f"ssh-keygen: {error.strerror}") from error
    if code != 0:
        raise PreflightFailed("signing-failed", key=key, reason=told or f"ssh-keygen ended with {code}")
    _check_key_kind(_Signature.parse(signature, key.name), key.name, person="-")
    return signature


def verify(claim: Claim, at: datetime, prove: Prove | None = None) -> str:
    """Give the fingerprint of the key with which the claim's principal signed exactly its content, or raise Refused.

    `prove` may stand in for the last step alone; whether a key counts at that time is looked at here, every time.

    1. is there one, and nothing else?   2. is every field as it should be?   3. is the key one of theirs, valid `at`?
    4. ssh-keygen
    """
    file, person = claim.file, claim.principal
    if not claim.signature:
        raise Refused("signature-missing", file=file, person=person)
    parsed = _Signature.parse(claim.signature, file)
    if parsed.namespace != claim.namespace.value:
        reason = f"made for {parsed.namespace}, not {claim.namespace}"
        raise Refused("signature-invalid", file=file, person=person, reason=reason)
    _check_key_kind(parsed, file, person)
    _check_key_is_theirs(parsed, claim, at)
    _check_proof(parsed, claim)
    (prove or prove_with_ssh_keygen)(claim, parsed.public)
    return parsed.fingerprint


def fingerprint(public: str) -> str:
    """The fingerprint of a public key as `ssh-keygen -l` shows it: `SHA256:…`."""
    return _fingerprint(public_blob(public))


def public_key(path: Path) -> str:
    """The public key `ssh-ed25519 AAAA…`, without comment, that belongs to a private key file (or is itself one)."""
    half = path if path.suffix == ".pub" else path.with_name(path.name + ".pub")
    try:
        text = half.read_text("utf-8")
        kind, encoded = text.split()[:2]
        public = f"{kind} {encoded}"
        public_blob(public)
    except (OSError, ValueError, Refused) as error:
        raise PreflightFailed("key-unreadable", file=half, reason=error) from error
    return public


def public_blob(public: str) -> bytes:
    """The bytes that a public key stands for; two texts with the same bytes are the same key. Raises Refused."""
    try:
        kind, encoded = public.split()[:2]
        blob = base64.b64decode(encoded, validate=True)
        if _Fields(blob).text() != kind:
            raise ValueError("the kind before the key is not the kind in the key")
    except (ValueError, binascii.Error) as error:
        raise Refused("key-malformed", key=public[:80], reason=error) from error
    return blob


class _Fields:
    """Reads the SSH wire format (RFC 4251, section 5). Raises ValueError when the bytes end too early."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def take(self, length: int) -> bytes:
        if length > len(self._rest):
            raise ValueError("it ends in the middle of a field")
        taken, self._rest = self._rest[:length], self._rest[length:]
        return taken

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def text(self) -> str:
        return self.string().decode("ascii")

    def end(self) -> None:
        if self._rest:
            raise ValueError("bytes after the last field")


@dataclass(frozen=True, slots=True)
class _Signature:
    """The fields of a detached signature (PROTOCOL.sshsig), and of the raw signature in it."""

    key: bytes
    kind: str
    bits: int
    namespace: str
    signature_kind: str
    flags: int

    @classmethod
    def parse(cls, armoured: bytes, file: str) -> Self:
        """Read the one armoured block. Any other spelling than that of ssh-keygen raises Refused."""
        try:
            return cls._read(_dearmour(armoured))
        except (ValueError, binascii.Error) as error:
            raise Refused("signature-malformed", file=file, reason=error) from error

    @classmethod
    def _read(cls, content: bytes) -> Self:
        fields = _Fields(content)
        if fields.take(6) != b"SSHSIG" or fields.number() != 1:
            raise ValueError("not an SSH signature of version 1")
        key, namespace = fields.string(), fields.text()
        if fields.string():
            raise ValueError("the reserved field is not empty")
        if (hashed := fields.text()) not in HASHES:
            raise ValueError(f"the hash {hashed[:20]!r}")
        kind, bits = _read_key(key)
        signature_kind, flags = _read_raw(fields.string(), kind)
        fields.end()
        return cls(key, kind, bits, namespace, signature_kind, flags)

    @property
    def fingerprint(self) -> str:
        return _fingerprint(self.key)

    @property
    def public(self) -> str:
        return f"{self.kind} {base64.b64encode(self.key).decode()}"

    @property
    def is_from_token(self) -> bool:
        return self.kind.startswith("sk-")


def _dearmour(armoured: bytes) -> bytes:
    if len(armoured) > LARGEST_SIGNATURE:
        raise ValueError("larger than any signature")
    if not (armoured.startswith(BEGIN) and armoured.endswith(END)):
        raise ValueError("not one armoured block and nothing else")
    encoded = armoured[len(BEGIN) : -len(END)]
    content = base64.b64decode(encoded.replace(b"\n", b""), validate=True)
    if _armour(content) != armoured:
        raise ValueError("not armoured as ssh-keygen does it")
    return content


def _armour(content: bytes) -> bytes:
    encoded = base64.b64encode(content)
    lines = [encoded[start : start + LINE] + b"\n" for start in range(0, len(encoded), LINE)]
    return BEGIN + b"".join(lines) + END


def _read_key(content: bytes) -> tuple[str, int]:
    """The kind of a public key, and its length in bits when that depends on the key (RSA)."""
    fields, bits = _Fields(content), 0
    kind = fields.text()
    if kind == "ssh-rsa":
        fields.string()  # the exponent
        bits = int.from_bytes(fields.string(), "big").bit_length()
    return kind, bits


def _read_raw(content: bytes, key_kind: str) -> tuple[str, int]:
    """The kind of a raw signature, and its flags when a FIDO token made it (PROTOCOL.u2f)."""
    fields, flags = _Fields(content), 0
    kind = fields.text()
    fields.string()
    if key_kind.startswith("sk-"):
        flags = fields.take(1)[0]
        fields.number()  # the token's counter
    fields.end()
    return kind, flags


def _check_key_kind(signature: _Signature, file: str, person: str) -> None:
    fields = {"file": file, "person": person, "key": signature.fingerprint}
    if signature.signature_kind not in SIGNATURES.get(signature.kind, frozenset()):
        found = f"{signature.kind[:60]} with {signature.signature_kind[:60]}"
        raise Refused("key-type-not-allowed", **fields, found=found)
    if signature.kind == "ssh-rsa" and signature.bits < SMALLEST_RSA:
        found = f"ssh-rsa with {signature.bits} bits, below {SMALLEST_RSA}"
        raise Refused("key-type-not-allowed", **fields, found=found)
    if signature.is_from_token and not signature.flags & USER_PRESENT:
        raise Refused("key-not-touched", **fields)


def _check_proof(signature: _Signature, claim: Claim) -> None:
    """Where the role asks for a token, the key is one, and its flags say what it asks for (PROTOCOL.u2f)."""
    fields = {"file": claim.file, "person": claim.principal, "key": signature.fingerprint}
    if claim.proof is not None and not signature.is_from_token:
        raise Refused("key-without-token", **fields, expected=claim.proof)
    if claim.proof is Proof.PIN and not signature.flags & USER_VERIFIED:
        raise Refused("key-without-pin", **fields)


def _check_key_is_theirs(signature: _Signature, claim: Claim, at: datetime) -> None:
    theirs = [key for key in claim.keys if public_blob(key if isinstance(key, str) else key.public) == signature.key]
    fields = {"file": claim.file, "person": claim.principal, "key": signature.fingerprint}
    if not theirs:
        raise Refused("key-not-known", **fields)
    if not all(isinstance(key, str) or key.is_valid(at) for key in theirs):
        raise Refused("key-not-valid", **fields, at=at)


def prove_with_ssh_keygen(claim: Claim, public: str) -> None:
    """Let ssh-keygen say whether the key `public` made this signature. Raises Refused `signature-invalid`.

    It reads allowed signers, signature and content from memory: nothing of them is written to a disk.
    """
    person = PersonId(claim.principal)
    signers = f'{person} namespaces="{claim.namespace.value}" {public}\n'.encode("ascii")
    with _in_memory(signers) as allowed, _in_memory(claim.signature) as detached, _in_memory(claim.content) as content:
        command = ["ssh-keygen", "-Y", "verify", "-f", f"/dev/fd/{allowed}", "-I", person]
        command += ["-n", claim.namespace.value, "-s", f"/dev/fd/{detached}"]
        try:
            ended = subprocess.run(
                command,
                stdin=content,
                capture_output=True,
                check=False,
                env=VERIFY_ENVIRONMENT,
                cwd="/",
                timeout=VERIFY_SECONDS,
                pass_fds=(allowed, detached),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PreflightFailed("ssh-keygen-not-run", reason=error) from error
    if ended.returncode != 0:
        reason = (ended.stderr or ended.stdout).decode(errors="replace").strip().splitlines()
        raise Refused("signature-invalid", file=claim.file, person=person, reason=reason[0][:200] if reason else "-")


@contextmanager
def _in_memory(content: bytes) -> Iterator[int]:
    """A file of the kernel's that only this process and those that it starts can read; at its beginning."""
    descriptor = os.memfd_create("upgrader-verify")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _run_and_pass_on(command: list[str], document: int) -> tuple[bytes, str, int]:
    """Run ssh-keygen for a person: what it says goes on to them at once, save one line that only confuses."""
    with subprocess.Popen(
        command, stdin=document, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"LC_ALL": "C"}
    ) as process:
        told = ""
        for line in cast(IO[bytes], process.stderr):
            if not line.startswith(NOISE):
                told = line.decode(errors="replace").strip() or told
                sys.stderr.write(line.decode(errors="replace"))
                sys.stderr.flush()
        signature = cast(IO[bytes], process.stdout).read()
    return signature, told, process.returncode


def _fingerprint(blob: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
