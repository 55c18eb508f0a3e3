"""Trust: the next version of the trust file, made from a policy, an enrolment or a revocation, signed by root keys.

Who holds a root key need not sit at the controller: a version that too few of them signed is put into a folder, goes
from one holder to the next (`sign_prepared`), and is installed when it is whole (`install_prepared`).
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from upgrader.domain.approval.claim import enrolment_claim
from upgrader.domain.approval.enrolment import (
    PROOF_LIVES,
    Enrolment,
    Proven,
    check_enrolment,
    proven,
    read_enrolment,
)
from upgrader.domain.approval.record import Namespace
from upgrader.domain.approval.trust import Row, Trust, read_trust, shortages
from upgrader.domain.approval.trust_change import (
    Difference,
    Revocation,
    differences,
    enrolled,
    following,
    merged,
    new_keys,
    revoked,
)
from upgrader.domain.digest import Digest
from upgrader.domain.errors import BadInput, Refused
from upgrader.domain.names import PersonId
from upgrader.flow.identity import acting_person, signing_key
from upgrader.flow.site import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """With which root keys a version is signed here; where it goes for the other holders when these are too few."""

    root_keys: Sequence[Path]
    folder: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextTrust:
    """A version: what it changes, and whether it is in force. `file` is where a prepared one lies.

    `short` names the rules that nobody could fulfil under it; `is_whole` says that enough root keys signed it.
    """

    trust: Trust
    changes: Sequence[Difference]
    short: Sequence[tuple[str, Sequence[Row]]]
    installed: bool
    is_whole: bool
    file: Path | None


@dataclass(frozen=True, slots=True)
class Ending:
    """Whose keys end, when and why. Without a fingerprint it is the one key that the holder has, or all who leaves."""

    holder: PersonId
    at: datetime
    fingerprint: str | None
    leaves: bool
    reason: str


@dataclass(frozen=True, slots=True)
class PastTrust:
    """One version of the chain: what it changed, and the fingerprints of the root keys that signed it."""

    trust: Trust
    changes: Sequence[Difference]
    signers: Sequence[str]


def ask_to_enrol(site: Site, reason: str, folder: Path) -> tuple[Enrolment, Path]:
    """Sign with one's own new key that it is one's own, and put this proof into `folder`."""
    now = site.clock().replace(microsecond=0)
    enrolment = Enrolment(
        format=Enrolment.FORMAT,
        site=site.id,
        person=acting_person(site),
        key=site.signatures.public_key(signing_key(site)),
        issued=now,
        expires=now + PROOF_LIVES,
        nonce=secrets.token_hex(16),
        reason=reason,
    )
    signature = site.signatures.sign(enrolment.to_bytes(), Namespace.ENROLMENT, signing_key(site))
    asked = Proven(enrolment, signature)
    site.signatures.verify(enrolment_claim(asked), now)
    return enrolment, _put(folder / enrolment.file_name, enrolment.to_bytes(), signature)


def read_proofs(site: Site, files: Iterable[Path]) -> Sequence[Proven]:
    """Read proofs that people sent, each with its signature beside it. Raises Refused where one does not hold now."""
    proofs = []
    for path in files:
        enrolment = read_enrolment(_content(path), path.name)
        asked = Proven(enrolment, _content(path.with_name(f"{path.name}.sig")))
        check_enrolment(enrolment, site.id, site.clock())
        site.signatures.verify(enrolment_claim(asked), site.clock())
        proofs.append(asked)
    return proofs


def start_trust(site: Site, policy: bytes, file: str, proofs: Sequence[Proven], signing: Signing) -> NextTrust:
    """Make the first version from a policy. Raises BadInput for a wrong one, Refused for one that protects nobody."""
    trust = site.documents.read_policy(policy, file, version=1, issued=site.clock())
    return _sign(site, enrolled(trust, proofs), None, signing)


def update_trust(
    site: Site, policy: bytes, file: str, proofs: Sequence[Proven], reason: str, signing: Signing
) -> NextTrust:
    """Make the next version from a policy. What was enrolled and revoked since stays, whatever the policy says."""
    before = site.trust.load()
    trust = site.documents.read_policy(policy, file, version=before.version + 1, issued=site.clock())
    trust = replace(merged(trust, before), reason=reason or None)
    return _sign(site, enrolled(trust, proofs), before, signing)


def enrol(site: Site, proofs: Sequence[Proven], reason: str, until: datetime | None, signing: Signing) -> NextTrust:
    """Make the next version, in which proven keys count from now on. Raises Refused when the trust file has expired."""
    before = site.trust.load()
    site.trust.check_current(before, site.clock())
    trust = following(before, issued=site.clock().replace(microsecond=0), reason=reason)
    return _sign(site, enrolled(trust, proofs, until), before, signing)


def revoke(site: Site, ending: Ending, signing: Signing) -> NextTrust:
    """Make the next version, in which keys ended for ever. A rule that nobody can then fulfil lets nothing through."""
    before = site.trust.load()
    trust = following(before, issued=site.clock().replace(microsecond=0), reason=ending.reason)
    key = _key_to_end(site, trust, ending)
    return _sign(site, revoked(trust, Revocation(ending.holder, ending.at, key, ending.leaves)), before, signing)


def read_prepared(site: Site, file: Path) -> NextTrust:
    """A prepared version as it would follow here. Raises Refused where it does not, whoever has signed it."""
    trust = read_trust(_content(file), file.name)
    before = site.trust.load() if trust.version > 1 else None
    is_whole = _is_whole(site, trust, _signatures(file))
    return _next(site, trust, before, is_whole=is_whole, file=file)


def sign_prepared(site: Site, file: Path, root_keys: Sequence[Path]) -> NextTrust:
    """Add signatures to a prepared version. Raises Refused unless it follows here."""
    prepared = read_prepared(site, file)
    _write_signatures(site, prepared.trust, file, root_keys)
    return read_prepared(site, file)


def install_prepared(site: Site, file: Path) -> NextTrust:
    """Put a prepared version into force. Raises Refused `trust-signatures-missing` while holders have yet to sign."""
    prepared = read_prepared(site, file)
    site.trust.install(prepared.trust, _signatures(file))
    return replace(prepared, installed=True)


def trust_history(site: Site) -> Sequence[PastTrust]:
    """Every version, oldest first, with what it changed, computed from the files themselves.

    Raises Refused where the chain, or the proof of a key in it, does not hold.
    """
    site.trust.check_proofs()
    chain = site.trust.chain()
    pairs = zip(chain, (None, *chain[:-1]), strict=True)
    return [
        PastTrust(trust, list(differences(trust, before)) if before else [], site.trust.signers(trust.version))
        for trust, before in pairs
    ]


def unproven(trust: Trust) -> Sequence[str]:
    """The people with a key that nobody has shown to hold: it stood in the first version's policy."""
    return [person.id for person, key in new_keys(trust, None) if proven(trust.site, person.id, key) is None]


def _sign(site: Site, trust: Trust, before: Trust | None, signing: Signing) -> NextTrust:
    """Sign with the root keys that are here, and install it; too few of them put it into the folder for the others."""
    if not signing.root_keys and signing.folder is None:
        raise Refused("trust-without-root-key")
    if before is not None and not any(differences(trust, before)):
        raise Refused("trust-unchanged", version=before.version)
    content = trust.to_bytes()
    read_trust(content, f"trust.{trust.version}.json")
    signatures = [site.signatures.sign(content, Namespace.TRUST_ROOT, key) for key in signing.root_keys]
    try:
        site.trust.install(trust, signatures)
    except Refused as error:
        if error.code != "trust-signatures-missing" or signing.folder is None:
            raise
        file = signing.folder / f"trust.{trust.version}.json"
        _put(file, content, None)
        for key, signature in zip(signing.root_keys, signatures, strict=True):
            _signature_file(site, file, key).write_bytes(signature)
        return _next(site, trust, before, is_whole=False, file=file)
    return replace(_next(site, trust, before, is_whole=True, file=None), installed=True)


def _key_to_end(site: Site, trust: Trust, ending: Ending) -> str | None:
    """The public key that the ending means; None for all of them. Raises where there is none, or a choice to make."""
    holder = trust.person(ending.holder) or trust.vendor(ending.holder)
    if holder is None:
        raise Refused("person-not-active", person=ending.holder, file="-")
    keys = {site.signatures.fingerprint(key.public): key for key in holder.keys}
    if ending.fingerprint is not None:
        if ending.fingerprint not in keys:
            raise Refused("key-not-known", person=ending.holder, key=ending.fingerprint, file="-")
        return keys[ending.fingerprint].public
    left = [print for print, key in keys.items() if key.has_future(site.clock())]
    if not ending.leaves and len(left) > 1:
        raise BadInput("key-to-choose", person=ending.holder, keys=", ".join(left))
    return None


def _next(site: Site, trust: Trust, before: Trust | None, *, is_whole: bool, file: Path | None) -> NextTrust:
    return NextTrust(
        trust=trust,
        changes=list(differences(trust, before)) if before else [],
        short=list(shortages(trust, site.clock())),
        installed=False,
        is_whole=is_whole,
        file=file,
    )


def _is_whole(site: Site, trust: Trust, signatures: Sequence[bytes]) -> bool:
    """Whether enough root keys signed. Raises Refused for anything else that keeps the version from following here."""
    try:
        site.trust.check_next(trust, signatures)
    except Refused as error:
        if error.code != "trust-signatures-missing":
            raise
        return False
    return True


def _write_signatures(site: Site, trust: Trust, file: Path, root_keys: Sequence[Path]) -> None:
    for key in root_keys:
        signature = site.signatures.sign(trust.to_bytes(), Namespace.TRUST_ROOT, key)
        _is_whole(site, trust, [*_signatures(file), signature])
        _signature_file(site, file, key).write_bytes(signature)


def _signature_file(site: Site, file: Path, key: Path) -> Path:
    """Named by its key, so that holders who sign on different machines never overwrite each other's."""
    name = Digest.of(site.signatures.public_key(key).encode()).hex[:8]
    return file.with_name(f"{file.name}.{name}.sig")


def _signatures(file: Path) -> Sequence[bytes]:
    return [path.read_bytes() for path in sorted(file.parent.glob(f"{file.name}.*.sig"))]


def _put(path: Path, content: bytes, signature: bytes | None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if signature is not None:
        path.with_name(f"{path.name}.sig").write_bytes(signature)
    return path


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput("file-not-read", file=path, reason=error.strerror) from error
