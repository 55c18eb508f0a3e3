"""One member of an archive, and what an archive may hold in all."""

import lzma
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from upgrader.adapters.archives.names import shown
from upgrader.domain.errors import Refused

CHUNK = 1024 * 1024
# What the readers below us raise for bytes that are not what they should be; gzip's own is an OSError without a number.
DAMAGE = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, struct.error, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that an archive may hold: bytes once unpacked, members, and so many times its own size."""

    total_bytes: int
    members: int
    ratio: int = 200


BUILD_LIMITS = Limits(total_bytes=2 * 1024**3, members=100_000)


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file or a folder. `parts` is its way from the top of the archive; none for the top itself.

    `chunks` gives its bytes, once, and raises Refused when they are not as many as was said.
    """

    parts: tuple[str, ...]
    folder: bool
    size: int
    executable: bool
    chunks: Callable[[], Iterator[bytes]]

    @property
    def name(self) -> str:
        return "/".join(self.parts)


@contextmanager
def refusing_damage(file: str) -> Iterator[None]:
    """Name the file in what is refused below, and refuse whatever cannot be read to its end."""
    try:
        yield
    except Refused as error:
        raise Refused(error.code, **{"file": file, **error.fields}) from error
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno:
            raise Refused("drop-unreadable", file=file, found=error.strerror) from error
        raise Refused("archive-damaged", file=file, found=shown(str(error))) from error
