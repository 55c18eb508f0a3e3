"""The heartbeat of the service: when it looked last. For people; nothing is decided by it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Beat:
    """That the service looked at everything at `at`, means to do so every `seconds`, and what it was at work on."""

    at: datetime
    seconds: int
    busy: tuple[str, ...]
