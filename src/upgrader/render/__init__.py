"""Domain values to text and JSON. Text fits 80 columns and comes in the reader's language; JSON is one versioned object.

`text.py` draws for people, `data.py` answers programs.
"""

from upgrader.render.data import (
    change_json,
    changes_json,
    plain_record,
    plan_json,
    record_json,
    requested_json,
    rows,
    soaked_json,
    staged_json,
    standing_json,
)
from upgrader.render.text import change, changes, plan, soaked, staged, standing

__all__ = [
    "change",
    "change_json",
    "changes",
    "changes_json",
    "plain_record",
    "plan",
    "plan_json",
    "record_json",
    "requested_json",
    "rows",
    "soaked",
    "soaked_json",
    "staged",
    "staged_json",
    "standing",
    "standing_json",
]
