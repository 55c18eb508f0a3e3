"""The trust chain that lies in an evidence bundle, walked with the same rules as the one on the controller."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from upgrader.adapters.trust.trust_files import TrustFiles
from upgrader.domain.approval.trust import Trust
from upgrader.domain.digest import Digest

FOLDER = "trust/"


def read_bundled_trust(files: Mapping[str, bytes]) -> tuple[tuple[Trust, ...], Digest]:
    """Every version in a bundle, and its first root keys' fingerprint. Raises Refused where the chain does not hold."""
    with tempfile.TemporaryDirectory(prefix="upgrader-audit-") as folder:
        for name, content in files.items():
            if name.startswith(FOLDER):
                (Path(folder) / Path(name).name).write_bytes(content)
        chain = TrustFiles(Path(folder))
        chain.check_proofs()
        return chain.chain(), chain.fingerprint()
