"""A secret: a site's value that stands in no plan, journal or bundle. People sign its name: `secret:exam-db`."""

import re
from collections.abc import Iterable

from upgrader.domain.changes.plan import Plan
from upgrader.domain.names import Name

MARK = "secret:"


class SecretName(Name):
    pattern = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
    expected = "small letters, digits and . _ -"


def secrets_of(plan: Plan, hosts: Iterable[str]) -> tuple[str, ...]:
    """The names of all secrets that these hosts of the plan need, sorted."""
    values = [value for host in hosts for value in plan.host(host).parameters.values()]
    return tuple(sorted({value.removeprefix(MARK) for value in values if value.startswith(MARK)}))
