"""Domain values to text and JSON: text in the reader's language that fits 80 columns, JSON as one versioned object.

`text.py` draws for people, `data.py` answers programs. A verb loads only those modules that it draws with: all of them
would cost every command a third of a second.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from upgrader.render.audited import audited, audited_json
    from upgrader.render.correction import dry_run, dry_run_json
    from upgrader.render.data import (
        change_json,
        changes_json,
        drafted_json,
        pending_json,
        plain_record,
        plan_json,
        record_json,
        requested_joint_json,
        requested_json,
        rows,
        sealed_json,
        soaked_json,
        staged_json,
        standing_json,
    )
    from upgrader.render.deadline import brake, deadline, deadline_json
    from upgrader.render.debts import debts, debts_json
    from upgrader.render.form import form_json, sheet
    from upgrader.render.form import missing as form_missing
    from upgrader.render.host_state import host_states, host_states_json
    from upgrader.render.inspection import agenda as inspection_agenda
    from upgrader.render.inspection import log as inspection_log
    from upgrader.render.inspection import log_json as inspection_json
    from upgrader.render.inspection import sheet as inspection_sheet
    from upgrader.render.joint import joint, joint_json, release
    from upgrader.render.known_bad import known_bad, known_bad_json
    from upgrader.render.late import retried, retried_json
    from upgrader.render.locks import locks, locks_json
    from upgrader.render.notify import not_delivered, notification_words, notified, notified_json
    from upgrader.render.outlook import outlook, outlook_json
    from upgrader.render.prestaged import prestaged, prestaged_json
    from upgrader.render.schedule import ordered, ordered_json, schedule, schedule_json, scheduled
    from upgrader.render.serve import heartbeat, heartbeat_json, said, said_json
    from upgrader.render.systems import system, systems, systems_json
    from upgrader.render.text import change, changes, foreseen, pending, plan, soaked, staged, standing
    from upgrader.render.trust import next_trust, next_trust_json, past_trust_json, trust, trust_history

# Where each name is from, for the first who asks for it; the imports above say the same to whoever checks types.
HOMES: Mapping[str, str] = {
    "audited": "audited.audited",
    "audited_json": "audited.audited_json",
    "brake": "deadline.brake",
    "change": "text.change",
    "change_json": "data.change_json",
    "changes": "text.changes",
    "changes_json": "data.changes_json",
    "deadline": "deadline.deadline",
    "deadline_json": "deadline.deadline_json",
    "debts": "debts.debts",
    "debts_json": "debts.debts_json",
    "drafted_json": "data.drafted_json",
    "dry_run": "correction.dry_run",
    "dry_run_json": "correction.dry_run_json",
    "foreseen": "text.foreseen",
    "form_json": "form.form_json",
    "form_missing": "form.missing",
    "heartbeat": "serve.heartbeat",
    "heartbeat_json": "serve.heartbeat_json",
    "host_states": "host_state.host_states",
    "host_states_json": "host_state.host_states_json",
    "inspection_agenda": "inspection.agenda",
    "inspection_json": "inspection.log_json",
    "inspection_log": "inspection.log",
    "inspection_sheet": "inspection.sheet",
    "joint": "joint.joint",
    "joint_json": "joint.joint_json",
    "known_bad": "known_bad.known_bad",
    "known_bad_json": "known_bad.known_bad_json",
    "locks": "locks.locks",
    "locks_json": "locks.locks_json",
    "next_trust": "trust.next_trust",
    "next_trust_json": "trust.next_trust_json",
    "not_delivered": "notify.not_delivered",
    "notification_words": "notify.notification_words",
    "notified": "notify.notified",
    "notified_json": "notify.notified_json",
    "ordered": "schedule.ordered",
    "ordered_json": "schedule.ordered_json",
    "outlook": "outlook.outlook",
    "outlook_json": "outlook.outlook_json",
    "past_trust_json": "trust.past_trust_json",
    "pending": "text.pending",
    "pending_json": "data.pending_json",
    "plain_record": "data.plain_record",
    "plan": "text.plan",
    "plan_json": "data.plan_json",
    "prestaged": "prestaged.prestaged",
    "prestaged_json": "prestaged.prestaged_json",
    "record_json": "data.record_json",
    "release": "joint.release",
    "requested_joint_json": "data.requested_joint_json",
    "requested_json": "data.requested_json",
    "retried": "late.retried",
    "retried_json": "late.retried_json",
    "rows": "data.rows",
    "said": "serve.said",
    "said_json": "serve.said_json",
    "schedule": "schedule.schedule",
    "schedule_json": "schedule.schedule_json",
    "scheduled": "schedule.scheduled",
    "sealed_json": "data.sealed_json",
    "sheet": "form.sheet",
    "soaked": "text.soaked",
    "soaked_json": "data.soaked_json",
    "staged": "text.staged",
    "staged_json": "data.staged_json",
    "standing": "text.standing",
    "standing_json": "data.standing_json",
    "system": "systems.system",
    "systems": "systems.systems",
    "systems_json": "systems.systems_json",
    "trust": "trust.trust",
    "trust_history": "trust.trust_history",
}

__all__ = [
    "audited",
    "audited_json",
    "brake",
    "change",
    "change_json",
    "changes",
    "changes_json",
    "deadline",
    "deadline_json",
    "debts",
    "debts_json",
    "drafted_json",
    "dry_run",
    "dry_run_json",
    "foreseen",
    "form_json",
    "form_missing",
    "heartbeat",
    "heartbeat_json",
    "host_states",
    "host_states_json",
    "inspection_agenda",
    "inspection_json",
    "inspection_log",
    "inspection_sheet",
    "joint",
    "joint_json",
    "known_bad",
    "known_bad_json",
    "locks",
    "locks_json",
    "next_trust",
    "next_trust_json",
    "not_delivered",
    "notification_words",
    "notified",
    "notified_json",
    "ordered",
    "ordered_json",
    "outlook",
    "outlook_json",
    "past_trust_json",
    "pending",
    "pending_json",
    "plain_record",
    "plan",
    "plan_json",
    "prestaged",
    "prestaged_json",
    "record_json",
    "release",
    "requested_joint_json",
    "requested_json",
    "retried",
    "retried_json",
    "rows",
    "said",
    "said_json",
    "schedule",
    "schedule_json",
    "scheduled",
    "sealed_json",
    "sheet",
    "soaked",
    "soaked_json",
    "staged",
    "staged_json",
    "standing",
    "standing_json",
    "system",
    "systems",
    "systems_json",
    "trust",
    "trust_history",
]


def __getattr__(name: str) -> Any:
    """Load what draws this, once. Raises AttributeError for a name that nothing here draws."""
    home = HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, there = home.partition(".")
    found = globals()[name] = getattr(import_module(f"{__name__}.{module}"), there)
    return found


class _Drawings(ModuleType):
    """This module, in which `deadline` is what is drawn: importing `deadline.py` does not put the module there."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Drawings
