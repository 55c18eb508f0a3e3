"""upgrader.yml: the few things that a site sets for itself. None can loosen a rule; rules live in the trust file."""

from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from upgrader.adapters.documents.values import Wrong, matching, named, one_of, prose, whole, zone
from upgrader.adapters.documents.writing import quoted, scalar
from upgrader.adapters.documents.yaml_nodes import Keys, read_page
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


def read_settings(content: bytes, file: str) -> Settings:
    """Read an upgrader.yml. Raises BadInput `document-invalid` with everything that is wrong with it.

    Every command reads it, so it is read without pydantic; what is wrong with it is found out with pydantic.
    """
    page = read_page(content, file, template_marks_allowed=True)
    if not page.problems:
        with suppress(Wrong):
            return Settings(**_read_keys(page.root, READERS, optional={"forks", "clock_tolerance"}))
    from upgrader.adapters.documents.settings_model import read_by_model

    return read_by_model(content, file)


def write_settings(settings: Settings) -> str:
    """The text that `read_settings` reads back to the same value. Raises BadInput when there is none."""
    written = TEMPLATE.format(
        site=scalar(settings.site),
        zh=quoted(settings.hospital["zh"]),
        en=quoted(settings.hospital["en"]),
        time_zone=settings.time_zone,
        language=settings.language.value,
        change_prefix=settings.change_prefix,
        forks=settings.forks,
        clock_tolerance=settings.clock_tolerance,
    )
    read_settings(written.encode(), "upgrader.yml")
    return written


TEMPLATE = """\
# The settings of this site / 本院设置
site: {site:<20} # the same id as in the trust file / 与信任文件中的站点标识一致
hospital:
  zh: {zh}
  en: {en}
time_zone: {time_zone:<15} # IANA name / IANA 时区名
language: {language:<16} # zh | en
change_prefix: {change_prefix:<11} # changes are called {change_prefix}-2026-0001 / 变更编号前缀
forks: {forks:<19} # hosts that are worked on at once, 1…500 / 同时处理的主机数
clock_tolerance: {clock_tolerance:<9} # seconds that clocks may differ, 1…3600 / 时钟偏差上限（秒）
"""


def _both_languages(node: object) -> Mapping[str, str]:
    line = prose(1000)
    return _read_keys(node, {"zh": line, "en": line}, optional=frozenset())


READERS: Mapping[str, Callable[[object], Any]] = {
    "site": named(SiteId, "renmin-hospital"),
    "hospital": _both_languages,
    "time_zone": zone,
    "language": one_of(Language),
    "change_prefix": matching(r"[A-Z]{2,8}", "CHG", str),
    "forks": whole(1, MOST_FORKS),
    "clock_tolerance": whole(1, LARGEST_TOLERANCE),
}


def _read_keys(node: object, readers: Mapping[str, Callable[[object], Any]], optional: Set[str]) -> dict[str, Any]:
    """The values of a mapping. Raises Wrong for any key too many, missing, or with a value that does not fit."""
    if not isinstance(node, Keys) or not set(readers) - optional <= set(node) <= set(readers):
        raise Wrong("wrong-keys", {})
    return {key: readers[key](node[key]) for key in node}
