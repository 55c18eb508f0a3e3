"""The trust chain on disk: `trust.1.json`, `trust.2.json`, … and beside each its signatures by the root keys.

Version N counts when a threshold of the root keys of N and a threshold of the root keys of N-1 signed it (the root rule
of The Update Framework, TUF specification 5.3). The first version can only vouch for itself: people compare its
fingerprint. The chain can't show that its newest versions were removed; the journal names the version that was used.
"""

import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from upgrader.adapters.builds.build_store import sync_folder
from upgrader.adapters.trust import ssh_signatures
from upgrader.domain.approval.claim import Claim, enrolment_claim
from upgrader.domain.approval.enrolment import check_enrolment, proven
from upgrader.domain.approval.record import Namespace
from upgrader.domain.approval.trust import LARGEST_TRUST, Root, Trust, read_trust
from upgrader.domain.approval.trust_change import check_follows, new_proofs
from upgrader.domain.digest import Digest
from upgrader.domain.errors import PreflightFailed, Refused

TRUST_FILE = re.compile(r"trust\.([1-9][0-9]{0,5})\.json")
SIGNATURE_FILE = re.compile(r"trust\.([1-9][0-9]{0,5})\.json\.([1-9][0-9]{0,2})\.sig")
ROOT = "root"
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
CLOCKS_DIFFER = timedelta(minutes=5)


class TrustFiles:
    """The folder of the chain. It, and every file in it, must be root's or ours, and writable by nobody else.

    The files are read each time; bytes that were found to hold once, after the same bytes before them, still do.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[Digest, Trust] = {}

    def versions(self) -> tuple[int, ...]:
        """Which versions lie there, in order. Says nothing of whether they count."""
        if not self._folder.is_dir():
            return ()
        matches = (TRUST_FILE.fullmatch(path.name) for path in self._folder.iterdir())
        return tuple(sorted(int(match[1]) for match in matches if match))

    def load(self) -> Trust:
        """Walk the chain from version 1 and give the newest version. Raises Refused where it does not hold.

        Whether it has expired is asked with `check_current`.
        """
        return self.chain()[-1]

    def chain(self) -> tuple[Trust, ...]:
        """Every version, oldest first, once the whole chain was found to hold. Raises Refused where it does not."""
        chain = self._walk()
        if not chain:
            raise Refused("trust-missing", folder=self._folder)
        return chain

    def files(self) -> Sequence[Path]:
        """Every file of the chain, as evidence keeps it: the versions and their signatures."""
        names = [name for version in self.versions() for name in (f"trust.{version}.json", *self._signatures(version))]
        return [self._folder / name for name in names]

    def check_current(self, trust: Trust, now: datetime) -> None:
        check_current(trust, now)

    def fingerprint(self) -> Digest:
        """The fingerprint of the first root keys, which people compare by word of mouth and keep on paper."""
        if 1 not in self.versions():
            raise Refused("trust-missing", folder=self._folder)
        return root_fingerprint(_read_version(1, self._content(1)).root)

    def signers(self, version: int) -> tuple[str, ...]:
        """The fingerprints of the root keys that signed a version that `chain` gave."""
        chain = self.chain()[:version]
        roots = _roots(chain[-1], chain[:-1])
        return tuple(sorted(_signers(self._content(version), self._signatures(version), roots, chain[-1].issued)))

    def check_proofs(self) -> None:
        """Verify the proof of every key that a person ever enrolled, which whoever installed its version did before.

        Raises Refused where one does not hold.
        """
        chain = self.chain()
        for trust, before in zip(chain, (None, *chain[:-1]), strict=True):
            _check_proofs(trust, before)

    def check_next(self, trust: Trust, signatures: Sequence[bytes]) -> None:
        """Raise Refused unless `trust` may be the next version, and is signed by enough root keys."""
        self._check_next(trust, signatures)

    def install(self, trust: Trust, signatures: Sequence[bytes]) -> None:
        """Make `trust` the newest version. Raises Refused, with the chain as it was, unless it follows and holds."""
        named = self._check_next(trust, signatures)
        try:
            self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            for left in self._signatures(trust.version):  # by an install that was cut off
                (self._folder / left).unlink()
            # the trust file last: without it the signatures mean nothing
            self._write({**named, f"trust.{trust.version}.json": trust.to_bytes()})
        except OSError as error:
            raise PreflightFailed("trust-not-written", folder=self._folder, reason=error.strerror) from error

    def _check_next(self, trust: Trust, signatures: Sequence[bytes]) -> Mapping[str, bytes]:
        earlier = self._walk()
        if trust.version != len(earlier) + 1:
            raise Refused("trust-version", expected=len(earlier) + 1, found=trust.version)
        content, name = trust.to_bytes(), f"trust.{trust.version}.json"
        named = {f"{name}.{number}.sig": signature for number, signature in enumerate(signatures, 1)}
        _check_step(read_trust(content, name), content, named, earlier)
        _check_proofs(trust, earlier[-1] if earlier else None)
        return named

    def _walk(self) -> tuple[Trust, ...]:
        """Every version, oldest first, each found to follow the one before. Raises Refused where one does not."""
        chain: list[Trust] = []
        read = Digest.of(b"")  # over all bytes of the chain so far
        if self._folder.exists():
            _check_mode(self._folder.lstat(), self._folder, stat.S_ISDIR)
        for expected, version in enumerate(self.versions(), 1):
            if version != expected:
                raise Refused("trust-chain-gap", expected=expected, found=version)
            content, signatures = self._content(version), self._signatures(version)
            digests = (read, Digest.of(content), *(Digest.of(signatures[name]) for name in sorted(signatures)))
            read = Digest.of("\n".join(digest.hex for digest in digests).encode("ascii"))
            if read not in self._held:
                trust = _read_version(version, content)
                _check_step(trust, content, signatures, chain)
                self._held[read] = trust
            chain.append(self._held[read])
        return tuple(chain)

    def _content(self, version: int) -> bytes:
        return _read_guarded(self._folder / f"trust.{version}.json")

    def _signatures(self, version: int) -> dict[str, bytes]:
        matches = (SIGNATURE_FILE.fullmatch(path.name) for path in sorted(self._folder.iterdir()))
        names = [match[0] for match in matches if match and int(match[1]) == version]
        return {name: _read_guarded(self._folder / name) for name in names}

    def _write(self, files: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".incoming-") as incoming:
            for name, content in files.items():
                with Path(incoming, name).open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fchmod(file.fileno(), 0o644)
                    os.fsync(file.fileno())
                Path(incoming, name).replace(self._folder / name)
                sync_folder(self._folder)


def _read_version(version: int, content: bytes) -> Trust:
    trust = read_trust(content, f"trust.{version}.json")
    if trust.version != version:
        raise Refused("trust-version", expected=version, found=trust.version)
    return trust


def check_current(trust: Trust, now: datetime) -> None:
    """Raise Refused when the newest trust file has expired, or was issued after `now` (then a clock is wrong)."""
    if now >= trust.expires:
        raise Refused("trust-expired", version=trust.version, expires=trust.expires)
    if trust.issued > now + CLOCKS_DIFFER:
        raise Refused("trust-from-the-future", version=trust.version, issued=trust.issued, now=now)


def root_fingerprint(root: Root) -> Digest:
    """SHA-256 over the threshold and the sorted fingerprints of the keys, one per line."""
    keys = sorted({ssh_signatures.fingerprint(key) for key in root.keys})
    return Digest.of("".join(f"{line}\n" for line in (f"threshold {root.threshold}", *keys)).encode("ascii"))


def _check_step(trust: Trust, content: bytes, signatures: Mapping[str, bytes], earlier: Sequence[Trust]) -> None:
    """Check that `trust` may follow: it keeps the rules of a step, and enough root keys of both versions signed it."""
    if earlier:
        check_follows(trust, earlier, Digest.of(earlier[-1].to_bytes()))
    roots = _roots(trust, earlier)
    signers = _signers(content, signatures, roots, trust.issued)
    for root in roots:
        _check_threshold(root, signers, trust.version)


def _roots(trust: Trust, earlier: Sequence[Trust]) -> Sequence[Root]:
    return [earlier[-1].root, trust.root] if earlier else [trust.root]


def _signers(content: bytes, signatures: Mapping[str, bytes], roots: Iterable[Root], at: datetime) -> set[str]:
    keys = [key for root in roots for key in root.keys]
    return {
        ssh_signatures.verify(_root_claim(content, signature, keys, name), at) for name, signature in signatures.items()
    }


def _check_proofs(trust: Trust, before: Trust | None) -> None:
    """Verify what each new key itself signed, as of the time at which the version was issued."""
    for person, key in new_proofs(trust, before):
        asked = proven(trust.site, person.id, key)
        if asked is not None:
            check_enrolment(asked.enrolment, trust.site, trust.issued)
            ssh_signatures.verify(enrolment_claim(asked), trust.issued)


def _root_claim(content: bytes, signature: bytes, keys: Iterable[str], name: str) -> Claim:
    return Claim(
        content=content,
        signature=signature,
        namespace=Namespace.TRUST_ROOT,
        principal=ROOT,
        keys=tuple(keys),
        file=name,
    )


def _check_threshold(root: Root, signers: Iterable[str], version: int) -> None:
    held = {ssh_signatures.fingerprint(key) for key in root.keys} & set(signers)
    if len(held) < root.threshold or not held:
        raise Refused("trust-signatures-missing", version=version, expected=root.threshold, found=len(held))


def _read_guarded(path: Path) -> bytes:
    """Read a file that nobody else may have written. Raises Refused for a link, another owner or a loose mode."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Refused("trust-file-mode", file=path, found=error.strerror) from error
    try:
        _check_mode(os.fstat(descriptor), path, stat.S_ISREG)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(LARGEST_TRUST + 1)
    finally:
        os.close(descriptor)


def _check_mode(status: os.stat_result, path: Path, is_right_kind: Callable[[int], bool]) -> None:
    if not is_right_kind(status.st_mode):
        raise Refused("trust-file-mode", file=path, found="a link or another kind of file")
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & WRITABLE_BY_OTHERS:
        found = f"mode {stat.S_IMODE(status.st_mode):04o}, owner {status.st_uid}"
        raise Refused("trust-file-mode", file=path, found=found)
