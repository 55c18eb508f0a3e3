"""Every error this program raises on purpose.

UpgraderError           1    unexpected, but ours
  BadInput              2    a file or an argument that a person wrote is wrong; all problems at once
  Refused               10   the rules say no; nothing was touched
  Locked                11   somebody else holds what this needs
  OutsideWindow         12   not now
  Integrity             13   bytes are not what they were said to be
  PreflightFailed       14   a host, a key or a program is not ready
  PlaybookFailed        31   Ansible itself could not do its work; hosts may be changed
  Ended                 143  this process was asked to end; all that it did is whole
  LabFailed             1    the lab of test hosts could not be made

Each carries a stable `code` and named `fields`. What people read is kept by code in `upgrader/language/*.toml`, in
Chinese and English, with what was expected, what was found and what to do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the shell is told. Unknown means failure."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    REFUSED = 10
    LOCKED = 11
    OUTSIDE_WINDOW = 12
    INTEGRITY = 13
    PREFLIGHT_FAILED = 14
    CHANGES_PENDING = 20
    ROLLED_BACK = 30
    ROLLBACK_INCOMPLETE = 31
    OFFLINE_LEFT = 32
    UNSTABLE = 33
    INCONCLUSIVE = 34
    TERMINATED = 143


class UpgraderError(Exception):
    """An error with a stable code; its text is found by that code."""

    exit_code: ClassVar[ExitCode] = ExitCode.UNEXPECTED

    def __init__(self, code: str, **fields: object) -> None:
        self.code = code
        self.fields = {name: str(value) for name, value in fields.items()}
        super().__init__(code, self.fields)

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"{self.code}: {told}" if told else self.code


class Refused(UpgraderError):
    exit_code = ExitCode.REFUSED


class Locked(UpgraderError):
    exit_code = ExitCode.LOCKED


class OutsideWindow(UpgraderError):
    exit_code = ExitCode.OUTSIDE_WINDOW


class Integrity(UpgraderError):
    exit_code = ExitCode.INTEGRITY


class PreflightFailed(UpgraderError):
    exit_code = ExitCode.PREFLIGHT_FAILED


class PlaybookFailed(UpgraderError):
    exit_code = ExitCode.ROLLBACK_INCOMPLETE


class Ended(UpgraderError):
    exit_code = ExitCode.TERMINATED


class LabFailed(UpgraderError):
    pass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file that a person wrote. Line and column count from 1; 0 means the whole file."""

    file: str
    line: int
    column: int
    code: str
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class BadInput(UpgraderError):
    """One or more problems in what a person wrote. All are told at once."""

    exit_code = ExitCode.USAGE

    def __init__(self, code: str, problems: Iterable[Problem] = (), **fields: object) -> None:
        super().__init__(code, **fields)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"{p.place}: {p.code} {dict(p.fields)}" for p in self.problems)])
