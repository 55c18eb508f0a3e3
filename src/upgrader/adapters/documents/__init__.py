"""What people write, read strictly and told back with line and column. YAML and pydantic have their one home here.

Each name is imported when it is first asked for: a command that reads only the settings does not wait for pydantic.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upgrader.adapters.documents.calendar import read_calendar
    from upgrader.adapters.documents.durations import read_duration, write_duration
    from upgrader.adapters.documents.inspection import read_inspection
    from upgrader.adapters.documents.notify import read_notifiers
    from upgrader.adapters.documents.particulars import read_answers
    from upgrader.adapters.documents.policy import read_policy
    from upgrader.adapters.documents.public_keys import KeyFault, read_public_key
    from upgrader.adapters.documents.release import read_release
    from upgrader.adapters.documents.release_draft import draft_release
    from upgrader.adapters.documents.request import read_request, write_request
    from upgrader.adapters.documents.settings import Language, Settings
    from upgrader.adapters.documents.settings_file import read_settings, write_settings
    from upgrader.adapters.documents.system import read_systems

MODULES = {
    "calendar": ("read_calendar",),
    "durations": ("read_duration", "write_duration"),
    "inspection": ("read_inspection",),
    "notify": ("read_notifiers",),
    "particulars": ("read_answers",),
    "policy": ("read_policy",),
    "public_keys": ("KeyFault", "read_public_key"),
    "release": ("read_release",),
    "release_draft": ("draft_release",),
    "request": ("read_request", "write_request"),
    "settings": ("Language", "Settings"),
    "settings_file": ("read_settings", "write_settings"),
    "system": ("read_systems",),
}

__all__ = [
    "KeyFault",
    "Language",
    "Settings",
    "draft_release",
    "read_answers",
    "read_calendar",
    "read_duration",
    "read_inspection",
    "read_notifiers",
    "read_policy",
    "read_public_key",
    "read_release",
    "read_request",
    "read_settings",
    "read_systems",
    "write_duration",
    "write_request",
    "write_settings",
]


def __getattr__(name: str) -> object:
    for module, names in MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
