"""Configuration defaults: what the vendor set before, what the vendor sets now, and what the site keeps."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DefaultChange:
    """One default of the vendor that is not what it was, on `hosts` hosts.

    `before` is None for a setting that is new, `after` for one that is gone; `site` is the site's own value on these
    hosts, which stays, or None where the default counts.
    """

    name: str
    before: str | None
    after: str | None
    site: str | None
    hosts: int


def default_changes(
    after: Mapping[str, str], hosts: Iterable[tuple[Mapping[str, str], Mapping[str, str]]]
) -> tuple[DefaultChange, ...]:
    """What changes when hosts come to the defaults `after`. A host is the defaults before, and the site's values."""
    counted: Counter[tuple[str, str | None, str | None, str | None]] = Counter()
    for before, site in hosts:
        if before == after:
            continue
        for name in before.keys() | after.keys():
            if before.get(name) != after.get(name):
                counted[name, before.get(name), after.get(name), site.get(name)] += 1
    ordered = sorted(counted.items(), key=lambda item: tuple((text is not None, text or "") for text in item[0]))
    return tuple(DefaultChange(*change, hosts) for change, hosts in ordered)
