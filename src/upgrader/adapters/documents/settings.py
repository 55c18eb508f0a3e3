"""upgrader.yml: the few things that a site sets for itself. None can loosen a rule; rules live in the trust file."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from upgrader.adapters.documents.fields import Bilingual, SiteText, Zone, matching, one_of, whole
from upgrader.adapters.documents.models import Model, reads
from upgrader.adapters.documents.reading import read_document
from upgrader.adapters.documents.writing import quoted, scalar
from upgrader.domain.names import SiteId

FORKS = 50
MOST_FORKS = 500


class Language(StrEnum):
    CHINESE = "zh"
    ENGLISH = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this site is called and how its people work. `forks`: with how many hosts Ansible talks at once."""

    site: SiteId
    hospital: Mapping[str, str]
    time_zone: str
    language: Language
    change_prefix: str
    forks: int = FORKS


def read_settings(content: bytes, file: str) -> Settings:
    """Read an upgrader.yml. Raises BadInput `document-invalid` with everything that is wrong with it."""
    model = read_document(_Settings, content, file).model
    return Settings(
        site=model.site,
        hospital=model.hospital.as_mapping(),
        time_zone=model.time_zone,
        language=model.language,
        change_prefix=model.change_prefix,
        forks=model.forks,
    )


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
"""


class _Settings(Model):
    site: SiteText
    hospital: Bilingual
    time_zone: Zone
    language: Annotated[Language, reads(one_of(Language))]
    change_prefix: Annotated[str, reads(matching(r"[A-Z]{2,8}", "CHG", str))]
    forks: Annotated[int, reads(whole(1, MOST_FORKS))] = FORKS
