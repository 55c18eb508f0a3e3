"""Signatures with a memory: what ssh-keygen has found right once is not computed again.

Only that fact is kept: this key made this signature over these bytes, for this meaning, in this person's name. Whether
the key is one of theirs and counts at some time is decided anew each time, outside of this memory. An entry is a file
whose name is the fact and whose content is a MAC of it under a key of this state folder, so that files from elsewhere
mean nothing here. Everything may be deleted at any time; what can't be read or written is simply not remembered.
"""

import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path

from upgrader.adapters.trust import ssh_signatures
from upgrader.domain.approval.claim import Claim
from upgrader.domain.approval.record import Namespace
from upgrader.domain.approval.trust import Key

FORMAT = "upgrader.verified/1"
KEY_FILE = "key"
KEY_BYTES = 32
LARGEST_ENTRY = 128
FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class VerifiedSignatures:
    """Signs and verifies with ssh-keygen; remembers below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sign(self, content: bytes, namespace: Namespace, key: Path) -> bytes:
        return ssh_signatures.sign(content, namespace, key)

    def verify(self, claim: Claim, at: datetime) -> str:
        """Give the fingerprint of the key that signed, or raise Refused; as `ssh_signatures.verify` does."""
        return ssh_signatures.verify(claim, at, self._prove)

    def public_key(self, key: Path) -> str:
        return ssh_signatures.public_key(key)

    def fingerprint(self, public: str) -> str:
        return ssh_signatures.fingerprint(public)

    def _prove(self, claim: Claim, public: str) -> None:
        fact = fact_of(claim, public)
        if not self._is_known(fact):
            ssh_signatures.prove_with_ssh_keygen(claim, public)
            self._remember(fact)

    def _is_known(self, fact: str) -> bool:
        kept = _read_guarded(self._path(fact), LARGEST_ENTRY)
        return bool(kept and self._key) and hmac.compare_digest(kept, self._mac(fact))

    def _remember(self, fact: str) -> None:
        if self._key:
            with suppress(OSError):
                _write(self._path(fact), self._mac(fact))

    def _path(self, fact: str) -> Path:
        return self._folder / fact[:2] / fact

    def _mac(self, fact: str) -> bytes:
        return hmac.digest(self._key, fact.encode("ascii"), "sha256")

    @cached_property
    def _key(self) -> bytes:
        """The key of this memory, made on first use; empty where there can be none, and then nothing is remembered."""
        path = self._folder / KEY_FILE
        kept = _read_guarded(path, KEY_BYTES)
        if len(kept) != KEY_BYTES:
            with suppress(OSError):
                _write(path, secrets.token_bytes(KEY_BYTES))
            kept = _read_guarded(path, KEY_BYTES)  # two may make one at once; what the loser writes then means nothing
        return kept if len(kept) == KEY_BYTES else b""


def fact_of(claim: Claim, public: str) -> str:
    """The name of a fact: SHA-256 over all that it speaks of, and over the set of keys that it was asked under."""
    lines = (
        FORMAT,
        claim.namespace.value,
        claim.principal,
        public,
        *sorted(_spelled(key) for key in claim.keys),
        hashlib.sha256(claim.content).hexdigest(),
        hashlib.sha256(claim.signature).hexdigest(),
    )
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()


def _spelled(key: Key | str) -> str:
    if isinstance(key, str):
        return key
    return f"{key.public} {key.valid_from.isoformat()} {key.valid_until.isoformat()} {key.revoked}"


def _read_guarded(path: Path, most: int) -> bytes:
    """A file that nobody but us or root may read or write; empty for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        found = os.fstat(descriptor)
        ours = stat.S_ISREG(found.st_mode) and found.st_uid in (0, os.geteuid())
        return os.read(descriptor, most + 1) if ours and not found.st_mode & FOR_OTHERS else b""
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes) -> None:
    """Put a file there whole or not at all, for our eyes alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, fresh = tempfile.mkstemp(dir=path.parent, prefix=".incoming-")  # mode 0600
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(fresh).replace(path)
