"""Debts for people and for programs: which emergency owes which signatures, until when."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from upgrader.domain import plain
from upgrader.domain.approval.debt import DebtStanding, missing_rows
from upgrader.domain.approval.trust import Trust
from upgrader.language import Texts
from upgrader.render.data import rows
from upgrader.render.text import local


def debts(standings: Sequence[DebtStanding], trust: Trust, now: datetime, zone: str, texts: Texts) -> Sequence[str]:
    """Each debt with who has signed and who is missing."""
    lines = []
    for standing in standings:
        debt = standing.debt
        state = "paid" if standing.is_paid else "overdue" if debt.is_overdue(now) else "open"
        lines.append(texts(f"debt.{state}", change=debt.change, due=local(debt.due, zone)))
        for signed in standing.counted:
            if signed.record is not None:
                person = trust.person(signed.record.person)
                name = person.name[texts.language] if person else signed.record.person
                lines.append(f"  ✓ {texts('debt.signed', name=name, role=signed.record.role)}")
        if not standing.is_paid:
            lines.append(f"  … {texts('debt.missing', missing=rows(missing_rows(standing)))}")
    return lines or [texts("debt.none")]


def debts_json(standings: Sequence[DebtStanding], now: datetime) -> Mapping[str, Any]:
    listed = [
        {
            "change": standing.debt.change,
            "opened": plain.to_plain(standing.debt.opened),
            "due": plain.to_plain(standing.debt.due),
            "paid": standing.is_paid,
            "overdue": not standing.is_paid and standing.debt.is_overdue(now),
            "people": list(standing.people),
            "missing": [{"role": row.role, "count": row.count} for row in missing_rows(standing)],
        }
        for standing in standings
    ]
    return {"format": "upgrader.debts/1", "debts": listed}
