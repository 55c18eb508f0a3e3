"""Names: text that became a value at the border, once. Holding one means that it is well formed.

Each is a `str`, so it prints and serialises as itself; making one from text that does not fit raises ValueError.
"""

import re
from typing import ClassVar, Self


class Name(str):
    pattern: ClassVar[re.Pattern[str]]
    expected: ClassVar[str]

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not cls.pattern.fullmatch(text):
            raise ValueError(f"expected {cls.expected}, found {text[:80]!r}")
        return super().__new__(cls, text)


class SystemId(Name):
    """A hospital information system, as in the inventory: `lis`, `outpatient-pharmacy`."""

    pattern = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
    expected = "lower-case words with hyphens, such as outpatient-pharmacy"


class Version(Name):
    """A vendor's version, kept as the vendor wrote it."""

    pattern = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~_-]{0,63}")
    expected = "a version such as 4.2.1"


class ChangeId(Name):
    pattern = re.compile(r"[A-Z]{2,8}-[0-9]{4}-[0-9]{4,6}")
    expected = "a change such as CHG-2026-0142"


class PersonId(Name):
    pattern = re.compile(r"[a-z][a-z0-9]*([.-][a-z0-9]+)*")
    expected = "a person's id in ASCII, such as li.na"


class RoleId(Name):
    pattern = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
    expected = "a role such as information-department"


class SiteId(Name):
    pattern = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
    expected = "a site such as renmin-hospital"


class HostName(Name):
    """An inventory name. `-oProxyCommand=…` as a name once ran a program, hence the strict form."""

    pattern = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
    expected = "a host name of lower-case letters, digits, dots and hyphens"


class FileName(Name):
    """The name of one file, with no folder in it."""

    pattern = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}")
    expected = "a file name of letters, digits and . _ + ~ -"
