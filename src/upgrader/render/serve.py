"""What the service says, a line a thing done, and when it looked last."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from upgrader.domain import plain
from upgrader.domain.changes.heartbeat import Beat
from upgrader.domain.errors import UpgraderError
from upgrader.flow.service.serve import Said
from upgrader.language import Texts
from upgrader.render.text import local

GRACE = timedelta(seconds=60)


def said(said: Said, zone: str, texts: Texts) -> str:
    """One line, with the hospital's time and the change; empty for what has no text. What to do stands below it."""
    if not texts.has(said.key):
        return ""
    at = f"{said.at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"
    return "  ".join(part for part in (at, said.change, _words(said, texts)) if part)


def said_json(said: Said, texts: Texts) -> Mapping[str, Any]:
    return {
        "format": "upgrader.served/1",
        "at": plain.to_plain(said.at),
        "change": said.change,
        "what": said.key,
        "fields": {name: _plain(value) for name, value in said.fields.items()},
        "message": _words(said, texts),
    }


def heartbeat(beat: Beat | None, now: datetime, zone: str, texts: Texts) -> str:
    """When the service looked last, and whether it should have looked since."""
    if beat is None:
        return f"! {texts('serve.never')}"
    at = local(beat.at, zone)
    if now - beat.at > 3 * timedelta(seconds=beat.seconds) + GRACE:
        return f"! {texts('serve.silent', at=at)}"
    busy = texts("serve.busy", changes=beat.busy) if beat.busy else ""
    return texts("serve.last-look", at=at, seconds=beat.seconds, busy=busy)


def heartbeat_json(beat: Beat | None) -> Mapping[str, Any] | None:
    return plain.to_plain(beat) if beat else None


def _words(said: Said, texts: Texts) -> str:
    """What is said; where a rule said no, its own words too."""
    told = texts(said.key, **said.fields)
    code = str(said.fields.get("code", ""))
    if not texts.has(f"error.{code}.what"):
        return told
    fields: dict[str, object] = {name: value for name, value in said.fields.items() if name != "code"}
    words = texts.of_error(UpgraderError(code, **fields)).replace("\n", "\n    ")
    return f"{told}: {code}: {words}"


def _plain(value: object) -> Any:
    return plain.to_plain(value) if not isinstance(value, Sequence) or isinstance(value, str) else list(value)
