"""Lengths of time as people write them: 30s, 5m, 2h, 1h30m, 3d."""

import re

FORM = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,8})s)?", re.ASCII)
UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def read_duration(text: str) -> int:
    """The seconds in `text`. Raises ValueError for anything but numbers with d, h, m, s, in this order."""
    match = FORM.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"expected a duration such as 1h30m, found {text[:40]!r}")
    return sum(int(count or 0) * size for count, (_, size) in zip(match.groups(), UNITS, strict=True))


def write_duration(seconds: int) -> str:
    """The one short spelling that `read_duration` reads back to the same number."""
    if seconds < 0:
        raise ValueError(f"a duration is not negative: {seconds}")
    parts, left = [], seconds
    for unit, size in UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
