"""Mutations of good bytes, the way a fuzzer makes them: always the same ones, so that what is found stays found.

`UPGRADER_FUZZ` makes more of them: 100 is a hundred times as many, for a night by hand.
"""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from upgrader.domain.errors import UpgraderError

TIMES = int(os.environ.get("UPGRADER_FUZZ", "1"))
TOKENS = (
    *(b"", b"\0", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\n\n", b"{", b"}", b"[", b"]", b'"'),
    *(b"null", b"true", b"1e999", b"-1", b"0" * 40, b"9" * 400, b"../", b"/etc/passwd", b"{{ 7 * 7 }}", b"{% x %}"),
    *(b"!!python/object", b"&a *a", b"<<: *a", b"\xe2\x80\xae", b"\x1b[2J", b"\xed\xa0\x80", b"\xc0\x80"),
    *("一".encode(), b"A" * 5000, b"[" * 3000, b"{" * 3000, b'{"a":' * 2000),
)
Read = Callable[[bytes], object]


def mutations(good: bytes, count: int, seed: int) -> Iterator[bytes]:
    """So many mutated copies of `good`, each with one to four changes. None is `good` itself."""
    chance = random.Random(seed)
    made = 0
    while made < count * TIMES:
        content = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            _mutate(content, chance)
        if bytes(content) != good:
            made += 1
            yield bytes(content)


def survives(good: bytes, read: Read, count: int, seed: int, failed: Path) -> list[bytes]:
    """Give what was accepted of the mutations. Whatever is refused has to be refused in our words.

    Another exception ends the test; the bytes that caused it are then in `failed`.
    """
    accepted = []
    for content in mutations(good, count, seed):
        failed.write_bytes(content)
        try:
            read(content)
        except UpgraderError:
            continue
        accepted.append(content)
    return accepted


def _mutate(content: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(content) + 1)
    end = min(len(content), start + chance.choice((1, 2, 4, 16, 200)))
    match chance.randrange(6):
        case 0 if start < len(content):
            content[start] ^= 1 << chance.randrange(8)
        case 1:
            del content[start:end]
        case 2:
            content[start:start] = chance.choice(TOKENS)
        case 3:
            content[start:end] = chance.choice(TOKENS)
        case 4:
            content[start:start] = content[start:end] * chance.choice((1, 2, 50))
        case _:
            del content[start:]
