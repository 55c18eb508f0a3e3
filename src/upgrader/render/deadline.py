"""Deadlines and brakes of a change: what its people wait for, and who holds it."""

from collections.abc import Mapping
from typing import Any

from upgrader.domain import plain
from upgrader.domain.changes.brake import Brake
from upgrader.domain.changes.demand import Deadline
from upgrader.language import Texts


def deadline(found: Deadline, texts: Texts) -> str:
    """What was demanded, by which day it is due, and how that stands: `defect, due 2026-11-27, overdue by 2 …`."""
    demand = found.demand
    if found.is_overdue:
        stands = texts("deadline.overdue", days=found.late)
    elif found.met is None:
        stands = texts("deadline.left", days=found.left)
    elif found.late:
        stands = texts("deadline.met-late", day=found.met, days=found.late)
    else:
        stands = texts("deadline.met", day=found.met)
    mark = "✗" if found.late else "…" if found.met is None else "✓"
    kind = texts(f"demand.{demand.kind}")
    told = texts("deadline.due", kind=kind, days=demand.days, since=demand.since, due=found.due)
    unsure = f" ({texts('deadline.provisional')})" if found.provisional else ""
    return f"{mark} {told}{unsure}; {stands}"


def deadline_json(found: Deadline | None) -> Mapping[str, Any] | None:
    if found is None:
        return None
    return {
        "kind": found.demand.kind,
        "since": found.demand.since.isoformat(),
        "working_days": found.demand.days,
        "due": found.due.isoformat(),
        "met": found.met.isoformat() if found.met else None,
        "left": found.left,
        "late": found.late,
        "overdue": found.is_overdue,
        "provisional": found.provisional,
    }


def brake(found: Brake, texts: Texts) -> str:
    fields = {"person": found.person, "since": plain.to_plain(found.since), "reason": found.reason}
    return "‖ " + texts("brake.paused" if found.change else "brake.stopped", **fields)
