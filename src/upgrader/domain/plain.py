"""Dataclasses to plain JSON values and back, by their type hints; strict in both directions.

Every stored document (plan, record, trust, journal entry) is a frozen dataclass. This is their one border to JSON.
"""

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from upgrader.domain.digest import Digest

T = TypeVar("T")
INSTANT = "%Y-%m-%dT%H:%M:%SZ"


def instant(text: str) -> datetime:
    """Read a UTC instant in the one form we write (RFC 3339, whole seconds, Z). Raises ValueError."""
    if len(text) != 20:
        raise ValueError(f"expected an instant such as 2026-11-21T15:00:00Z, found {text[:40]!r}")
    found = datetime.strptime(text, INSTANT).replace(tzinfo=UTC)
    if found.strftime(INSTANT) != text:  # strptime takes lower case and the digits of every script
        raise ValueError(f"expected an instant such as 2026-11-21T15:00:00Z, found {text[:40]!r}")
    return found


def to_plain(value: Any) -> Any:
    """Turn a dataclass, and all in it, into dicts, lists, strings, integers and booleans. None fields are left out."""
    match value:
        case Digest():
            return value.hex
        case datetime():
            return value.astimezone(UTC).strftime(INSTANT)
        case Enum():
            return value.value
        case str():
            return str(value)
        case bool() | int():
            return value
        case tuple() | list():
            return [to_plain(item) for item in value]
        case Mapping():
            return {str(key): to_plain(item) for key, item in value.items()}
        case _ if is_dataclass(value):
            found = {field.name: getattr(value, field.name) for field in fields(value)}
            return {name: to_plain(item) for name, item in found.items() if item is not None}
    raise TypeError(f"{type(value).__name__} has no plain form")


def from_plain(kind: type[T], value: object, place: str = "") -> T:
    """Make a `kind` from plain JSON. Raises ValueError naming the place of the first thing that does not fit."""
    result: T = _read(kind, value, place or kind.__name__)
    return result


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
