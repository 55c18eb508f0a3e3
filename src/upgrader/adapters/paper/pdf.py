"""The form as PDF: A4, one table, its code on every page, Chinese glyphs embedded."""

import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upgrader.adapters.paper.libraries import of_the_extra
from upgrader.domain.errors import PreflightFailed
from upgrader.domain.papers.sheet import Part, Row, Sheet, SignatureRow

# Millimetres on A4, points for type.
WIDTH, HEIGHT, MARGIN = 210.0, 297.0, 14.0
INNER = WIDTH - 2 * MARGIN
TOP, BOTTOM = 42.0, HEIGHT - 18.0
LABEL, PAIR = 32.0, (32.0, 59.0, 32.0, 59.0)
SIGNATURES = (44.0, 44.0, 62.0, 32.0)
CODE_SIZE = 26.0
LINE, PADDING = 4.6, 1.2
BODY, SMALL, TITLE = 9.0, 7.0, 17.0
LEAST, SIGNATURE_LEAST, PEN_LEAST = 7.0, 15.0, 10.0
GREY, INK = 238, 0
FAMILY = "form"
BLANK = "_" * 24


@dataclass(frozen=True, slots=True)
class Cell:
    lines: tuple[str, ...]
    width: float
    shaded: bool = False
    centred: bool = False


def write_pdf(sheet: Sheet, font: Path) -> bytes:
    """Draw a sheet with the glyphs of `font`. The same sheet gives the same bytes.

    Raises PreflightFailed `paper-libraries`, or `font-not-usable` for a file that is no font.
    """
    pdf = _document(sheet, font)
    pdf.add_page()
    for part in sheet.parts:
        _draw_part(pdf, part, sheet)
    pdf.set_font(FAMILY, size=SMALL)
    pdf.set_xy(MARGIN, pdf.get_y() + 1.5)
    pdf.multi_cell(INNER, 3.6, sheet.note)
    written = io.BytesIO()
    pdf.output(written)
    return written.getvalue()


def _document(sheet: Sheet, font: Path) -> Any:
    """An empty document that knows its head and foot."""
    with of_the_extra():
        import fpdf
        from fontTools.ttLib import TTLibError
    for name in ("fontTools", "fpdf"):  # they tell of every glyph that a font does not have
        logging.getLogger(name).setLevel(logging.ERROR)

    class Pages(fpdf.FPDF):  # type: ignore[misc]
        def header(self) -> None:
            _draw_head(self, sheet)

        def footer(self) -> None:
            _draw_foot(self, sheet)

    pdf = Pages(format="A4")
    pdf.set_margins(MARGIN, TOP, MARGIN)
    pdf.set_auto_page_break(False)
    pdf.set_creation_date(sheet.made)
    pdf.set_title(f"{sheet.title} {sheet.number}")
    pdf.set_author(sheet.hospital)
    pdf.set_subject(sheet.code)
    pdf.set_producer("upgrader")
    pdf.set_lang("zh-CN" if sheet.language == "zh" else "en")
    try:
        pdf.add_font(FAMILY, fname=font)
    except (ValueError, KeyError, OSError, TTLibError) as error:
        raise PreflightFailed("font-not-usable", font=font, reason=error) from error
    return pdf


def _draw_head(pdf: Any, sheet: Sheet) -> None:
    _draw_code(pdf, sheet.code, WIDTH - MARGIN - CODE_SIZE, 10.0)
    pdf.set_text_color(INK)
    room = INNER - CODE_SIZE - 4
    pdf.set_font(FAMILY, size=11)
    pdf.set_xy(MARGIN, 12)
    pdf.cell(room, 6, sheet.hospital, align="C")
    pdf.set_font(FAMILY, size=TITLE)
    pdf.set_xy(MARGIN, 19)
    pdf.cell(room, 9, sheet.title, align="C")
    pdf.set_font(FAMILY, size=SMALL)
    pdf.set_xy(MARGIN, 30)
    pdf.cell(room, 4, sheet.number)
    pdf.set_xy(MARGIN, 34)
    pdf.cell(room, 4, sheet.plan)
    pdf.set_xy(MARGIN, TOP - 2)


def _draw_foot(pdf: Any, sheet: Sheet) -> None:
    pdf.set_font(FAMILY, size=SMALL)
    pdf.set_xy(MARGIN, HEIGHT - 13)
    pdf.cell(INNER, 4, sheet.page)
    pdf.set_xy(MARGIN, HEIGHT - 13)
    pdf.cell(INNER, 4, f"{pdf.page_no()} / {{nb}}", align="R")


def _draw_code(pdf: Any, code: str, left: float, top: float) -> None:
    """The QR code as black squares: it stays sharp at every size."""
    with of_the_extra():
        import segno
    matrix = segno.make(code, error="m", micro=False, boost_error=False).matrix
    side = CODE_SIZE / len(matrix)
    pdf.set_fill_color(INK)
    for y, line in enumerate(matrix):
        for start, length in _runs(line):
            pdf.rect(left + start * side, top + y * side, length * side, side, style="F")


def _runs(line: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where dark squares begin in a line, and how many follow."""
    start = None
    for x, dark in enumerate([*line, 0]):
        if dark and start is None:
            start = x
        elif not dark and start is not None:
            yield start, x - start
            start = None


def _draw_part(pdf: Any, part: Part, sheet: Sheet) -> None:
    lines = list(_signature_cells(part, sheet) if part.signatures else _field_cells(part.rows))
    head = [Cell((part.title,), INNER, shaded=True, centred=True)]
    _break_before(pdf, LEAST + _height(pdf, *lines[0]))
    _draw(pdf, head, LEAST)
    for cells, least in lines:
        _break_before(pdf, _height(pdf, cells, least))
        _draw(pdf, cells, _height(pdf, cells, least))


def _field_cells(rows: Sequence[Row]) -> Iterator[tuple[list[Cell], float]]:
    """The lines of the table: two narrow fields side by side, a wide one alone."""
    waiting: Row | None = None
    for row in rows:
        if row.wide:
            if waiting is not None:
                yield _alone(waiting)
                waiting = None
            yield _alone(row)
        elif waiting is None:
            waiting = row
        else:
            yield [*_pair(waiting, PAIR[:2]), *_pair(row, PAIR[2:])], PEN_LEAST if row.pen else LEAST
            waiting = None
    if waiting is not None:
        yield _alone(waiting)


def _alone(row: Row) -> tuple[list[Cell], float]:
    return list(_pair(row, (LABEL, INNER - LABEL))), PEN_LEAST if row.pen else LEAST


def _pair(row: Row, widths: Sequence[float]) -> tuple[Cell, Cell]:
    lines = (*row.lines[:-1], row.lines[-1] + BLANK) if row.missing else row.lines
    return Cell((row.label,), widths[0], shaded=True), Cell(lines, widths[1])


def _signature_cells(part: Part, sheet: Sheet) -> Iterator[tuple[list[Cell], float]]:
    heads = zip(sheet.columns, SIGNATURES, strict=True)
    yield [Cell((text,), width, shaded=True, centred=True) for text, width in heads], LEAST
    for row in part.signatures:
        yield _signature(row), SIGNATURE_LEAST


def _signature(row: SignatureRow) -> list[Cell]:
    texts = (row.role, row.opinion, row.signed or row.hint, row.at)
    return [Cell(tuple(text.split("\n")), width) for text, width in zip(texts, SIGNATURES, strict=True)]


def _break_before(pdf: Any, height: float) -> None:
    if pdf.get_y() + height > BOTTOM:
        pdf.add_page()


def _wrapped(pdf: Any, cell: Cell) -> list[str]:
    pdf.set_font(FAMILY, size=BODY)
    text = "\n".join(cell.lines)
    wrapped: list[str] = pdf.multi_cell(
        cell.width - 2 * PADDING, LINE, text, dry_run=True, output="LINES", wrapmode="CHAR", padding=0
    )
    return wrapped


def _height(pdf: Any, cells: Sequence[Cell], least: float) -> float:
    """Of the highest cell, in millimetres; never more than a page has."""
    needed = max(len(_wrapped(pdf, cell)) for cell in cells) * LINE + 2 * PADDING
    return min(max(least, needed), BOTTOM - TOP - LEAST)


def _draw(pdf: Any, cells: Sequence[Cell], height: float) -> None:
    """Draw one line of the table at the cursor and move below it."""
    top, left = pdf.get_y(), MARGIN
    for cell in cells:
        pdf.set_fill_color(GREY)
        pdf.rect(left, top, cell.width, height, style="DF" if cell.shaded else "D")
        lines = _wrapped(pdf, cell)
        above = (height - len(lines) * LINE) / 2 if cell.shaded else PADDING
        pdf.set_xy(left + PADDING, top + max(PADDING, above))
        room = cell.width - 2 * PADDING
        pdf.multi_cell(room, LINE, "\n".join(lines), align="C" if cell.centred else "L", wrapmode="CHAR", padding=0)
        left += cell.width
    pdf.set_xy(MARGIN, top + height)
