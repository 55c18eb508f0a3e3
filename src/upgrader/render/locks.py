"""Who holds what since when, as text and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from upgrader.domain.changes.lock import HeldLock
from upgrader.language import Texts

SHOWN = 6


def locks(held: Sequence[HeldLock], texts: Texts) -> Sequence[str]:
    """One paragraph for each holder, the dead ones last."""
    if not held:
        return [texts("locks.none")]
    return [line for alive in (True, False) for line in _of(held, texts, alive=alive)]


def _of(held: Sequence[HeldLock], texts: Texts, *, alive: bool) -> Iterator[str]:
    def work(one: HeldLock) -> tuple[str, str, str, str]:
        return (one.since, one.holder, one.purpose, one.machine)

    chosen = sorted((one for one in held if one.alive is alive), key=work)
    for (since, holder, purpose, machine), group in groupby(chosen, key=work):
        names = [one.name for one in group]
        key = "locks.held" if alive else "locks.left"
        yield texts(key, holder=holder, purpose=purpose, since=since, machine=machine)
        for start in range(0, min(len(names), SHOWN * 3), 3):
            yield f"    {'  '.join(names[start : start + 3])}"
        if len(names) > SHOWN * 3:
            yield texts("locks.more", count=len(names) - SHOWN * 3)


def locks_json(held: Sequence[HeldLock]) -> Mapping[str, Any]:
    return {"format": "upgrader.locks/1", "locks": [asdict(one) for one in held]}
