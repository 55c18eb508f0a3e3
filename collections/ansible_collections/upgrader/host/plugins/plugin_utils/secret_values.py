# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets: the site's values that stand in no plan. A parameter, or the password of sudo, says `secret:NAME`.

The value is filled in here. The values come from one JSON file (`{"NAME": "value"}`, 0600, on a tmpfs), whose path is in the environment. They go to the
host over the connection, on standard input; what comes back is told without them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VARIABLE = "UPGRADER_SECRETS"
MARK = "secret:"


class SecretMissing(Exception):
    """The inventory names a secret whose value is not here."""


def secret_values() -> Mapping[str, str]:
    path = os.environ.get(VARIABLE, "")
    return json.loads(Path(path).read_text(encoding="utf-8")) if path else {}


def resolved(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with every `secret:NAME` replaced by its value."""
    if not any(str(value).startswith(MARK) for value in parameters.values()):
        return dict(parameters)
    values = secret_values()
    return {
        name: _value(str(value), values) if str(value).startswith(MARK) else value for name, value in parameters.items()
    }


def give_password(become: Any) -> None:
    """Where the inventory names a secret as the password of sudo, the value takes its place, in this process alone."""
    named = str(become.get_option("become_pass") or "")
    if named.startswith(MARK):
        become.set_option("become_pass", _value(named, secret_values()))


def is_refusal(error: str) -> bool:
    """Whether Ansible says so that the host did not take the password, or wants one: `Incorrect sudo password`."""
    return error.startswith(("Incorrect ", "Missing ")) and error.endswith(" password")


def withheld(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a host told, with the name of a secret wherever its value would stand."""
    found = dict(told)
    for name, value in secret_values().items():
        for key, text in found.items():
            if isinstance(text, str):
                found[key] = text.replace(value, f"<{MARK}{name}>")
    return found


def _value(text: str, values: Mapping[str, str]) -> str:
    name = text.removeprefix(MARK)
    if name not in values:
        raise SecretMissing(f"the secret {name} is not here; {VARIABLE} names the file that holds it")
    return values[name]
