"""Dataclasses to plain JSON values and back, by their type hints; strict in both directions.

Every stored document (plan, record, trust, journal entry) is a frozen dataclass. This is their one border to JSON.
"""

import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from upgrader.domain.digest import Digest

T = TypeVar("T")
INSTANT = "%Y-%m-%dT%H:%M:%SZ"
SPELLED = re.compile(r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def instant(text: str) -> datetime:
    """Read a UTC instant in the one form we write (RFC 3339, whole seconds, Z). Raises ValueError."""
    if not SPELLED.fullmatch(text):
        raise ValueError(f"expected an instant such as 2026-11-21T15:00:00Z, found {text[:40]!r}")
    return datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC)


def to_plain(value: Any) -> Any:
    """Turn a dataclass, and all in it, into dicts, lists, strings, integers and booleans. None fields are left out."""
    kind: Any = type(value)
    if kind is str or kind is int or kind is bool:
        return value
    return _writer(kind)(value)


@cache
def _writer(kind: type) -> Callable[[Any], Any]:
    """How values of exactly this type are written; found once for each type."""
    if is_dataclass(kind) and kind is not Digest:
        names = tuple(field.name for field in fields(kind))
        return lambda value: {name: to_plain(item) for name in names if (item := getattr(value, name)) is not None}
    for known, write in WRITERS.items():
        if issubclass(kind, known):
            return write
    raise TypeError(f"{kind.__name__} has no plain form")


WRITERS: Mapping[type, Callable[[Any], Any]] = {
    Digest: lambda value: value.hex,
    datetime: lambda value: value.astimezone(UTC).strftime(INSTANT),
    Enum: lambda value: value.value,
    str: str,
    int: lambda value: value,
    tuple: lambda value: [to_plain(item) for item in value],
    list: lambda value: [to_plain(item) for item in value],
    Mapping: lambda value: {str(key): to_plain(item) for key, item in value.items()},
}


def from_plain(kind: type[T], value: object, place: str = "") -> T:
    """Make a `kind` from plain JSON. Raises ValueError naming the place of the first thing that does not fit.

    Places are only worked out when something does not fit: they cost more than the reading.
    """
    try:
        read: Any = _reader  # its cache takes types
        result: T = read(kind)(value)
    except (ValueError, TypeError):
        result = _read(kind, value, place or kind.__name__)
    return result


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """How a value of this type is read, without a word on where it stands: `_read` says that, and reads the same."""
    origin = get_origin(kind)
    if origin is tuple:
        item = _reader(get_args(kind)[0])
        return lambda value: tuple([item(each) for each in _need(list, value, "")])
    if origin in (dict, Mapping, typing.get_origin(Mapping[str, str])):
        entry = _reader(get_args(kind)[1])
        return lambda value: {key: entry(each) for key, each in _need(dict, value, "").items()}
    if origin in (types.UnionType, typing.Union):
        (inner,) = (arm for arm in get_args(kind) if arm is not type(None))
        return _reader(inner)
    if is_dataclass(kind) and kind is not Digest:
        return _dataclass_reader(kind)
    return lambda value: _read_scalar(kind, value, "")


def _dataclass_reader(kind: Any) -> Callable[[Any], Any]:
    hints, optional = _shape(kind)
    readers = {name: _reader(hint) for name, hint in hints.items()}
    needed = set(hints) - optional

    def read(value: Any) -> Any:
        found = _need(dict, value, "")
        if not needed <= found.keys() <= readers.keys():
            raise ValueError("other keys")
        return kind(**{name: readers[name](item) for name, item in found.items()})

    return read


def _read(kind: Any, value: Any, place: str) -> Any:
    origin = get_origin(kind)
    if origin is tuple:
        return tuple(
            _read(get_args(kind)[0], item, f"{place}[{n}]") for n, item in enumerate(_need(list, value, place))
        )
    if origin in (dict, Mapping, typing.get_origin(Mapping[str, str])):
        item_kind = get_args(kind)[1]
        return {key: _read(item_kind, item, f"{place}.{key}") for key, item in _need(dict, value, place).items()}
    if origin in (types.UnionType, typing.Union):
        (inner,) = (arm for arm in get_args(kind) if arm is not type(None))
        return _read(inner, value, place)
    if is_dataclass(kind) and kind is not Digest:
        return _read_dataclass(kind, _need(dict, value, place), place)
    return _read_scalar(kind, value, place)


def _read_scalar(kind: Any, value: Any, place: str) -> Any:
    try:
        if kind is datetime:
            return instant(_need(str, value, place))
        if kind is Digest:
            return Digest(_need(str, value, place))
        if issubclass(kind, Enum):
            return kind(value)
        if issubclass(kind, str):
            return kind(_need(str, value, place))
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    return _need(kind, value, place)


def _read_dataclass(kind: Any, value: Mapping[str, Any], place: str) -> Any:
    hints, optional = _shape(kind)
    if unknown := sorted(set(value) - set(hints)):
        raise ValueError(f"{place}: unknown key {unknown[0]!r}")
    if missing := sorted(set(hints) - optional - set(value)):
        raise ValueError(f"{place}: missing key {missing[0]!r}")
    return kind(**{name: _read(hints[name], item, f"{place}.{name}") for name, item in value.items()})


@cache
def _shape(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    optional = frozenset(name for name in names if type(None) in get_args(hints[name]))
    return {name: hints[name] for name in names}, optional


def _need(kind: Any, value: Any, place: str) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{place}: expected {kind.__name__}, found {type(value).__name__}")
    return value
