"""The pinned SSH host keys of a tree, in the form of ssh's own known_hosts."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from upgrader.domain.errors import BadInput

PREFERRED = "ssh-ed25519"


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """For each address, as `10.0.0.7` or `[10.0.0.7]:2222`, its key of each kind as a fingerprint."""

    keys: Mapping[str, Mapping[str, str]]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises BadInput for a line that is not `addresses kind key`, and for two keys of one kind for one address."""
        keys: dict[str, dict[str, str]] = {}
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput("known-hosts-unreadable", file=path.name) from error
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            addresses, kind, fingerprint = _parse(line, number)
            for address in addresses:
                if keys.setdefault(address, {}).setdefault(kind, fingerprint) != fingerprint:
                    raise BadInput("known-hosts-ambiguous", address=address, line=number)
        return cls(keys)

    def fingerprint(self, host: str, address: str, port: int) -> str:
        """`SHA256:…` of the pinned key; ed25519 before others. Raises BadInput when none is pinned."""
        known_as = address if port == 22 else f"[{address}]:{port}"
        found = self.keys.get(known_as)
        if not found:
            raise BadInput("host-key-not-pinned", host=host, address=known_as)
        return found.get(PREFERRED) or found[min(found)]


def _parse(line: str, number: int) -> tuple[list[str], str, str]:
    """Hashed addresses, wildcards and markers are refused: whoever reads the file must see whose key it is."""
    fields = line.split()
    if len(fields) < 3 or any(sign in fields[0] for sign in "@|*?!"):
        raise BadInput("known-hosts-malformed", line=number)
    try:
        key = base64.b64decode(fields[2], validate=True)
    except binascii.Error as error:
        raise BadInput("known-hosts-malformed", line=number) from error
    sum_of_key = base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
    return fields[0].split(","), fields[1], f"SHA256:{sum_of_key}"
