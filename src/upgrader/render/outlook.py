"""How long the waves and the way back will take, and the last safe moment of each, for people and for programs."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from upgrader.domain import plain
from upgrader.domain.changes.forecast import Forecast, Outlook
from upgrader.language import Texts

MOST_WAVES = 8


def outlook(expected: Outlook | None, zone: str, texts: Texts) -> Sequence[str]:
    """All waves in one line, then each: how long it takes, the way back after it, until when it may begin."""
    if expected is None:
        return []
    head = texts(
        "outlook.head",
        takes=rounded(expected.length, texts),
        back=rounded(expected.way_back, texts),
        by=_clock(expected.begin_by, zone),
        ground=expected.ground,
    )
    lines = [f"  {head}"]
    if expected.back_ground is not expected.ground:
        lines.append(f"    {texts('outlook.back-ground', ground=expected.back_ground)}")
    for number, one in list(expected.waves.items())[:MOST_WAVES]:
        lines.append(f"    {_wave(number, one, expected, zone, texts)}")
    if len(expected.waves) > MOST_WAVES:
        lines.append(f"    {texts('outlook.more', count=len(expected.waves))}")
    return lines


def _wave(number: int, one: Forecast, expected: Outlook, zone: str, texts: Texts) -> str:
    return texts(
        "outlook.wave",
        number=number,
        takes=rounded(one.wave, texts),
        back=rounded(one.way_back, texts),
        last=_clock(expected.last_safe_moment(number), zone),
    )


def outlook_json(expected: Outlook | None) -> Mapping[str, Any] | None:
    """The same in seconds and instants; None when no wave is to come."""
    if expected is None:
        return None
    return {
        "ends": plain.to_plain(expected.ends),
        "begin_by": plain.to_plain(expected.begin_by),
        "seconds": _seconds(expected.length),
        "way_back_seconds": _seconds(expected.way_back),
        "waves": [
            {
                "wave": number,
                "seconds": _seconds(one.wave),
                "ground": one.wave_ground,
                "way_back_seconds": _seconds(one.way_back),
                "way_back_ground": one.back_ground,
                "last_safe_moment": plain.to_plain(expected.last_safe_moment(number)),
            }
            for number, one in expected.waves.items()
        ],
    }


def rounded(length: timedelta, texts: Texts) -> str:
    """A length for people, never shorter than it is: seconds up to two minutes, then whole minutes."""
    seconds = _seconds(length)
    return texts("length.seconds", count=seconds) if seconds < 120 else texts("length.minutes", count=-(-seconds // 60))


def _seconds(length: timedelta) -> int:
    return -int(-length.total_seconds() // 1)


def _clock(moment: datetime, zone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
