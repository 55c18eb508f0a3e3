"""What a probe is asked to look at, and the fields each kind needs. How it looks is an adapter's matter."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from upgrader.domain.digest import Digest


class ProbeKind(StrEnum):
    HTTP = "http"
    TCP = "tcp"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One question to one host, asked `count` times, `interval_seconds` apart.

    Texts may hold `{address}`, `{root}` and the host's site parameters; they are filled in per host with plain
    replacement, never by a template engine.
    """

    name: str
    kind: ProbeKind
    interval_seconds: int
    count: int
    failures_allowed: int
    timeout_seconds: int
    login: bool = False
    url: str | None = None
    method: str | None = None
    user: str | None = None
    headers: Mapping[str, str] | None = None
    expect_status: int | None = None
    expect_text: str | None = None
    expect_sha256: Digest | None = None  # of the whole answer: a file that is offered to be fetched
    address: str | None = None
    port: str | None = None
    run: str | None = None


def fill_in(text: str, facts: Mapping[str, str]) -> str:
    """Put a host's facts in the place of `{name}`. Raises KeyError with the name that the host does not have."""
    pieces = text.split("{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, closed, rest = piece.partition("}")
        if not closed:
            filled.append("{" + piece)
            continue
        filled.append(facts[name] + rest)
    return "".join(filled)
