"""Domain values to text and JSON: text in the reader's language that fits 80 columns, JSON as one versioned object.

`text.py` draws for people, `data.py` answers programs.
"""

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
