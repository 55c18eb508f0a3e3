"""Configuration defaults: what the vendor set before, what the vendor sets now, and what the site keeps."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
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


def default_notes(
    after: Mapping[str, str],
    before: Mapping[str, Mapping[str, str]],
    hosts: Sequence[tuple[str, Mapping[str, str]]],
    *,
    without: Set[str],
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """What the signers are told, as code and fields: the defaults that change, and versions that were not compared.

    `before` are the defaults of the versions that are known, `hosts` each host's version and the site's values on it;
    the versions `without` need no comparing.
    """
    pairs = [(before[installed], site) for installed, site in hosts if installed in before]
    for change in default_changes(after, pairs):
        told = {"name": change.name, "before": change.before, "after": change.after, "site": change.site}
        fields = {name: text for name, text in told.items() if text is not None} | {"count": str(change.hosts)}
        match change:
            case DefaultChange(before=None):
                code = "default-added"
            case DefaultChange(after=None):
                code = "default-gone"
            case _:
                code = "default-changed"
        yield code if change.site is None else f"{code}-site-stays", fields
    strange = {installed for installed, _ in hosts} - set(before) - without
    if after and strange:
        yield "defaults-unknown", {"versions": ", ".join(sorted(strange)[:10])}
