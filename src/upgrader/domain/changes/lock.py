"""A lock as people see it: who works on what, since when, and whether they still live."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLock:
    """`alive` is false when its holder died without giving it back: the next who wants it gets it, nobody breaks it.

    What is told of the holder is what it wrote of itself, `?` where it had not written it yet.
    """

    name: str
    alive: bool
    holder: str
    purpose: str
    since: str
    machine: str
