"""OpenPGP signatures of a Debian package, inside it or beside it, checked by gpgv where it is installed."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from upgrader.adapters.archives.names import shown
from upgrader.adapters.builds.debian_package import DebianPackage, Part, part_chunks, read_part
from upgrader.domain.releases.build_facts import PlatformSignature, SignatureScheme, SignatureState

SEARCH_PATH = "/usr/bin:/bin"
ENVIRONMENT = {"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
LIMIT_SECONDS = 600
CLEAR_SIGNED = b"-----BEGIN PGP SIGNED MESSAGE-----"
BESIDE = (".asc", ".sig")
CHUNK = 1024 * 1024


def package_signatures(path: Path, package: DebianPackage, keyring: Path | None) -> tuple[PlatformSignature, ...]:
    """What can be told of every signature: those that debsigs or dpkg-sig put in, and detached ones beside the file."""
    found = [_inside(path, package, part, keyring) for part in package.signatures]
    for suffix in BESIDE:
        beside = path.with_name(path.name + suffix)
        if beside.is_file():
            found.append(_checked(beside.read_bytes(), _bytes(path), keyring))
    return tuple(found)


def _inside(path: Path, package: DebianPackage, part: Part, keyring: Path | None) -> PlatformSignature:
    """debsigs signs the three parts one after the other; dpkg-sig signs a list of MD5 and SHA-1 sums of them."""
    signature = read_part(path, part)
    if signature.startswith(CLEAR_SIGNED):
        return _of(SignatureState.NOT_CHECKED, detail=f"{part.name}: MD5, SHA-1")
    signed = [one for one in package.parts if not one.name.startswith("_")]
    return _checked(signature, (chunk for one in signed for chunk in part_chunks(path, one)), keyring)


def _checked(signature: bytes, content: Iterator[bytes], keyring: Path | None) -> PlatformSignature:
    gpgv = shutil.which("gpgv", path=SEARCH_PATH)
    if gpgv is None:
        return _of(SignatureState.NOT_CHECKED, detail="gpgv")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "signature"
        file.write_bytes(signature)
        trusted = str(keyring.absolute()) if keyring else "/dev/null"
        command = [gpgv, "--status-fd", "1", "--homedir", folder, "--keyring", trusted, str(file), "-"]
        code, status = _run(command, content)
    return _read(code, status)


def _run(command: list[str], content: Iterator[bytes]) -> tuple[int, str]:
    """The exit code and what gpgv says of the signature; -1 when it did not end in time."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT
    ) as process:
        assert process.stdin is not None  # noqa: S101 - asked for above
        try:
            for chunk in content:
                process.stdin.write(chunk)
        except BrokenPipeError:
            pass  # it has seen enough: a signature without a key needs no content
        try:
            out, _ = process.communicate(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return -1, ""
    return process.returncode, out.decode("utf-8", "replace")


def _read(code: int, status: str) -> PlatformSignature:
    """gpgv's own words for programs (doc/DETAILS of GnuPG): who signed when, and whether the key is one of ours."""
    words = [line.removeprefix("[GNUPG:] ").split(" ") for line in status.splitlines() if line.startswith("[GNUPG:] ")]
    said = {word[0]: word[1:] for word in words if word}
    if "BADSIG" in said:
        return _of(SignatureState.BROKEN, signer=_signer(said["BADSIG"]))
    valid, stranger = said.get("VALIDSIG", []), said.get("ERRSIG", [])
    if valid and code == 0 and "GOODSIG" in said:
        return _of(SignatureState.VALID, signer=_signer(said["GOODSIG"]), signed_at=_time(valid[2:3]), detail=valid[0])
    for word in ("EXPKEYSIG", "REVKEYSIG", "EXPSIG"):
        if word in said:
            return _of(SignatureState.SIGNER_UNKNOWN, signer=_signer(said[word]), detail=word)
    if stranger:
        return _of(SignatureState.SIGNER_UNKNOWN, signer=shown(stranger[0]), signed_at=_time(stranger[4:5]))
    return _of(SignatureState.BROKEN)


def _of(
    state: SignatureState, *, signer: str | None = None, signed_at: str | None = None, detail: str | None = None
) -> PlatformSignature:
    scheme = SignatureScheme.OPENPGP
    return PlatformSignature(scheme=scheme, state=state, signer=signer, signed_at=signed_at, detail=detail)


def _signer(words: list[str]) -> str:
    """The key's number and the name on it."""
    return shown(" ".join(words))[:100]


def _time(words: list[str]) -> str | None:
    if not words or not words[0].isdecimal():
        return None
    return datetime.fromtimestamp(int(words[0]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _bytes(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
