"""Trust: compile a policy that a person wrote, have the root keys sign it, and install it as the next version."""

from collections.abc import Sequence
from pathlib import Path

from upgrader.domain.errors import Refused
from upgrader.domain.record import Namespace
from upgrader.domain.trust import Trust
from upgrader.flow.site import Site


def install_trust(site: Site, policy: bytes, file: str, root_keys: Sequence[Path], *, version: int) -> Trust:
    """Make version `version` of the trust file and sign it with the root keys given.

    The store takes it only when it follows the version before by exactly one and enough root keys of both signed it.
    Raises BadInput for a wrong policy, Refused for one that would protect nobody; nothing is written then.
    """
    if not root_keys:
        raise Refused("trust-without-root-key")
    trust = site.documents.read_policy(policy, file, version=version, issued=site.clock())
    content = trust.to_bytes()
    signatures = [site.signatures.sign(content, Namespace.TRUST_ROOT, key) for key in root_keys]
    site.trust.install(trust, signatures)
    return trust
