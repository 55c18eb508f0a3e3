"""Trust: compile a policy that a person wrote, have the root keys sign it, and install it as the next version."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from upgrader.domain.errors import Refused
from upgrader.domain.record import Namespace
from upgrader.domain.trust import Key, Trust
from upgrader.flow.site import Site


def install_trust(site: Site, policy: bytes, file: str, root_keys: Sequence[Path], *, version: int) -> Trust:
    """Make version `version` of the trust file and sign it with the root keys given.

    The store takes it only when it follows the version before by exactly one and enough root keys of both signed it.
    Raises BadInput for a wrong policy, Refused for one that would protect nobody; nothing is written then.
    """
    if not root_keys:
        raise Refused("trust-without-root-key")
    trust = site.documents.read_policy(policy, file, version=version, issued=site.clock())
    if version > 1:
        trust = carry_over(trust, site.trust.load())
    content = trust.to_bytes()
    signatures = [site.signatures.sign(content, Namespace.TRUST_ROOT, key) for key in root_keys]
    site.trust.install(trust, signatures)
    return trust


def carry_over(trust: Trust, before: Trust) -> Trust:
    """Let a key that stood in the version before count from when it counted first, not from this version on."""
    known = {(str(person.id), key.public): key.valid_from for person in before.people for key in person.keys}
    known |= {(str(vendor.id), key.public): key.valid_from for vendor in before.vendors for key in vendor.keys}

    def keys_of(id: str, keys: Iterable[Key]) -> tuple[Key, ...]:
        return tuple(
            replace(key, valid_from=known[id, key.public])
            if key.valid_from == trust.issued and (id, key.public) in known
            else key
            for key in keys
        )

    return replace(
        trust,
        people=tuple(replace(person, keys=keys_of(person.id, person.keys)) for person in trust.people),
        vendors=tuple(replace(vendor, keys=keys_of(vendor.id, vendor.keys)) for vendor in trust.vendors),
    )
