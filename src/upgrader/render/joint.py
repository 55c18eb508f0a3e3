"""The changes of one request, a line each, for people and for programs."""

from collections.abc import Sequence
from typing import Any

from upgrader.domain.changes.joint import Half
from upgrader.domain.changes.joint_step import JointState
from upgrader.domain.changes.lifecycle import ENDS, State
from upgrader.domain.names import SystemId, Version
from upgrader.language import Texts

DONE = ENDS | {State.STABLE, State.ACCEPTED}
BACK = frozenset({State.ROLLING_BACK, State.ROLLED_BACK, State.ROLLED_BACK_IN_PART, State.STUCK})


def joint(change: str, parts: Sequence[JointState], texts: Texts) -> Sequence[str]:
    """All of them in their order; none for a change alone."""
    if not parts:
        return []
    lines = [f"  {texts('joint.head', count=len(parts))}"]
    for one in parts:
        mark = "✗" if one.state in BACK else "✓" if one.state in DONE else "·"
        told = [
            one.part.change,
            release(one.part.system, one.part.version, one.part.only, texts),
            texts(f"state.{one.state}"),
        ]
        told += [texts("joint.this")] if one.part.change == change else []
        told += [texts("joint.refused", code=one.refused)] if one.refused else []
        lines.append(f"  {mark} {'  '.join(told)}")
    return lines


def release(system: SystemId, version: Version, only: Half | None, texts: Texts) -> str:
    """What one of the changes brings, and to which half of the hosts: `his 5.1 workstations`."""
    return f"{system} {version}" + (f" {texts(f'half.{only}')}" if only else "")


def joint_json(parts: Sequence[JointState]) -> Sequence[dict[str, Any]]:
    return [
        {
            "change": one.part.change,
            "system": one.part.system,
            "version": one.part.version,
            "only": one.part.only,
            "state": one.state.value,
            "refused": one.refused or None,
        }
        for one in parts
    ]
