"""The schedule for people and for programs: what is to begin when, until when it may, and who answers for it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from upgrader.domain import plain
from upgrader.domain.changes.schedule import Scheduled
from upgrader.flow.service.schedule import Ordered, Standing
from upgrader.language import Texts
from upgrader.render.text import foreseen, local


def ordered(ordered: Ordered, texts: Texts) -> Sequence[str]:
    """What was put on the schedule, and what might be in its way."""
    zone = ordered.plan.window.zone
    lines = [
        texts("schedule.head", change=ordered.change, release=ordered.plan.release_name, zone=zone),
        f"  {scheduled(ordered.order, zone, texts)}",
        f"  {texts('schedule.length', minutes=_minutes(ordered.length), waves=len(ordered.plan.waves))}",
    ]
    if not ordered.fits:
        lines.append(f"  ! {texts('schedule.does-not-fit')}")
    return [*lines, *(foreseen(ordered.foreseen, texts) if ordered.foreseen else ())]


def scheduled(order: Scheduled, zone: str, texts: Texts) -> str:
    """One line: when it begins, until when it may, and in whose name."""
    starts, expires = local(order.starts, zone), local(order.expires, zone)
    return texts("schedule.line", starts=starts, expires=expires, by=order.by)


def schedule(standing: Sequence[Standing], zone: str, texts: Texts) -> Sequence[str]:
    """All that stands on the schedule, the next first."""
    lines = []
    for one in standing:
        lines += [f"{one.change}  {one.system}", f"  {scheduled(one.order, zone, texts)}"]
    return lines or [texts("schedule.none")]


def ordered_json(ordered: Ordered) -> Mapping[str, Any]:
    return {
        "format": "upgrader.scheduled/1",
        "change": ordered.change,
        **_order(ordered.order),
        "fits": ordered.fits,
        "length_seconds": int(ordered.length.total_seconds()),
    }


def schedule_json(standing: Sequence[Standing]) -> Mapping[str, Any]:
    listed = [{"change": one.change, "system": one.system, **_order(one.order)} for one in standing]
    return {"format": "upgrader.schedule/1", "scheduled": listed}


def _order(order: Scheduled) -> Mapping[str, Any]:
    fields: dict[str, Any] = plain.to_plain(order)
    return fields


def _minutes(length: timedelta) -> int:
    return max(1, round(length.total_seconds() / 60))
