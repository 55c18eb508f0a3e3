"""upgrader.yml as a file: read by every command, written by `init`."""

from contextlib import suppress

from upgrader.adapters.documents.settings import READERS, Settings, read_keys
from upgrader.adapters.documents.values import Wrong
from upgrader.adapters.documents.writing import quoted, scalar
from upgrader.adapters.documents.yaml_nodes import read_page


def read_settings(content: bytes, file: str) -> Settings:
    """Read an upgrader.yml. Raises BadInput `document-invalid` with everything that is wrong with it.

    Every command reads it, so it is read without pydantic; what is wrong with it is found out with pydantic.
    """
    page = read_page(content, file, template_marks_allowed=True)
    if not page.problems:
        with suppress(Wrong):
            return Settings(**read_keys(page.root, READERS, optional={"forks", "clock_tolerance"}))
    from upgrader.adapters.documents.settings_model import read_by_model  # brings pydantic

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
