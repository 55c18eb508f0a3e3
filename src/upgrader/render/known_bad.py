"""Known-bad releases, for people and for programs."""

from collections.abc import Mapping, Sequence
from typing import Any

from upgrader.domain import plain
from upgrader.domain.releases.known_bad import Standing
from upgrader.language import Texts


def known_bad(standings: Sequence[Standing], texts: Texts) -> Sequence[str]:
    """A block each: of what, by whom, why, and whether it stands."""
    if not standings:
        return [texts("blocked.none")]
    lines = []
    for standing in standings:
        record = standing.block.record
        mark = "✓" if standing.is_lifted else "✗"
        lines.append(f"  {mark} {record.system} {record.version}  {record.person}  {plain.to_plain(record.issued)}")
        lines.append(f"      {record.reason}")
        if standing.by:
            lines.append(f"      {texts('blocked.by', people=', '.join(standing.by))}")
        missing = ", ".join(f"{row.role} {row.count}" for row in standing.missing)
        key = "blocked.lifted" if standing.is_lifted else "blocked.missing"
        lines.append(f"      {texts(key, missing=missing)}")
    return lines


def known_bad_json(standings: Sequence[Standing]) -> Mapping[str, Any]:
    listed = [
        {
            "system": standing.block.record.system,
            "version": standing.block.record.version,
            "release": standing.block.record.release.hex,
            "file": standing.block.file,
            "person": standing.block.record.person,
            "since": plain.to_plain(standing.block.record.issued),
            "reason": standing.block.record.reason,
            "lifted": standing.is_lifted,
            "lifted_by": list(standing.by),
            "missing": [{"role": row.role, "count": row.count} for row in standing.missing],
        }
        for standing in standings
    ]
    return {"format": "upgrader.known-bad-list/1", "known_bad": listed}
