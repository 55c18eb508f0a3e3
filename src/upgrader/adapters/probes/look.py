"""What every kind of probe is to the prober: something that looks at one host and says what it saw."""

from datetime import datetime
from typing import Protocol

from upgrader.domain.canonical import hidden_character
from upgrader.domain.changes.verdict import Measurement, Reading
from upgrader.domain.releases.probe import Probe, fill_in
from upgrader.ports import ProbedHost

LONGEST_DETAIL = 200
LARGEST_ANSWER = 64 * 1024

Sight = tuple[Reading, str]
"""What was seen, and one line about it."""


class Look(Protocol):
    """Looks at one host. Never raises for what a host or a network does; never changes the host."""

    def measure(self, probe: Probe, host: ProbedHost, at: datetime) -> Measurement: ...
    def close(self) -> None: ...


class CannotAsk(Exception):
    """The probe's texts make no question for this host."""


def filled(text: str, host: ProbedHost) -> str:
    """Put the host's facts into a text of the probe, or raise CannotAsk naming the fact that is missing."""
    try:
        return fill_in(text, {"address": host.address, **host.facts})
    except KeyError as error:
        raise CannotAsk(f"the host has no fact {error.args[0]!r}") from error


def needed(text: str | None, field: str) -> str:
    if not text:
        raise CannotAsk(f"the probe has no {field!r}")
    return text


def measured(probe: Probe, host: ProbedHost, at: datetime, sight: Sight) -> Measurement:
    reading, detail = sight
    return Measurement(host.name, probe.name, at, reading, one_line(detail))


def one_line(text: str) -> str:
    """Make any text safe to show in one line: nothing hidden, nothing that moves a cursor, not too long."""
    plain = "".join("�" if hidden_character(c) and not c.isspace() else c for c in text)
    line = " ".join(plain.split())
    return line if len(line) <= LONGEST_DETAIL else line[: LONGEST_DETAIL - 1] + "…"
