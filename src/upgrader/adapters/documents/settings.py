"""upgrader.yml: the few things that a site sets for itself. None can loosen a rule; rules live in the trust file."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from upgrader.adapters.documents.values import Wrong, matching, named, one_of, prose, whole, zone
from upgrader.adapters.documents.yaml_nodes import Keys
from upgrader.domain.names import SiteId

FORKS = 8
MOST_FORKS = 500
CLOCK_TOLERANCE = 120  # seconds
LARGEST_TOLERANCE = 3600


class Language(StrEnum):
    CHINESE = "zh"
    ENGLISH = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this site is called and how its people work. `forks`: with how many hosts Ansible talks at once.

    `clock_tolerance` is by how many seconds the clocks of controller and hosts may differ before nothing begins.
    """

    site: SiteId
    hospital: Mapping[str, str]
    time_zone: str
    language: Language
    change_prefix: str
    forks: int = FORKS
    clock_tolerance: int = CLOCK_TOLERANCE


def _both_languages(node: object) -> Mapping[str, str]:
    line = prose(1000)
    return read_keys(node, {"zh": line, "en": line}, optional=frozenset())


READERS: Mapping[str, Callable[[object], Any]] = {
    "site": named(SiteId, "renmin-hospital"),
    "hospital": _both_languages,
    "time_zone": zone,
    "language": one_of(Language),
    "change_prefix": matching(r"[A-Z]{2,8}", "CHG", str),
    "forks": whole(1, MOST_FORKS),
    "clock_tolerance": whole(1, LARGEST_TOLERANCE),
}


def read_keys(node: object, readers: Mapping[str, Callable[[object], Any]], optional: Set[str]) -> dict[str, Any]:
    """The values of a mapping. Raises Wrong for any key too many, missing, or with a value that does not fit."""
    if not isinstance(node, Keys) or not set(readers) - optional <= set(node) <= set(readers):
        raise Wrong("wrong-keys", {})
    return {key: readers[key](node[key]) for key in node}
