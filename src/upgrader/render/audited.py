"""What an audit found: a line for each decision of the journal, and in what it differs; for people and as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from upgrader.domain import plain
from upgrader.domain.changes.lifecycle import Event
from upgrader.flow.closing.audit import AuditedChange, Decision, Finding
from upgrader.language import Texts
from upgrader.render.text import local

MARKS = {Finding.CONFIRMED: "✓", Finding.DIFFERS: "✗", Finding.TAKEN: "·"}


def audited(change: AuditedChange, zone: str, texts: Texts) -> Sequence[str]:
    """One change: its journal, and its decisions in their order."""
    if change.fault is not None:
        head = texts("audit.broken", change=change.change)
        return [head, f"  ✗ {change.fault.code}: {texts(f'error.{change.fault.code}.what', **change.fault.fields)}"]
    head = texts(
        "audit.head", change=change.change, entries=change.entries, head=change.head.short if change.head else "-"
    )
    return [head, *[line for decision in change.decisions for line in _decision(decision, zone, texts)]]


def audited_json(changes: Sequence[AuditedChange]) -> Mapping[str, Any]:
    return {
        "format": "upgrader.audited/1",
        "holds": all(change.holds for change in changes),
        "changes": [
            {
                "change": change.change,
                "holds": change.holds,
                "entries": change.entries,
                "head": change.head.hex if change.head else "",
                "fault": change.fault.code if change.fault else "",
                "decisions": [plain.to_plain(decision) for decision in change.decisions],
            }
            for change in changes
        ],
    }


def _decision(decision: Decision, zone: str, texts: Texts) -> Sequence[str]:
    told = ", ".join(decision.told)
    match decision.event:
        case Event.PLAN_AUTHORIZED:
            word = texts("audit.yes", actor=decision.actor, told=told)
        case Event.CHANGE_ACCEPTED:
            word = texts("audit.accepted", told=told)
        case _:
            word = texts("audit.no", actor=decision.actor, told=told)
    taken = f"  ({texts('audit.taken')})" if decision.finding is Finding.TAKEN else ""
    lines = [f"  {MARKS[decision.finding]} {local(decision.at, zone)}  {word}{taken}"]
    for one in decision.differences:
        part = texts(f"audit.part.{one.part}")
        lines.append(f"      {texts('audit.differs', part=part, journal=one.journal or '-', found=one.found or '-')}")
    return lines
