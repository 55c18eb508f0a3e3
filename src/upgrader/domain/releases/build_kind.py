"""What a build is: told by the end of its name and by its first bytes, which have to agree.

A name is what people and hosts go by, the bytes are what is unpacked or run; a build that says one thing and is another
was mistaken for something else on its way, or was made to be.
"""

from dataclasses import dataclass
from enum import StrEnum

from upgrader.domain.errors import Refused

HEAD_BYTES = 512


class BuildKind(StrEnum):
    """What vendors ship, as far as a strategy could do something with it."""

    TAR = "tar"
    ZIP = "zip"
    DEB = "deb"  # a Debian package
    EXE = "exe"  # a Windows program or installer
    MSI = "msi"  # a package of the Windows Installer
    SQL = "sql"  # statements, as UTF-8 text


ARCHIVES = frozenset({BuildKind.TAR, BuildKind.ZIP})


@dataclass(frozen=True, slots=True)
class Form:
    """One spelling of a kind: how its name ends, and the bytes that stand at `offset`; no bytes is plain text."""

    kind: BuildKind
    suffixes: tuple[str, ...]
    offset: int
    magic: bytes


# Sources: POSIX.1-2017 pax (ustar), RFC 1952 (gzip), the .xz file format 1.2.1, PKWARE APPNOTE 6.3.10, deb(5),
# Microsoft PE/COFF, MS-CFB 2.2. A .zip that holds nothing starts otherwise, and is none that we want.
FORMS = (
    Form(BuildKind.TAR, (".tar.gz", ".tgz"), 0, b"\x1f\x8b\x08"),
    Form(BuildKind.TAR, (".tar.xz", ".txz"), 0, b"\xfd7zXZ\x00"),
    Form(BuildKind.TAR, (".tar",), 257, b"ustar"),
    Form(BuildKind.ZIP, (".zip",), 0, b"PK\x03\x04"),
    Form(BuildKind.DEB, (".deb",), 0, b"!<arch>\ndebian-binary"),
    Form(BuildKind.EXE, (".exe",), 0, b"MZ"),
    Form(BuildKind.MSI, (".msi",), 0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    Form(BuildKind.SQL, (".sql",), 0, b""),
)
SUFFIXES = " ".join(suffix for form in FORMS for suffix in form.suffixes)


def kind_of_name(file: str) -> BuildKind | None:
    """The kind that a file's name speaks of; None for a name that speaks of none we know."""
    form = _form_of_name(file)
    return form.kind if form else None


def checked_kind(file: str, head: bytes) -> BuildKind:
    """The kind of a build of that name whose first HEAD_BYTES bytes are `head`.

    Raises Refused `build-kind-unknown` for a name of no kind, `build-kind-differs` when the bytes are of another form.
    """
    named = _form_of_name(file)
    if named is None:
        raise Refused("build-kind-unknown", file=file, expected=SUFFIXES)
    found = _form_of_bytes(head)
    if found is not named:
        shown = found.suffixes[0] if found else head[:8].hex(" ") or "-"
        raise Refused("build-kind-differs", file=file, expected=named.suffixes[0], found=shown)
    return named.kind


def _form_of_name(file: str) -> Form | None:
    name = file.lower()
    fits = (form for form in FORMS for suffix in form.suffixes if name.endswith(suffix) and name != suffix)
    return next(fits, None)


def _form_of_bytes(head: bytes) -> Form | None:
    for form in FORMS:
        if form.magic and head[form.offset : form.offset + len(form.magic)] == form.magic:
            return form
    return next(form for form in FORMS if not form.magic) if _is_text(head) else None


def _is_text(head: bytes) -> bool:
    """UTF-8 without control characters; a character that the end of `head` cuts through does not count."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end < len(head) or len(head) < HEAD_BYTES:
            return False
        text = head[: error.start].decode("utf-8")
    return bool(text) and all(character.isprintable() or character in "\t\r\n\ufeff" for character in text)
