"""A system and the one that does its work while it is down are never changed in the same window."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from upgrader.domain.changes.lifecycle import ENDS
from upgrader.domain.changes.plan import Plan
from upgrader.domain.changes.request import Request
from upgrader.domain.errors import Refused
from upgrader.domain.names import SystemId
from upgrader.flow.site import Site
from upgrader.flow.watching.described import graph_on
from upgrader.ports import Snapshot

PLANNED = re.compile(r"approvals/([^/]+)/plan\.json")


def check_stand_ins(site: Site, snapshot: Snapshot, plan: Plan) -> None:
    """Raises Refused `window-of-stand-in` when a planned change of the other system is open and its window overlaps.

    A change is over when the journal of this controller says so; one without a journal here counts as open.
    """
    graph = graph_on(site, snapshot)
    described = graph.systems.get(plan.release.system)
    if described is None:
        return
    others = {*graph.stand_ins(described.id), *([described.stands_in_for] if described.stands_in_for else [])}
    if not others:
        return
    for path in snapshot.paths("approvals"):
        match = PLANNED.fullmatch(path)
        if match is None or match[1] == plan.change:
            continue
        request = _request_of(site, snapshot, match[1], others)
        if request is not None and _overlap(request, plan) and not _is_over(site, match[1]):
            opens, closes = (_local(moment, plan) for moment in (request.window.opens, request.window.closes))
            raise Refused(
                "window-of-stand-in",
                change=plan.change,
                system=plan.release.system,
                other=request.system,
                found=match[1],
                opens=opens,
                closes=closes,
                zone=plan.window.zone,
            )


def _request_of(site: Site, snapshot: Snapshot, change: str, systems: set[SystemId]) -> Request | None:
    """The request of a change, when it is for one of these systems; others are not even parsed."""
    path = f"approvals/{change}/request.yml"
    content = snapshot.read(path) or b""
    if not any(system.encode() in content for system in systems):
        return None
    request = site.documents.read_request(content, path)
    return request if request.system in systems else None


def _overlap(request: Request, plan: Plan) -> bool:
    return request.window.opens < plan.window.closes and plan.window.opens < request.window.closes


def _local(moment: datetime, plan: Plan) -> str:
    return f"{moment.astimezone(ZoneInfo(plan.window.zone)):%Y-%m-%d %H:%M}"


def _is_over(site: Site, change: str) -> bool:
    with site.journal(change) as journal:
        return journal.history().state in ENDS
