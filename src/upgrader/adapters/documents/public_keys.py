"""OpenSSH public keys (RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4, OpenSSH's PROTOCOL.u2f): which ones may sign here.

A key is taken apart down to its numbers, so that what is stored is a whole key and nothing else.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass

SHORTEST_RSA_BITS = 3072
CURVES = {"nistp256": 65, "nistp384": 97, "nistp521": 133}
TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)


@dataclass(frozen=True, slots=True)
class KeyFault:
    """Why a key may not be used: a problem code and what its text tells."""

    code: str
    fields: Mapping[str, str]


def read_public_key(text: str) -> str | KeyFault:
    """The key as `type base64`, without its comment; or why it may not be used."""
    kind, _, rest = text.strip().partition(" ")
    body = rest.strip().split(" ")[0]
    if kind not in TYPES:
        return KeyFault("key-type-not-allowed", {"expected": " | ".join(TYPES), "found": kind[:40]})
    try:
        blob = base64.b64decode(body, validate=True)
        parts = _parts(blob)
        if base64.b64encode(blob).decode() != body or parts[0] != kind.encode():
            raise ValueError("another spelling, or another type inside")
        bits = _bits(kind, parts[1:])
    except (ValueError, IndexError, binascii.Error):
        return KeyFault("key-damaged", {"found": text[:60]})
    if kind == "ssh-rsa" and bits < SHORTEST_RSA_BITS:
        return KeyFault("key-too-short", {"expected": str(SHORTEST_RSA_BITS), "found": str(bits)})
    return f"{kind} {body}"


def _parts(blob: bytes) -> list[bytes]:
    """The length-prefixed strings of a key, to the last byte."""
    parts, at = [], 0
    while at < len(blob):
        length = int.from_bytes(blob[at : at + 4], "big")
        end = at + 4 + length
        if at + 4 > len(blob) or end > len(blob):
            raise ValueError("cut off")
        parts.append(blob[at + 4 : end])
        at = end
    return parts


def _bits(kind: str, parts: list[bytes]) -> int:
    """The size of the key. Raises ValueError when its parts are not those of its type."""
    checks: Mapping[str, Callable[[list[bytes]], int]] = {
        "ssh-ed25519": lambda p: _ed25519(p, 1),
        "sk-ssh-ed25519@openssh.com": lambda p: _ed25519(p, 2),
        "ssh-rsa": _rsa,
    }
    if kind in checks:
        return checks[kind](parts)
    curve = kind.removeprefix("sk-").removesuffix("@openssh.com").removeprefix("ecdsa-sha2-")
    return _ecdsa(parts, curve, 3 if kind.startswith("sk-") else 2)


def _ed25519(parts: list[bytes], count: int) -> int:
    if len(parts) != count or len(parts[0]) != 32:
        raise ValueError("not an Ed25519 key")
    return 256


def _ecdsa(parts: list[bytes], curve: str, count: int) -> int:
    if len(parts) != count or parts[0] != curve.encode():
        raise ValueError("not an ECDSA key of this curve")
    if len(parts[1]) != CURVES[curve] or parts[1][:1] != b"\x04":
        raise ValueError("not an uncompressed point")
    return int(curve.removeprefix("nistp"))


def _rsa(parts: list[bytes]) -> int:
    exponent, modulus = (int.from_bytes(part, "big") for part in parts)
    if exponent < 3 or exponent % 2 == 0:
        raise ValueError("not an RSA exponent")
    return modulus.bit_length()
