"""The report's own words in one language, and values as its readers write them."""

import tomllib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from importlib import resources
from zoneinfo import ZoneInfo

from upgrader.domain.digest import HEX
from upgrader.domain.papers.report import Words

GROUP = 4
SHOWN_GROUPS = 3
# Which table of labels knows the values of a journal fact.
TERMS: Mapping[str, str] = {
    "verdict": "found",
    "outcome": "outcome",
    "role": "role",
    "because": "because",
    "ending": "verdict",
}


class Language(StrEnum):
    ZH = "zh"
    EN = "en"


class Phrases:
    """Call it with a key such as `section.waves` for a label; one that is not there is a KeyError in any language."""

    def __init__(self, language: Language, zone: str) -> None:
        self.language = language
        self._labels = _labels()
        self._zone = ZoneInfo(zone)

    def __call__(self, key: str, **fields: object) -> str:
        table, _, name = key.partition(".")
        return self._labels[table][name][self.language].format(**fields)

    def term(self, table: str, value: object) -> str:
        """The word for a value of a closed set, or the value itself where the set is a site's own (roles, facts)."""
        known = self._labels[table].get(str(value).replace(" ", "-"))
        return known[self.language] if known else str(value)

    def pick(self, words: Words) -> str:
        """The text in this language, or in the other one when it is all there is."""
        return words.get(self.language) or next((text for text in words.values() if text), self("page.nothing"))

    def when(self, at: datetime | None) -> str:
        return self._form(at, "%Y-%m-%d %H:%M")

    def exactly(self, at: datetime | None) -> str:
        return self._form(at, "%Y-%m-%d %H:%M:%S")

    def offset(self, at: datetime) -> str:
        """How far the zone is from UTC at that time, as `UTC+08:00`."""
        offset = at.astimezone(self._zone).strftime("%z")
        return f"UTC{offset[:3]}:{offset[3:5]}"

    def span(self, start: datetime | None, end: datetime | None) -> str:
        """Two times as one text; what both have in common is said once."""
        if start is None or end is None:
            return f"{self.when(start)} → {self.when(end)}"
        first, last = start.astimezone(self._zone), end.astimezone(self._zone)
        if first.year != last.year:
            return f"{self.when(start)} → {self.when(end)}"
        return f"{self.when(start)} → {last.strftime('%H:%M' if first.date() == last.date() else '%m-%d %H:%M')}"

    def duration(self, seconds: int) -> str:
        hours, rest = divmod(seconds, 3600)
        minutes, rest = divmod(rest, 60)
        parts = {"hours": hours, "minutes": minutes, "seconds": rest}
        return " ".join(self(f"time.{unit}", n=n) for unit, n in parts.items() if n) or self("time.seconds", n=0)

    def downtime(self, milliseconds: int | None) -> str:
        if milliseconds is None:
            return self("page.nothing")
        if milliseconds < 1000:
            return self("time.milliseconds", n=milliseconds)
        return self("time.seconds", n=f"{milliseconds / 1000:.1f}")

    def version(self, version: str) -> str:
        return version or self("field.nothing-installed")

    def fact(self, key: str, value: str) -> str:
        """The value of a journal fact: known words in this language, a digest by its first groups."""
        if HEX.fullmatch(value):
            return " ".join(groups(value)[:SHOWN_GROUPS]) + " …"
        return self.term(TERMS[key], value) if key in TERMS else value

    def _form(self, at: datetime | None, form: str) -> str:
        return at.astimezone(self._zone).strftime(form) if at else self("page.nothing")


def groups(text: str) -> list[str]:
    """A digest in groups of four digits, as people compare them."""
    return [text[start : start + GROUP] for start in range(0, len(text), GROUP)]


def _labels() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    return tomllib.loads(resources.files(__package__).joinpath("labels.toml").read_text(encoding="utf-8"))
