"""The systems of the hospital, as text and as JSON."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from upgrader.domain import plain
from upgrader.domain.hospital.installation import Installed, PastChange
from upgrader.domain.hospital.system import System
from upgrader.flow.watching.systems import SystemView
from upgrader.language import Texts
from upgrader.render.text import local

WIDTH = 80
MOST_HOSTS = 40
FACTS_INDENT = "     "


def systems(views: Sequence[SystemView], texts: Texts) -> Sequence[str]:
    """Two lines for each system: what it is called; what runs it, what drifts, and what is under way."""
    lines = [line for view in views for line in _short(view, texts)]
    drifting = sum(len(view.installation.drifting) for view in views)
    under_way = sum(len(view.installation.open) for view in views)
    return [*lines, texts("systems.all", count=len(views), drift=drifting, open=under_way)]


def _short(view: SystemView, texts: Texts) -> Iterator[str]:
    number = str(view.described.number) if view.described else "-"
    name = view.described.name[texts.language] if view.described else ""
    yield _cut(f"{number:>3}  {view.id}  {name}", WIDTH)
    yield from _facts(_known_in_short(view, texts))


def _known_in_short(view: SystemView, texts: Texts) -> Iterator[str]:
    installed = view.installation
    if view.described:
        yield _parts(view.described, texts)
    yield texts("systems.hosts", count=len(installed.hosts))
    versions = [(version, count) for version, count in installed.versions.items() if version is not None]
    if versions:
        yield ", ".join(f"{version or '-'} ×{count}" for version, count in versions[:3])
    if installed.drifting:
        yield f"✗ {texts('systems.drift', count=len(installed.drifting))}"
    shown = installed.open or ([installed.last] if installed.last else [])
    yield from (f"{change.change} {texts(f'state.{change.state}')}" for change in shown[-2:])


def system(view: SystemView, zone: str, texts: Texts) -> Sequence[str]:
    """All of one system: its names, its parts, who stands on it, its changes, and what each host runs."""
    described = view.described
    names = f"{described.name['zh']} / {described.name['en']}" if described else texts("systems.undescribed")
    lines = [f"{view.id}  {names}"]
    if described:
        told = texts("systems.when", hours=described.hours, criticality=texts(f"criticality.{described.criticality}"))
        lines += [f"  {_parts(described, texts)}", f"  {told}"]
        lines += _list(texts("systems.depends-on"), described.depends_on)
        lines += _list(texts("systems.dependents"), view.dependents)
        further = [other for other in view.affects if other not in view.dependents]
        lines += _list(texts("systems.affects-further"), further)
        lines += _list(texts("systems.databases"), described.databases)
        lines += _list(texts("systems.interfaces"), described.interfaces)
        lines += _list(texts("systems.stands-in-for"), [described.stands_in_for] if described.stands_in_for else [])
        lines += _list(texts("systems.stand-ins"), view.stand_ins)
    lines += _list(texts("systems.staged"), view.staged)
    if last := view.installation.last:
        told = f"{last.change} {last.version}, {texts(f'state.{last.state}')}, {local(last.at, zone)}"
        lines.append(f"  {texts('systems.last')}: {told}")
    open_changes = [f"{one.change} {one.version} {texts(f'state.{one.state}')}" for one in view.installation.open]
    return [*lines, *_list(texts("systems.open"), open_changes), *_hosts(view.installation.hosts, zone, texts)]


def _hosts(hosts: Sequence[Installed], zone: str, texts: Texts) -> Iterator[str]:
    """A line for each host, those that drift first, then those of which nothing is known."""
    if not hosts:
        yield f"  {texts('systems.no-hosts')}"
        return
    ordered = sorted(hosts, key=lambda one: (one.drifts_from is None, one.version is not None, one.member.host))
    width = max(len(one.member.host) for one in ordered[:MOST_HOSTS])
    for one in ordered[:MOST_HOSTS]:
        mark = "✗" if one.drifts_from is not None else ("·" if one.version is None else "✓")
        version = texts("version.unknown") if one.version is None else one.version or texts("version.nothing")
        since = local(one.at, zone) if one.at else ""
        drift = f"≠ {one.drifts_from}" if one.drifts_from is not None else ""
        columns = [f"{one.member.part:9}", f"{one.member.platform or '':7}", f"{version:12}", drift, since]
        yield f"  {mark} {one.member.host:{width}}  {'  '.join(part for part in columns if part)}".rstrip()
    if len(ordered) > MOST_HOSTS:
        yield f"  {texts('change.more-hosts', count=len(ordered) - MOST_HOSTS)}"


def _parts(system: System, texts: Texts) -> str:
    return " · ".join(part for part in (" ".join(system.tiers), " ".join(system.clients)) if part)


def _list(label: str, values: Iterable[str]) -> Sequence[str]:
    text = ", ".join(values)
    if not text:
        return ()
    told = f"{label}: {text}"
    return wrap(told, WIDTH - 8, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)


def _facts(facts: Iterable[str]) -> Iterator[str]:
    """Facts side by side, on as many lines as they need."""
    line = ""
    for fact in facts:
        joined = f"{line}   {fact}" if line else f"{FACTS_INDENT}{fact}"
        if line and _columns(joined) > WIDTH:
            yield line
            joined = f"{FACTS_INDENT}{fact}"
        line = joined
    if line:
        yield line


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def _cut(text: str, columns: int) -> str:
    """The text, or as much of it as fits, with `…`."""
    if _columns(text) <= columns:
        return text.rstrip()
    while _columns(text) > columns - 1:
        text = text[:-1]
    return f"{text.rstrip()}…"


def systems_json(views: Sequence[SystemView]) -> Mapping[str, Any]:
    return {"format": "upgrader.systems/1", "systems": [_view_json(view) for view in views]}


def _view_json(view: SystemView) -> Mapping[str, Any]:
    installed = view.installation
    return {
        "id": view.id,
        "described": plain.to_plain(view.described) if view.described else None,
        "staged": list(view.staged),
        "dependents": list(view.dependents),
        "affects": list(view.affects),
        "stand_ins": list(view.stand_ins),
        "last": _change_json(installed.last) if installed.last else None,
        "open": [_change_json(change) for change in installed.open],
        "drift": [one.member.host for one in installed.drifting],
        "hosts": [
            {
                "host": one.member.host,
                "part": one.member.part,
                "platform": one.member.platform,
                "installed": one.version,
                "at": plain.to_plain(one.at) if one.at else None,
                "drifts_from": one.drifts_from,
            }
            for one in installed.hosts
        ],
    }


def _change_json(change: PastChange) -> Mapping[str, Any]:
    return {
        "change": change.change,
        "version": change.version,
        "state": change.state,
        "at": plain.to_plain(change.at),
    }
