# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a build reaches a host: only what is missing there, in pieces, and no faster than is allowed.

A piece is a file of its own on the host, named after the build and the offset of its first byte, so any connection
that can put a file will do. Without a cap there is one piece; memory does not grow with the build.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1024 * 1024
SMALLEST_PIECE = 64 * 1024
KILOBYTE = 1024


@dataclass(frozen=True)
class Piece:
    """`size` bytes of a file, from byte `offset` on."""

    offset: int
    size: int


def pieces(start: int, end: int, bandwidth: int) -> Iterator[Piece]:
    """The bytes from `start` to `end`: at once, or with a `bandwidth` in KB a second, what that allows in one second."""
    largest = max(bandwidth * KILOBYTE, SMALLEST_PIECE) if bandwidth else end - start
    for offset in range(start, end, max(largest, 1)):
        yield Piece(offset, min(largest, end - offset))


def right_start(build: Path, have: int, prefix: str) -> int:
    """From which byte on the host needs the build: after the `have` bytes there if their SHA-256 is ours, else 0."""
    if not 0 < have < build.stat().st_size:
        return 0
    found = hashlib.sha256()
    with build.open("rb") as file:
        left = have
        while left and (chunk := file.read(min(CHUNK, left))):
            found.update(chunk)
            left -= len(chunk)
    return have if found.hexdigest() == prefix else 0


@contextmanager
def piece_file(build: Path, piece: Piece) -> Iterator[Path]:
    """A file with just this piece: the build itself where that is the whole, else a copy that is gone afterwards."""
    if piece == Piece(0, build.stat().st_size):
        yield build
        return
    with tempfile.NamedTemporaryFile(prefix="piece-") as copy, build.open("rb") as file:
        file.seek(piece.offset)
        left = piece.size
        while left and (chunk := file.read(min(CHUNK, left))):
            copy.write(chunk)
            left -= len(chunk)
        copy.flush()
        yield Path(copy.name)


def send(build: Path, start: int, bandwidth: int, put: Callable[[Path, int], None]) -> int:
    """Call `put` with each piece and its offset, waiting where the cap asks for it. Gives the bytes that were sent."""
    begun = time.monotonic()
    end, sent = build.stat().st_size, 0
    for piece in pieces(start, end, bandwidth):
        if bandwidth:
            time.sleep(max(0.0, begun + sent / (bandwidth * KILOBYTE) - time.monotonic()))
        with piece_file(build, piece) as file:
            put(file, piece.offset)
        sent += piece.size
    return sent
