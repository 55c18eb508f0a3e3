"""From nodes to typed values: pydantic checks a document against its model and finds all that is wrong at once.

pydantic lives here alone. The documents build their models from `Model` and from the field types in `fields.py`.
"""

import difflib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from upgrader.adapters.documents.values import Wrong, wrong
from upgrader.adapters.documents.yaml_nodes import FULL_WIDTH_COLON, Items, Keys, Node, Place, Text, describe
from upgrader.domain.errors import Problem

M = TypeVar("M", bound="Model")
Step = str | int
S = TypeVar("S", bound=Sized)
T = TypeVar("T", bound=Hashable)

SHAPES = {
    "tuple_type": "[…, …]",
    "dict_type": "{…: …}",
    "model_type": "{…: …}",
    "model_attributes_type": "{…: …}",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong between the keys of one mapping. `at` leads from there to the value that should change."""

    at: tuple[Step, ...]
    code: str
    fields: Mapping[str, object]


class Model(BaseModel):
    """A mapping in a document: every key is known, and every key without a default is there."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    def findings(self) -> Iterator[Finding]:
        """What is wrong between the keys; asked only when each value alone is fine."""
        yield from ()

    @model_validator(mode="before")
    @classmethod
    def _note_known_keys(cls, value: object, info: ValidationInfo) -> object:
        """Leave the known keys in the context, so that an unknown key can be told what it looks like."""
        if isinstance(value, Keys) and isinstance(info.context, dict):
            info.context[value.place] = tuple(field.alias or name for name, field in cls.model_fields.items())
        return value

    @model_validator(mode="after")
    def _raise_findings(self) -> Self:
        if findings := tuple(self.findings()):
            raise PydanticCustomError("findings", "wrong between the keys", {"findings": findings})
        return self


class OpenModel(Model):
    """A mapping in which keys may stand that somebody else reads."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


def reads(reader: Callable[[Any], object]) -> Any:
    """Mark a field as read by `reader` from the text that the person wrote."""
    return PlainValidator(reader)


def written_as(key: str) -> Any:
    """A field whose key in the file is a word that Python keeps for itself."""
    return Field(alias=key)


def chosen_by(key: str) -> Any:
    """A union of models of which the text under `key` picks one."""
    return Field(discriminator=key)


def short_for(key: str) -> Any:
    """A model that may also be written as a bare text, which then is the value of `key`."""

    def widen(node: object) -> object:
        if not isinstance(node, Text):
            return node
        keys = Keys(node.place)
        keys[key] = node
        keys.key_places[key] = node.place
        return keys

    return BeforeValidator(widen)


def at_least_one() -> Any:
    def check(values: S) -> S:
        if not values:
            raise wrong("empty-not-allowed")
        return values

    return AfterValidator(check)


def no_two_alike() -> Any:
    def check(values: tuple[T, ...]) -> tuple[T, ...]:
        twice = next((value for n, value in enumerate(values) if value in values[:n]), None)
        if twice is not None:
            found = twice.value if isinstance(twice, Enum) else twice
            raise wrong("duplicate-value", found=found or '""')
        return values

    return AfterValidator(check)


def repeated(named: Iterable[tuple[str, int, str, str]]) -> Iterator[Finding]:
    """Names that stand twice in lists of mappings, given as (list, number, key, name).

    Capital and small letters make no difference, as on a disk that a vendor formatted under Windows.
    """
    seen = set()
    for part, number, key, name in named:
        if name.casefold() in seen:
            yield Finding((part, number, key), "duplicate-value", {"found": name})
        seen.add(name.casefold())


def validate(kind: type[M], root: Keys, file: str) -> tuple[M | None, tuple[Problem, ...]]:
    """Make a `kind` from a tree of nodes, or give all that keeps it from being one."""
    known: dict[Place, tuple[str, ...]] = {}
    try:
        return kind.model_validate(root, context=known), ()
    except ValidationError as error:
        details = error.errors(include_url=False)
        return None, tuple(problem for detail in details for problem in _problems(detail, root, known, file))


def place_of(root: Node, path: tuple[Step, ...]) -> Place:
    """Where the value stands to which `path` leads; as far as the path can be walked."""
    return _walk(root, path)[0].place


def _walk(root: Node, path: tuple[Step, ...]) -> tuple[Node, tuple[str, ...]]:
    """The last node on `path` that is there, and the keys passed. Steps that are no key in the file are stepped over:
    pydantic puts the name of a union's member into its paths.
    """
    node, keys = root, []
    for step in path:
        if isinstance(node, Keys) and isinstance(step, str) and step in node:
            node = node[step]
            keys.append(step)
        elif isinstance(node, Items) and isinstance(step, int) and step < len(node):
            node = node[step]
    return node, tuple(keys)


def _problems(detail: ErrorDetails, root: Keys, known: Mapping[Place, tuple[str, ...]], file: str) -> Iterator[Problem]:
    path, context = tuple(detail["loc"]), detail.get("ctx", {})
    if detail["type"] == "findings":
        for finding in context["findings"]:
            yield problem_at(file, root, (*path, *finding.at), finding.code, finding.fields)
    elif detail["type"] == "missing":
        node, keys = _walk(root, path)
        yield _problem(file, node.place, "missing-key", (*keys, str(path[-1])), {})
    elif detail["type"] == "extra_forbidden":
        parent, _ = _walk(root, path[:-1])
        if colon := FULL_WIDTH_COLON.search(str(path[-1])):
            told = _at_key(file, root, path, "full-width-colon", {})
            yield replace(told, column=told.column + colon.end() - 1)
            return
        suggestion = _suggestion(str(path[-1]), known.get(parent.place, ()))
        yield _at_key(file, root, path, "unknown-key", {"suggestion": suggestion})
    elif path and path[-1] == "[key]":
        yield _at_key(file, root, path[:-1], *_code_and_fields(detail))
    elif detail["type"] == "union_tag_invalid":
        yield problem_at(file, root, (*path, "kind"), *_code_and_fields(detail))
    else:
        yield problem_at(file, root, path, *_code_and_fields(detail))


def problem_at(file: str, root: Node, path: tuple[Step, ...], code: str, fields: Mapping[str, object]) -> Problem:
    """A problem with the value to which `path` leads."""
    node, keys = _walk(root, path)
    return _problem(file, node.place, code, keys, fields)


def _at_key(file: str, root: Node, path: tuple[Step, ...], code: str, fields: Mapping[str, object]) -> Problem:
    parent, keys = _walk(root, path[:-1])
    place = parent.key_places.get(str(path[-1]), parent.place) if isinstance(parent, Keys) else parent.place
    return _problem(file, place, code, (*keys, str(path[-1])), fields)


def _problem(file: str, place: Place, code: str, keys: tuple[str, ...], fields: Mapping[str, object]) -> Problem:
    told = {"key": ".".join(keys) or "-", **{name: str(value) for name, value in fields.items()}}
    return Problem(file, place.line, place.column, code, tuple(told.items()))


def _code_and_fields(detail: ErrorDetails) -> tuple[str, Mapping[str, object]]:
    found, context = detail["input"], detail.get("ctx", {})
    match detail["type"]:
        case "value_error" if isinstance(context["error"], Wrong):
            return context["error"].code, context["error"].fields
        case "union_tag_not_found" if isinstance(found, Keys):
            return "missing-key", {"key": context["discriminator"].strip("'")}
        case "union_tag_invalid":
            expected = context["expected_tags"].replace("'", "").replace(", ", " | ")
            return "wrong-value", {"expected": expected, "found": context["tag"][:80]}
    if isinstance(found, Text) and not found.written:
        return "empty-not-allowed", {}
    if isinstance(found, Text) and FULL_WIDTH_COLON.search(found):
        return "full-width-colon", {}
    return "wrong-type", {"expected": SHAPES.get(detail["type"], "{…: …}"), "found": describe(found)}


def _suggestion(key: str, names: tuple[str, ...]) -> str:
    """The known key that this one looks like, else all of them."""
    close = difflib.get_close_matches(key.lower().replace("-", "_"), names, n=1, cutoff=0.6)
    return close[0] if close else " | ".join(names)
