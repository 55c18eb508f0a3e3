"""A FIDO token in software: signs as a real one does (OpenSSH PROTOCOL.u2f), with or without a touch and a PIN.

ssh-keygen verifies what it answers as it verifies any other token's.
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from upgrader.domain.approval.record import Namespace

KIND, APPLICATION = b"sk-ssh-ed25519@openssh.com", b"ssh:"
TOUCHED, VERIFIED = 0x01, 0x04


@dataclass(frozen=True, slots=True)
class Token:
    secret: Ed25519PrivateKey

    @classmethod
    def new(cls) -> Self:
        return cls(Ed25519PrivateKey.generate())

    @property
    def public(self) -> str:
        """The public key as it stands in a policy."""
        return f"{KIND.decode()} {base64.b64encode(self._blob).decode()}"

    def sign(
        self, content: bytes, namespace: str = Namespace.APPROVAL, *, touched: bool = True, pin: bool = False
    ) -> bytes:
        """The armoured signature over `content`, and in it what the token says of the person before it."""
        meaning = _string(str(namespace).encode()) + _string(b"") + _string(b"sha512")
        signed = b"SSHSIG" + meaning + _string(hashlib.sha512(content).digest())
        flags = (TOUCHED if touched else 0) | (VERIFIED if pin else 0)
        told = bytes([flags]) + (7).to_bytes(4, "big")  # and how often it has signed
        digest = hashlib.sha256(APPLICATION).digest() + told + hashlib.sha256(signed).digest()
        raw = _string(KIND) + _string(self.secret.sign(digest)) + told
        return _armoured(b"SSHSIG" + (1).to_bytes(4, "big") + _string(self._blob) + meaning + _string(raw))

    @property
    def _blob(self) -> bytes:
        return _string(KIND) + _string(self.secret.public_key().public_bytes_raw()) + _string(APPLICATION)


def _string(content: bytes) -> bytes:
    """Bytes as SSH writes them, behind their length (RFC 4251, section 5)."""
    return len(content).to_bytes(4, "big") + content


def _armoured(content: bytes) -> bytes:
    encoded = base64.b64encode(content).decode()
    lines = "".join(f"{encoded[start : start + 70]}\n" for start in range(0, len(encoded), 70))
    return f"-----BEGIN SSH SIGNATURE-----\n{lines}-----END SSH SIGNATURE-----\n".encode()
