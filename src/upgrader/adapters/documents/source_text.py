"""The bytes of a document as text that shows what it says: UTF-8, no byte order mark, no character that hides."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from upgrader.domain.canonical import hidden_character
from upgrader.domain.errors import Problem

LARGEST_FILE = 256 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
STAND_IN = "�"
TEMPLATE_MARK = re.compile(r"\{[{%#]")


@dataclass(frozen=True, slots=True)
class SourceText:
    """What can be read of a file. A stand-in for each refused character keeps the columns as the editor shows them."""

    text: str
    problems: tuple[Problem, ...]


def read_source(content: bytes, file: str) -> SourceText:
    """Decode `content`. A file that cannot be read at all gives an empty text and the one problem that says why."""
    if len(content) > LARGEST_FILE:
        return _unreadable(file, "file-too-large", expected=LARGEST_FILE, found=len(content))
    problems = []
    if content.startswith(BYTE_ORDER_MARK):
        problems.append(Problem(file, 1, 1, "byte-order-mark"))
        content = content.removeprefix(BYTE_ORDER_MARK)
    try:
        text = content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return _unreadable(file, "not-utf-8", line=line, found=f"0x{content[error.start]:02X}")
    lines = text.split("\n")
    for number, line_text in enumerate(lines, 1):
        problems += _refused_characters(line_text, file, number)
    plain = "\n".join(line if line.isprintable() else "".join(map(_shown, line)) for line in lines)
    return SourceText(plain, tuple(problems))


def refused_character(text: str) -> str | None:
    """The first character that would not be seen as what it is, as U+XXXX; the two Unicode line breaks count too."""
    if text.isprintable():  # nothing of the kind, found fast
        return None
    for character in text:
        if found := hidden_character(character):
            return found
        if unicodedata.category(character) in ("Zl", "Zp"):
            return f"U+{ord(character):04X}"
    return None


def _shown(character: str) -> str:
    if character == "\t":
        return " "
    return STAND_IN if refused_character(character) else character


def template_marks(text: str, file: str) -> Iterator[Problem]:
    """Every place, comments too, that a template engine would take for its own."""
    for number, line in enumerate(text.split("\n"), 1):
        for mark in TEMPLATE_MARK.finditer(line):
            yield Problem(file, number, mark.start() + 1, "template-mark", (("found", mark[0]),))


def _refused_characters(line: str, file: str, number: int) -> Iterator[Problem]:
    """The first tab and the first hidden character of a line: the person will look at the whole line anyway."""
    if line.isprintable():
        return
    if (column := line.find("\t")) >= 0:
        yield Problem(file, number, column + 1, "tab-not-allowed")
    for column, character in enumerate(line, 1):
        if character != "\t" and (found := refused_character(character)):
            yield Problem(file, number, column, "hidden-character", (("found", found),))
            return


def _unreadable(file: str, code: str, *, line: int = 0, **fields: object) -> SourceText:
    told = tuple((name, str(value)) for name, value in fields.items())
    return SourceText("", (Problem(file, line, 1 if line else 0, code, told),))
