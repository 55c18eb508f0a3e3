"""What vendors pack: read member by member without unpacking, and unpacked by nobody but us.

Regular files and folders only, names that mean the same on every disk, and never more than so many bytes and members.
Neither tarfile's filters nor zipfile are relied on.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from upgrader.adapters.archives.member import BUILD_LIMITS, Limits, Member, refusing_damage
from upgrader.adapters.archives.names import Tree
from upgrader.adapters.archives.tar_archive import tar_members
from upgrader.adapters.archives.zip_archive import zip_members
from upgrader.domain.errors import PreflightFailed
from upgrader.domain.releases.build_kind import BuildKind

__all__ = ["BUILD_LIMITS", "Limits", "Member", "members_of", "unpack"]


@contextmanager
def members_of(path: Path, kind: BuildKind, limits: Limits) -> Iterator[Iterator[Member]]:
    """Every member of a .tar.* or .zip, in the order of the file; each may be read until the next is asked for.

    Raises Refused `archive-…` for the first member that may not be, and once more at the end when the archive as a
    whole is not what it should be: whoever uses members before that takes them back.
    """
    tree = Tree(path.name, for_windows=kind is BuildKind.ZIP)
    with refusing_damage(path.name), closing(_members(path, kind, limits, tree)) as members:
        yield members


def _members(path: Path, kind: BuildKind, limits: Limits, tree: Tree) -> Generator[Member, None, None]:
    yield from zip_members(path, limits, tree) if kind is BuildKind.ZIP else tar_members(path, limits, tree)


def unpack(path: Path, kind: BuildKind, target: Path, limits: Limits) -> None:
    """Write the members below `target`, which must not be there yet, with plain modes and without links.

    What was written stays when this raises: the caller removes the folder that it named.
    """
    with _writing(target):
        target.mkdir(mode=0o700, parents=True)
    with members_of(path, kind, limits) as members:
        for member in members:
            _write(member, target)


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PreflightFailed("quarantine-not-writable", file=place, reason=error.strerror) from error


def _write(member: Member, target: Path) -> None:
    place = target.joinpath(*member.parts)
    with _writing(place):
        (place if member.folder else place.parent).mkdir(parents=True, exist_ok=True)
    if member.folder:
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with _writing(place):
        descriptor = os.open(place, flags, 0o755 if member.executable else 0o644)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        for chunk in member.chunks():
            with _writing(place):
                file.write(chunk)
