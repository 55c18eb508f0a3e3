"""A sheet: the application form as it is drawn, in one language. Whoever draws it decides only where things stand."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One field. `missing` lines are drawn so that nobody overlooks them; `pen` is room for a hand."""

    key: str
    label: str
    lines: tuple[str, ...]
    missing: bool
    pen: bool
    wide: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureRow:
    """One place for a signature. What is empty leaves room for a pen; `hint` says in small why ink is not enough."""

    role: str
    opinion: str = ""
    signed: str = ""
    at: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A block of the form: fields, or places for signatures."""

    key: str
    title: str
    rows: tuple[Row, ...] = ()
    signatures: tuple[SignatureRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """`code` is drawn as a QR code on every page, and as text; `made` is when the plan was made."""

    language: str
    hospital: str
    title: str
    number: str
    parts: tuple[Part, ...]
    columns: tuple[str, str, str, str]  # over the signatures: role, opinion, signature, date
    code: str
    plan: str
    note: str
    page: str
    missing: str
    made: datetime
