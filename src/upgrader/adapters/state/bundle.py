"""The evidence bundle: one file in which no byte can change unseen.

A tar that is written in exactly one way (POSIX ustar, the statement first, then every file by name, no time, no owner,
no compression), so that it can be made again from what was read and compared byte for byte. What a file holds is
compared with the statement, and the statement with its signature.
"""

import binascii
import html
import io
import json
import os
import tarfile
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, repeat, takewhile
from pathlib import Path
from urllib.parse import quote, quote_plus

from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, Refused
from upgrader.domain.papers.evidence import SIGNATURE_FILE, STATEMENT_FILE, EvidenceName, Statement, read_statement

LARGEST_BUNDLE = 512 * 1024 * 1024
BLOCK = tarfile.BLOCKSIZE
ARMOUR_BEGIN, ARMOUR_END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
ARMOUR_WIDTH = 70
SHORTEST_SECRET = 4
SHORTEST_BASE64 = 7


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle holds. Its tar is whole; only `check_bundle` gives one whose files are those of the statement."""

    statement: Statement
    statement_bytes: bytes
    signature: bytes
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the tar. `end` is where the next one begins."""

    folder: str
    name: str
    content: bytes
    end: int


def write_bundle(
    path: Path,
    files: Mapping[str, bytes | Path],
    statement: bytes,
    signature: bytes,
    *,
    secrets: Iterable[str],
) -> Digest:
    """Write the bundle in one move and give the digest of its bytes; the same input always gives the same bytes.

    Raises Refused when a known secret stands in a file, Integrity when the statement does not say exactly these files.
    """
    contents = {name: found if isinstance(found, bytes) else found.read_bytes() for name, found in files.items()}
    if name := find_secret({**contents, STATEMENT_FILE: statement}, secrets):
        raise Refused("evidence-holds-secret", file=name)
    stated = read_statement(statement)
    _check_armour(signature)
    _check_files(stated, contents)
    content = _tar(stated, statement, signature, contents)
    if len(content) > LARGEST_BUNDLE:
        raise Refused("evidence-too-large", file=path.name, found=len(content), expected=LARGEST_BUNDLE)
    _put(path, content)
    return Digest.of(content)


def read_bundle(path: Path) -> Bundle:
    """Read a bundle whose tar is exactly as we write it.

    Nothing is compared with the statement yet. Raises Integrity naming the damaged member and the offset in the file.
    """
    content = _content(path)
    statement, (first, *rest) = _walk(content, path.name)
    signature, files = (rest[0].content, {member.name: member.content for member in rest[1:]}) if rest else (b"", {})
    _check_armour(signature)
    again = _tar(statement, first.content, signature, files)
    if again != content:
        same = takewhile(lambda pair: pair[0] == pair[1], zip(again, content, strict=False))
        raise Integrity("evidence-damaged", file=path.name, offset=sum(1 for _ in same))
    return Bundle(statement, first.content, signature, files)


def check_bundle(path: Path, check_seal: Callable[[Bundle], object]) -> Bundle:
    """Give the bundle when not a byte of it is other than it was sealed, or raise Integrity naming what changed.

    1. is the tar as we write it?   2. `check_seal`: did the right key sign the statement?   3. is every file as stated?

    The seal comes first, so that a changed statement is called changed, and not the file that it now speaks of wrongly.
    `check_seal` gets the bundle as read, because the keys to trust lie in it; it raises when the seal does not hold.
    """
    bundle = read_bundle(path)
    check_seal(bundle)
    _check_files(bundle.statement, bundle.files)
    return bundle


def find_secret(files: Mapping[str, bytes], secrets: Iterable[str]) -> str | None:
    """The first file in which a known secret stands, plainly or in a usual disguise; None when there is none.

    Raises ValueError for a secret too short to be looked for: finding it everywhere, or nowhere, would mean nothing.
    """
    needles = {needle for secret in secrets for needle in _spellings(secret)}
    return next((name for name in sorted(files) if any(needle in files[name] for needle in needles)), None)


def _check_files(statement: Statement, files: Mapping[str, bytes]) -> None:
    """Every file is as stated, none is missing, none is there beside them."""
    changed = [
        name for name in sorted(files) if name in statement.files and Digest.of(files[name]) != statement.files[name]
    ]
    if changed:
        first = changed[0]
        raise Integrity(
            "evidence-changed",
            file=", ".join(changed),
            expected=statement.files[first].hex,
            found=Digest.of(files[first]).hex,
        )
    if missing := sorted(set(statement.files) - set(files)):
        raise Integrity("evidence-missing", file=", ".join(missing))
    if unlisted := sorted(set(files) - set(statement.files)):
        raise Integrity("evidence-not-listed", file=", ".join(unlisted))


def _tar(statement: Statement, statement_bytes: bytes, signature: bytes, files: Mapping[str, bytes]) -> bytes:
    folder = statement.closure.change
    tar = io.BytesIO()
    for name, content in [(STATEMENT_FILE, statement_bytes), (SIGNATURE_FILE, signature), *sorted(files.items())]:
        tar.write(_header(f"{folder}/{name}", len(content)) + content + bytes(-len(content) % BLOCK))
    tar.write(_end(tar.tell()))
    return tar.getvalue()


def _header(name: str, size: int) -> bytes:
    """The one header that a member of this name and size has."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, 0
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def _end(offset: int) -> bytes:
    """Two empty blocks, and what fills the last record."""
    return bytes(2 * BLOCK + -(offset + 2 * BLOCK) % tarfile.RECORDSIZE)


def _walk(content: bytes, file: str) -> tuple[Statement, list[Member]]:
    """Give the statement and every member in turn. What is damaged is named by what the statement says stands there."""
    first = _member(content, 0, STATEMENT_FILE)
    statement = read_statement(first.content)
    if first.folder != statement.closure.change:
        raise Integrity(
            "evidence-statement", file=STATEMENT_FILE, found=f"{statement.closure.change} in {first.folder}"
        )
    found = [first]
    suspects = chain([SIGNATURE_FILE, *sorted(statement.files)], repeat(file))
    while content[found[-1].end : found[-1].end + BLOCK].strip(b"\0"):
        found.append(_member(content, found[-1].end, next(suspects)))
    if content[found[-1].end :] != _end(found[-1].end):
        raise Integrity("evidence-damaged", file=next(suspects), offset=found[-1].end)
    return statement, found


def _member(content: bytes, offset: int, suspect: str) -> Member:
    """The member whose header begins at `offset`. Raises Integrity naming `suspect`, which should stand here."""
    try:
        info = tarfile.TarInfo.frombuf(content[offset : offset + BLOCK], "ascii", "strict")
        folder, _, name = info.name.partition("/")
        begin, end = offset + BLOCK, offset + BLOCK + info.size
        whole = (
            begin <= end <= _filled(end) <= len(content)
            and content[offset:begin] == _header(f"{folder}/{EvidenceName(name)}", info.size)
            and not content[end : _filled(end)].strip(b"\0")
        )
    except (tarfile.TarError, ValueError):
        whole = False
    if not whole:
        raise Integrity("evidence-damaged", file=suspect, offset=offset)
    return Member(folder, name, content[begin:end], _filled(end))


def _filled(offset: int) -> int:
    """Where the block ends that `offset` lies in."""
    return offset + -offset % BLOCK


def _check_armour(signature: bytes) -> None:
    """One SSH signature in the one form in which ssh-keygen writes it: base64 has many spellings for the same bytes."""
    try:
        lines = signature.decode("ascii").split("\n")
        blob = b64decode("".join(lines[1:-2]), validate=True)
    except (ValueError, binascii.Error) as error:
        raise Integrity("evidence-seal-malformed", file=SIGNATURE_FILE, found=str(error)[:200]) from error
    if not blob or signature != armoured(blob):
        raise Integrity("evidence-seal-malformed", file=SIGNATURE_FILE, found="another form than that of ssh-keygen")


def armoured(blob: bytes) -> bytes:
    text = b64encode(blob).decode("ascii")
    lines = [text[start : start + ARMOUR_WIDTH] for start in range(0, len(text), ARMOUR_WIDTH)]
    return ("\n".join([ARMOUR_BEGIN, *lines, ARMOUR_END]) + "\n").encode("ascii")


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BUNDLE + 1)
    except OSError as error:
        raise Integrity("evidence-unreadable", file=path.name, found=error.strerror or str(error)) from error
    if len(content) > LARGEST_BUNDLE:
        raise Integrity("evidence-too-large", file=path.name, found=len(content), expected=LARGEST_BUNDLE)
    return content


def _put(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _spellings(secret: str) -> set[bytes]:
    """The forms in which a secret gets into a file: as it is, escaped for JSON, HTML or a URL, or within base64."""
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"a secret of less than {SHORTEST_SECRET} characters can't be looked for")
    escaped = {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        html.escape(secret),
        quote(secret, safe=""),
        quote_plus(secret),
    }
    coded = {_within_base64(secret.encode(), before) for before in range(3)}
    return {text.encode() for text in escaped} | {core for core in coded if len(core) >= SHORTEST_BASE64}


def _within_base64(content: bytes, before: int) -> bytes:
    """What of `content` always shows in base64 when so many bytes (modulo 3) stand before it, whatever follows."""
    coded = b64encode(bytes(before) + content)
    partly = {0: 0, 1: 3, 2: 2}[(before + len(content)) % 3]
    return coded[(0, 2, 3)[before] : len(coded) - partly]
