"""An inspection in the reader's words: on the screen, as JSON, and as the sheet that is signed and filed."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from upgrader.domain import plain
from upgrader.domain.hospital.inspection import InspectionLog, Item, RiskFound, Sighting
from upgrader.domain.papers.sheet import Part, Row, Sheet, SignatureRow
from upgrader.language import Texts

ROWS_IN_ONE = 30  # sightings in one cell of the sheet: a cell fits on a page


def agenda(items: Sequence[Item], hosts: Mapping[str, int], texts: Texts) -> Iterator[str]:
    """What somebody is about to allow, one line each; `hosts` counts those of each pattern."""
    for item in items:
        yield texts(
            "inspection.asked",
            round=texts(f"inspection.round.{item.round}"),
            system=item.system,
            probe=item.probe.name,
            hosts=item.hosts,
            count=hosts[item.hosts],
        )


def log(found: InspectionLog, zone: str, texts: Texts) -> Iterator[str]:
    """Every sighting that is a risk, and how many are not, by system."""
    yield texts(
        "inspection.head",
        round=texts(f"inspection.round.{found.round}"),
        at=_local(found.began, zone),
        places=len(found.sightings),
    )
    risky = {(risk.system, risk.host, risk.probe) for risk in found.risks}
    for system in dict.fromkeys(seen.system for seen in found.sightings):
        seen = [one for one in found.sightings if one.system == system]
        well = sum(one.place not in risky for one in seen)
        mark = "✓" if well == len(seen) else "✗"
        yield f"  {mark} {texts('inspection.system', system=system, well=well, places=len(seen))}"
        yield from (f"      {risk(one, texts)}" for one in found.risks if one.system == system)
    yield _compared(found, zone, texts)


def risk(found: RiskFound, texts: Texts) -> str:
    told = texts(f"inspection.concern.{found.concern}", expected=found.expected, found=found.found)
    return f"{found.host} · {found.probe}: {told}"


def log_json(found: InspectionLog, file: str) -> Mapping[str, Any]:
    value: dict[str, Any] = plain.to_plain(found)
    return {**value, "format": "upgrader.inspection-answer/1", "file": file, "sha256": found.digest.hex}


def sheet(found: InspectionLog, hospital: str, zone: str, texts: Texts) -> Sheet:
    """The log as it is printed: what was looked at, risks first, and room for two signatures."""
    number = f"{found.round}-{found.began:%Y%m%dT%H%M%SZ}"
    parts = (
        Part(key="head", title=texts("inspection.sheet.head"), rows=tuple(_head(found, zone, texts))),
        Part(key="risks", title=texts("inspection.sheet.risks"), rows=tuple(_risks(found, texts))),
        Part(key="seen", title=texts("inspection.sheet.seen"), rows=tuple(_seen(found, texts))),
        Part(
            key="signatures",
            title=texts("form.block.signatures"),
            signatures=tuple(SignatureRow(role=texts(f"inspection.sheet.{who}")) for who in ("engineer", "hospital")),
        ),
    )
    return Sheet(
        language=texts.language,
        hospital=hospital,
        title=texts(f"inspection.title.{found.round}"),
        number=number,
        parts=parts,
        columns=(
            texts("form.column.role"),
            texts("form.column.opinion"),
            texts("form.column.signature"),
            texts("form.column.date"),
        ),
        code=f"upgrader-inspection:1:{found.site}:{number}:{found.digest.hex}",
        plan=texts("inspection.sheet.digest", digest=found.digest.hex),
        note=texts("inspection.sheet.note"),
        page=number,
        missing=texts("form.missing.mark"),
        made=found.ended,
    )


def _head(found: InspectionLog, zone: str, texts: Texts) -> Iterator[Row]:
    lines = {
        "began": _local(found.began, zone),
        "ended": _local(found.ended, zone),
        "actor": found.actor,
        "authorized": ", ".join(found.authorized),
        "compared": _local(found.compared, zone) if found.compared else texts("inspection.sheet.no-baseline"),
    }
    for key, line in lines.items():
        yield _row(key, texts(f"inspection.sheet.{key}"), line, wide=key == "compared")


def _risks(found: InspectionLog, texts: Texts) -> Iterator[Row]:
    for one in found.risks:
        yield _row("risk", one.system, risk(one, texts), wide=True)
    if not found.risks:
        yield _row("risk", "—", texts("inspection.sheet.none"), wide=True)


def _seen(found: InspectionLog, texts: Texts) -> Iterator[Row]:
    for system in dict.fromkeys(seen.system for seen in found.sightings):
        lines = [_sighting(seen, texts) for seen in found.sightings if seen.system == system]
        for start in range(0, len(lines), ROWS_IN_ONE):
            part = tuple(lines[start : start + ROWS_IN_ONE])
            yield Row(key="seen", label=system, lines=part, missing=False, pen=False, wide=True)


def _sighting(seen: Sighting, texts: Texts) -> str:
    return f"{texts(f'inspection.reading.{seen.reading}')} · {seen.host} · {seen.probe}: {seen.detail}"


def _row(key: str, label: str, line: str, *, wide: bool) -> Row:
    return Row(key=key, label=label, lines=(line,), missing=False, pen=False, wide=wide)


def _compared(found: InspectionLog, zone: str, texts: Texts) -> str:
    if found.compared is None:
        return texts("inspection.no-baseline")
    return texts("inspection.compared", at=_local(found.compared, zone))


def _local(moment: datetime, zone: str) -> str:
    return moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")
