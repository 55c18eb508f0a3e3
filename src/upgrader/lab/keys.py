"""Keys of the lab: ed25519, without passphrase, good for nothing but a lab."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from upgrader.lab.programs import run_program

RELEASE_NAMESPACE = "release@upgrader.v1"


def ensure_key(path: Path, *, comment: str) -> Path:
    """Return the path of a private key, made now if it is not there; its public half is `<path>.pub`.

    A key cut off half made (one half without the other) is made anew.
    """
    public = public_half(path)
    if not (path.is_file() and public.is_file()):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        run_program("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))
    return path


def ensure_people_keys(directory: Path, people: Iterable[str]) -> dict[str, Path]:
    """Return one private key per person id, kept in `directory` under that id."""
    ids = tuple(people)
    with ThreadPoolExecutor(max_workers=4) as pool:
        paths = pool.map(lambda person: ensure_key(directory / person, comment=person), ids)
        return dict(zip(ids, paths, strict=True))


def public_half(path: Path) -> Path:
    return path.with_name(path.name + ".pub")


def public_text(path: Path) -> str:
    """Return `ssh-ed25519 AAAA…` of a key, without its comment."""
    kind, blob = public_half(path).read_text(encoding="ascii").split()[:2]
    return f"{kind} {blob}"


def sign(document: Path, key: Path, namespace: str) -> Path:
    """Write `<document>.sig`, a detached OpenSSH signature over the bytes of the document, and return its path."""
    signature = document.with_name(document.name + ".sig")
    signature.unlink(missing_ok=True)
    run_program("ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace, str(document))
    return signature
