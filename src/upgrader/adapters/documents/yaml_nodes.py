"""YAML as a tree of what the person wrote, where they wrote it. Nothing is converted here: `no` stays "no".

The tree is made from parser events, never by a loader that builds objects, and never deeper than it may be: YAML's
aliases, anchors, tags, merge keys and directives are refused as they come.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

import yaml

from upgrader.adapters.documents.source_text import TEMPLATE_MARK, read_source, refused_character, template_marks
from upgrader.domain.errors import Problem

DEEPEST = 12
NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
UNFINISHED = re.compile(r"TODO\b")  # what a draft leaves to a person
FULL_WIDTH_COLON = re.compile(r"(?:^\s*(?:-\s+)?|[{,]\s*)[\"']?[A-Za-z_][A-Za-z0-9_-]*[\"']?\s*：")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column, counted from 1 as editors do."""

    line: int
    column: int


class Text(str):
    """A scalar as it was written. `written` is False where the person left the value out, or wrote null."""

    place: Place
    written: bool

    def __new__(cls, text: str, place: Place, *, written: bool) -> "Text":
        made = super().__new__(cls, text)
        made.place = place
        made.written = written
        return made


class Items(list["Node"]):
    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place


class Keys(dict[str, "Node"]):
    """A mapping, with the place of each of its keys."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.key_places: dict[str, Place] = {}


Node: TypeAlias = Text | Items | Keys


@dataclass(frozen=True, slots=True)
class Page:
    """A file as far as it can be read: `root` is None when there is no mapping to go on with."""

    file: str
    root: Keys | None
    problems: tuple[Problem, ...]


def read_page(content: bytes, file: str, *, template_marks_allowed: bool) -> Page:
    """Read one YAML file. Never raises: everything that is wrong with its form is in `problems`."""
    source = read_source(content, file)
    if not source.text:
        return Page(file, None, source.problems or (Problem(file, 0, 0, "file-empty"),))
    problems = list(source.problems)
    if not template_marks_allowed:
        problems += template_marks(source.text, file)
    reader = _Reader(source.text, file, template_marks_allowed=template_marks_allowed)
    root = reader.read()
    tabs = any(problem.code == "tab-not-allowed" for problem in problems)
    seen = {(problem.line, problem.code) for problem in problems}
    problems += [
        problem
        for problem in reader.problems
        if (problem.line, problem.code) not in seen and not (tabs and problem.code == "yaml-syntax")
    ]
    return Page(file, root, tuple(problems))


class _NoFurther(Exception):
    """The rest of the file cannot be read."""


class _Reader:
    """Makes nodes from parser events, one level of the file per level of the call stack, at most DEEPEST."""

    def __init__(self, text: str, file: str, *, template_marks_allowed: bool) -> None:
        self.problems: list[Problem] = []
        self._lines = text.split("\n")
        self._file = file
        self._template_marks_allowed = template_marks_allowed
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)

    def read(self) -> Keys | None:
        root: Keys | None = None
        try:
            root = self._first_document()
            self._refuse_more()
        except _NoFurther:
            return None
        except yaml.MarkedYAMLError as error:
            self._syntax(error)
            return None
        except yaml.YAMLError as error:
            self._problem(Place(0, 0), "yaml-syntax", found=str(error)[:120])
            return None
        return root

    def _first_document(self) -> Keys | None:
        next(self._events)  # the start of the stream
        start = next(self._events)
        if not isinstance(start, yaml.DocumentStartEvent):
            self._problem(Place(0, 0), "file-empty")
            raise _NoFurther
        if start.version or start.tags:
            self._problem(_place(start), "tag-not-allowed", found="%")
        root = self._node(next(self._events), depth=1)
        if not isinstance(root, Keys):
            self._problem(root.place, "wrong-type", key="-", expected="{…: …}", found=describe(root))
            raise _NoFurther
        return root

    def _refuse_more(self) -> None:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._problem(_place(event), "several-documents")
                raise _NoFurther

    def _node(self, event: yaml.Event, depth: int) -> Node:
        place = _place(event)
        if depth > DEEPEST:
            self._problem(place, "too-deep", expected=DEEPEST)
            raise _NoFurther
        if isinstance(event, yaml.AliasEvent):
            self._problem(place, "alias-not-allowed", found=f"*{event.anchor}")
            return Text("", place, written=False)
        assert isinstance(event, yaml.NodeEvent)  # noqa: S101 - the parser gives nothing else in this place
        self._refuse_decoration(event, place)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._items(place, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._keys(place, depth)
        assert isinstance(event, yaml.ScalarEvent)  # noqa: S101 - the third and last kind of node
        return self._text(event, place)

    def _items(self, place: Place, depth: int) -> Items:
        items = Items(place)
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items

    def _keys(self, place: Place, depth: int) -> Keys:
        keys = Keys(place)
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if self._is_good_key(key, keys):
                keys[key] = value
                keys.key_places[str(key)] = key.place
        return keys

    def _is_good_key(self, key: Node, keys: Keys) -> TypeGuard[Text]:
        if not isinstance(key, Text):
            self._problem(key.place, "wrong-type", key="-", expected='"…"', found=describe(key))
        elif not key.written:
            self._problem(key.place, "empty-not-allowed", key="-")
        elif key == "<<":
            self._problem(key.place, "merge-key-not-allowed")
        elif str(key) in keys:
            self._problem(key.place, "duplicate-key", key=key, first=keys.key_places[str(key)].line)
        else:
            return True
        return False

    def _text(self, event: yaml.ScalarEvent, place: Place) -> Text:
        text = event.value
        if "\n" in text:
            self._problem(place, "one-line-only")
        elif found := refused_character(text):
            self._problem(place, "hidden-character", found=found)
        elif UNFINISHED.match(text):
            self._problem(place, "still-to-do")
        elif not self._template_marks_allowed and (mark := TEMPLATE_MARK.search(text)):
            self._problem(place, "template-mark", found=mark[0])
        written = event.style is not None or text not in NOTHING
        return Text(text, place, written=written)

    def _refuse_decoration(self, event: yaml.NodeEvent, place: Place) -> None:
        if event.anchor is not None:
            self._problem(place, "alias-not-allowed", found=f"&{event.anchor}")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._problem(place, "tag-not-allowed", found=tag[:60])

    def _syntax(self, error: yaml.MarkedYAMLError) -> None:
        marks = [mark for mark in (error.context_mark, error.problem_mark) if mark is not None]
        for number in sorted({max(0, mark.line + step) for mark in marks for step in (-1, 0)}):
            if number < len(self._lines) and (colon := FULL_WIDTH_COLON.search(self._lines[number])):
                self._problem(Place(number + 1, colon.end()), "full-width-colon")
                return
        cut_off = error.problem is not None and "end of stream" in error.problem
        mark = marks[0] if cut_off else marks[-1]  # a quote that is never closed is told where it opens
        found = " ".join(part for part in (error.context, error.problem) if part)
        self._problem(Place(mark.line + 1, mark.column + 1), "yaml-syntax", found=found[:160])

    def _problem(self, place: Place, code: str, **fields: object) -> None:
        told = tuple((name, str(value)) for name, value in fields.items())
        self.problems.append(Problem(self._file, place.line, place.column, code, told))


def describe(value: object) -> str:
    """What stands there, short enough for one line of a message."""
    match value:
        case Keys():
            return "{…: …}"
        case Items():
            return "[…]"
        case _:
            text = str(value)
            return text if len(text) <= 80 else text[:79] + "…"


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark else Place(0, 0)
