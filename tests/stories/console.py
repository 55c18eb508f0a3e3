"""Console blocks in documents: the commands stand in the document, the output is that of a real run.

A document's prompt `li.na$ ` says who types. A line `…` stands for lines that the document leaves out.
"""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROMPT = re.compile(r"([a-z.]+)\$ (.*)")
LEFT_OUT = "…"
CONTINUED = "\\\n"
# What differs from one run to the next.
VARYING = (
    (re.compile(r"SHA256:[A-Za-z0-9+/]{43}"), "SHA256:…"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "64 hex"),
    (re.compile(r"\b[0-9a-f]{4} [0-9a-f]{4}\b"), "8 hex"),
    (re.compile(r"_[0-9a-f]{8}\.json"), "_8hex.json"),
    (re.compile(r"\b(CHG)-[0-9]{4}-"), r"\1-year-"),
    (re.compile(r"\b20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}\b"), "a time"),
    (re.compile(r"\b[0-9]+\.[0-9] (s|秒)"), r"n.n \1"),
    (re.compile(r"\b(about|way back) [0-9]+ (s|min)\b"), r"\1 n"),
    (re.compile(r"(约|回退) [0-9]+ (秒|分钟)"), r"\1 n"),
    (re.compile(r"[0-9]+(?= ?(of [0-9]+ measurements|measurements|entries|次|条))"), "n"),
    (re.compile(r"(of |测量 ?|共 ?)[0-9]+"), r"\1n"),
    (re.compile(r"[ ]+"), " "),
)
HOST_LINE = re.compile(r"  [a-z]+-[0-9]+ ")


@dataclass(frozen=True, slots=True)
class Typed:
    """One command, who types it, and the lines that follow."""

    person: str
    command: str
    output: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        return shlex.split(self.command.replace(CONTINUED, " "))

    def answered(self, output: Sequence[str]) -> "Typed":
        """The same command with the output of a run, as much of it as the document shows."""
        if LEFT_OUT not in self.output:
            return replace(self, output=tuple(output))
        before = self.output.index(LEFT_OUT)
        after = len(self.output) - before - 1
        return replace(self, output=(*output[:before], LEFT_OUT, *(output[-after:] if after else ())))

    def __str__(self) -> str:
        return "\n".join([f"{self.person}$ {self.command}", *self.output])


def block_of(document: str) -> str:
    """The one console block of a document."""
    (block,) = BLOCK.findall(document)
    return str(block)


def with_block(document: str, block: str) -> str:
    return BLOCK.sub(lambda _: f"```console\n{block}```", document)


def read_console(block: str) -> list[Typed]:
    """The commands of a block in their order."""
    typed: list[Typed] = []
    for line in block.splitlines():
        if typed and typed[-1].command.endswith("\\"):
            typed[-1] = replace(typed[-1], command=f"{typed[-1].command}\n{line}")
        elif match := PROMPT.fullmatch(line):
            typed.append(Typed(match[1], match[2], ()))
        elif typed and line:
            typed[-1] = replace(typed[-1], output=(*typed[-1].output, line))
    return typed


def write_console(typed: Iterable[Typed]) -> str:
    return "".join(f"{one}\n\n" for one in typed).removesuffix("\n")


def comparable(lines: Iterable[str]) -> list[str]:
    """Lines without what varies: hosts of one wave in order, a line that is said again said once."""
    ordered: list[str] = []
    for is_host, group in groupby(lines, lambda line: HOST_LINE.match(line) is not None):
        said = list(group)
        ordered += sorted(said) if is_host else said
    plain = [_without_varying(line) for line in ordered]
    return [line for line, _ in groupby(line for line in plain if line)]


def _without_varying(line: str) -> str:
    for pattern, word in VARYING:
        line = pattern.sub(word, line)
    return line.strip()
