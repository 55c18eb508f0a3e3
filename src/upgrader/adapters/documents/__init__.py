"""What people write, read strictly and told back with line and column. YAML and pydantic have their one home here."""

from upgrader.adapters.documents.durations import read_duration, write_duration
from upgrader.adapters.documents.policy import read_policy
from upgrader.adapters.documents.policy_example import PolicyExample, policy_example
from upgrader.adapters.documents.public_keys import KeyFault, read_public_key
from upgrader.adapters.documents.release import read_release
from upgrader.adapters.documents.request import read_request, write_request
from upgrader.adapters.documents.settings import Language, Settings, read_settings, write_settings

__all__ = [
    "KeyFault",
    "Language",
    "PolicyExample",
    "Settings",
    "policy_example",
    "read_duration",
    "read_policy",
    "read_public_key",
    "read_release",
    "read_request",
    "read_settings",
    "write_duration",
    "write_request",
    "write_settings",
]
