"""The texts that people read, in Chinese and English, each found by a stable key.

`en.toml` and `zh.toml` hold the same keys with the same `{fields}`; a test compares them. Code never joins sentences.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from upgrader.domain.errors import BadInput, Problem, UpgraderError

# A field of this name is shown in the words of this family, such as `state.rolling-back` for the value `rolling-back`.
FAMILIES: Mapping[str, str] = {
    "because": "because",
    "decision": "decision",
    "event": "fact",
    "ground": "ground",
    "kind": "kind",
    "legal": "fact",
    "outcome": "outcome",
    "missing": "role",
    "result": "result",
    "role": "role",
    "stage": "test",
    "state": "state",
    "tests": "test",
    "verdict": "verdict",
}
MOST_SHOWN = 10


class Language(StrEnum):
    ZH = "zh"
    EN = "en"


class Texts:
    """The texts of one language. Call it with a key and the fields of that text."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._by_key = catalogue(language)
        self._names: dict[str, Callable[[], Mapping[str, str]]] = {}

    def __call__(self, key: str, /, **fields: object) -> str:
        """Give the text, filled in. A key without a text shows itself and its fields, so nothing is lost."""
        pattern = self._by_key.get(key)
        if pattern is None:
            return f"{key} {fields}" if fields else key
        return pattern.format_map(_Fields({name: self._in_words(name, fields[name]) for name in fields})).strip()

    def learn(self, family: str, names: Callable[[], Mapping[str, str]]) -> None:
        """Let a family know the names that a site gave to its own things; `names` is asked once one is to be shown."""
        self._names[family] = cache(names)

    def has(self, key: str) -> bool:
        return key in self._by_key

    def _in_words(self, name: str, value: object) -> object:
        """Values of closed sets in this language, one by one where several stand in a text; lists in one line."""
        if isinstance(value, list | tuple):
            return ", ".join(map(str, value[:MOST_SHOWN])) + (" …" if len(value) > MOST_SHOWN else "")
        if name not in FAMILIES:
            return value
        return ", ".join(self._in_word(FAMILIES[name], item) for item in str(value).split(", "))

    def _in_word(self, family: str, value: str) -> str:
        """One value; what was added to it after a colon, and a count after a role, stay as they are."""
        code, colon, added = value.partition(" " if family in self._names else ": ")
        known = self._by_key.get(f"{family}.{code.replace(' ', '-')}")
        if known is None and family in self._names:
            known = self._names[family]().get(code)
        return (known or code) + colon + added

    def of_error(self, error: UpgraderError) -> str:
        """What was expected and found, then what to do; every problem of a written file on lines of its own."""
        lines = [self(f"error.{error.code}.what", **error.fields)]
        if isinstance(error, BadInput):
            lines += [line for problem in error.problems for line in self.of_problem(problem)]
        todo = self(f"error.{error.code}.todo", **error.fields) if self.has(f"error.{error.code}.todo") else ""
        return "\n".join([*lines, *([f"→ {todo}"] if todo else [])])

    def of_problem(self, problem: Problem) -> Sequence[str]:
        fields = dict(problem.fields)
        what = f"{problem.place}: {self(f'problem.{problem.code}.what', **fields)}"
        todo = self(f"problem.{problem.code}.todo", **fields) if self.has(f"problem.{problem.code}.todo") else ""
        return [what, f"    {todo}"] if todo else [what]


@cache
def catalogue(language: Language) -> Mapping[str, str]:
    """All texts of a language by dotted key."""
    content = (Path(__file__).parent / f"{language}.toml").read_bytes()
    return dict(_flatten(tomllib.loads(content.decode("utf-8")), ""))


def choose(arguments: Sequence[str], environment: Mapping[str, str]) -> Language:
    """The language to speak: `--lang`, else UPGRADER_LANG, else the locale; English when none of them says Chinese."""
    for number, argument in enumerate(arguments):
        if argument == "--lang" and number + 1 < len(arguments):
            return _language_of(arguments[number + 1])
        if argument.startswith("--lang="):
            return _language_of(argument.removeprefix("--lang="))
    names = ("UPGRADER_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    return _language_of(next((environment[name] for name in names if environment.get(name)), "en"))


def _language_of(text: str) -> Language:
    return Language.ZH if text.lower().startswith("zh") else Language.EN


def _flatten(table: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in table.items():
        pairs += _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", str(value))]
    return pairs


class _Fields(dict[str, object]):
    """A field that the caller did not give stays visible instead of hiding the whole text."""

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"
