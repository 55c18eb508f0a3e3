"""What hosts run beside what we know of them, as text and as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from upgrader.flow.watching.host_state import HostState, Match
from upgrader.language import Texts

WELL = frozenset({Match.AS_KNOWN, Match.UNKNOWN_TO_US})


def host_states(found: Sequence[HostState], texts: Texts) -> Sequence[str]:
    """A line for each host, those that differ first; then what differs, counted."""
    ordered = sorted(found, key=lambda one: (one.match in WELL, one.host))
    width = max((len(one.host) for one in found), default=0)
    lines = []
    for one in ordered:
        mark = "✓" if one.match in WELL else "✗"
        said = f"{one.known.version} {one.known.change}" if one.known else "-"
        lines.append(f"  {mark} {one.host:{width}}  {one.installed or '-':12}  {texts(f'match.{one.match}')} ({said})")
    differ = sum(one.match not in WELL for one in found)
    return [*lines, texts("said.host-state", hosts=len(found), differ=differ)]


def host_states_json(system: str, found: Sequence[HostState]) -> Mapping[str, Any]:
    hosts = [
        {
            "host": one.host,
            "installed": one.installed,
            "known": one.known.version if one.known else None,
            "change": one.known.change if one.known else None,
            "match": one.match.value,
            "detail": one.detail,
        }
        for one in found
    ]
    return {"format": "upgrader.host-state/1", "system": system, "hosts": hosts}
