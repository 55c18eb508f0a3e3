"""The application form in the reader's words: a Form becomes a Sheet, and what is missing a list."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from upgrader.domain.approval.record import PaperRecord, TestRecord
from upgrader.domain.papers.form import Block, Boxes, Field, Form, FormField, Line, Missing, Phrase, Place
from upgrader.domain.papers.sheet import Part, Row, Sheet, SignatureRow
from upgrader.language import Texts

# Two short fields share a line of the form; everything else has one of its own.
NARROW = frozenset(
    {
        Field.NUMBER,
        Field.DATE,
        Field.HOSPITAL,
        Field.SYSTEM,
        Field.PROTECTION,
        Field.REQUESTER,
        Field.DOWNTIME,
        Field.DECIDES,
        Field.REHEARSED,
        Field.RISK,
        Field.CARRIED_OUT,
        Field.ARCHIVE,
    }
)


def sheet(form: Form, hospital: str, texts: Texts) -> Sheet:
    """The form as it is drawn, every text in the reader's language."""
    parts = [
        Part(
            key=block, title=texts(f"form.block.{block}"), rows=tuple(_row(field, form.zone, texts) for field in fields)
        )
        for block, fields in form.blocks.items()
    ]
    places = tuple(_signature(place, form.zone, texts) for place in form.places)
    signatures = Part(key=Block.SIGNATURES, title=texts("form.block.signatures"), signatures=places)
    parts.insert([part.key for part in parts].index(Block.AFTERWARDS), signatures)
    return Sheet(
        language=texts.language,
        hospital=hospital,
        title=texts("form.title"),
        number=texts("form.phrase.number", change=form.change, revision=form.code.revision),
        parts=tuple(parts),
        columns=(
            texts("form.column.role"),
            texts("form.column.opinion"),
            texts("form.column.signature"),
            texts("form.column.date"),
        ),
        code=str(form.code),
        plan=texts("form.plan", digest=form.code.plan.hex),
        note=texts("form.note"),
        page=texts("form.page", change=form.change, revision=form.code.revision, digest=form.code.plan.short),
        missing=texts("form.missing.mark"),
        made=form.made,
    )


def missing(form: Form, texts: Texts) -> Sequence[str]:
    """What somebody still has to say, each with where it is said."""
    return [
        f"  … {texts(f'form.field.{field.key}')}: {texts(f'form.missing.{field.missing}', key=field.ask)}"
        for field in form.missing
    ]


def form_json(form: Form, files: Sequence[str], texts: Texts) -> Mapping[str, Any]:
    return {
        "format": "upgrader.form/1",
        "change": form.change,
        "revision": form.code.revision,
        "plan": form.code.plan.hex,
        "code": str(form.code),
        "files": list(files),
        "fields": {
            field.key: {"lines": list(_lines(field.lines, form.zone, texts)), "missing": field.missing}
            for fields in form.blocks.values()
            for field in fields
        },
        "missing": [{"field": field.key, "reason": field.missing, "key": field.ask} for field in form.missing],
    }


def _row(field: FormField, zone: str, texts: Texts) -> Row:
    lines = _lines(field.lines, zone, texts)
    pen = field.missing is Missing.AFTERWARDS
    if field.missing is not None and not pen:
        lines = (*lines, texts("form.missing.mark"))
    return Row(
        key=field.key,
        label=texts(f"form.field.{field.key}"),
        lines=lines,
        missing=field.missing is not None and not pen,
        pen=pen,
        wide=field.key not in NARROW,
    )


def _lines(lines: Sequence[Line], zone: str, texts: Texts) -> tuple[str, ...]:
    return tuple(_line(line, zone, texts) for line in lines)


def _line(line: Line, zone: str, texts: Texts) -> str:
    match line:
        case Phrase(code, fields):
            told = {name: _local(v, zone) if isinstance(v, datetime) else v for name, v in fields.items()}
            return texts(f"form.phrase.{code}", **told)
        case Boxes(family, values, chosen):
            words = {value: texts(f"form.phrase.{family}-{value}") for value in values}
            return "  ".join(f"{'■' if value in chosen else '□'} {words[value]}" for value in values)
        case _:
            return line


def _signature(place: Place, zone: str, texts: Texts) -> SignatureRow:
    """Who signed stands there in print; every other place has room for a pen, or says that ink is not enough."""
    role = place.role or texts(f"form.place.{place.asked}")
    if place.signed is None:
        name = f"\n{place.name}" if place.name else ""
        return SignatureRow(role=role + name, hint=texts("form.hint.key") if place.needs_key else "")
    if isinstance(place.signed, PaperRecord):
        signed = texts("form.signed.paper", name=place.name, custodian=place.signed.custodian)
    else:
        signed = texts("form.signed.key", name=place.name)
    opinion = texts("form.signed.tested" if isinstance(place.signed, TestRecord) else "form.signed.agreed")
    return SignatureRow(role=role, opinion=opinion, signed=signed, at=_local(place.signed.issued, zone))


def _local(moment: datetime, zone: str) -> str:
    return moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")
