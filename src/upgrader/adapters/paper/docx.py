"""The form in Word: a template that the hospital may replace, filled in with the fields of a sheet.

A template says `{{ f.window }}` for one field, or goes through `parts`; `{{ qr }}` is the code as a picture. A name
that we do not fill in refuses: a hospital's form must not lose a field without a word.
"""

import io
from collections.abc import Mapping
from typing import Any
from zipfile import BadZipFile

from upgrader.adapters.paper.libraries import of_the_extra
from upgrader.domain.errors import BadInput
from upgrader.domain.papers.sheet import Row, Sheet

CODE_MILLIMETRES = 26
BLANK = "_" * 24
LATIN, CHINESE = "Times New Roman", "宋体"


def write_docx(sheet: Sheet, template: bytes | None, file: str) -> bytes:
    """Fill a template; None is our own. Raises BadInput `form-template-wrong`, naming what it asks for in vain."""
    with of_the_extra():
        import docxtpl
        from docx.opc.exceptions import PackageNotFoundError
        from docx.shared import Mm
        from jinja2 import StrictUndefined, TemplateError
        from jinja2.sandbox import SandboxedEnvironment
    try:
        document = docxtpl.DocxTemplate(io.BytesIO(template if template is not None else default_template()))
        picture = docxtpl.InlineImage(document, io.BytesIO(_code_picture(sheet.code)), width=Mm(CODE_MILLIMETRES))
        environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=True)
        document.render({**fields_of(sheet), "qr": picture}, environment, autoescape=True)
        written = io.BytesIO()
        document.save(written)
    except (TemplateError, PackageNotFoundError, KeyError, ValueError, BadZipFile) as error:
        raise BadInput("form-template-wrong", file=file, found=str(error)[:200]) from error
    return written.getvalue()


def fields_of(sheet: Sheet) -> Mapping[str, Any]:
    """What a template may name."""
    return {
        "hospital": sheet.hospital,
        "title": sheet.title,
        "number": sheet.number,
        "code": sheet.code,
        "plan": sheet.plan,
        "note": sheet.note,
        "columns": sheet.columns,
        "f": {row.key.replace("-", "_"): _text(row) for part in sheet.parts for row in part.rows},
        "label": {row.key.replace("-", "_"): row.label for part in sheet.parts for row in part.rows},
        "parts": [
            {"title": part.title, "rows": [{"label": row.label, "text": _text(row)} for row in part.rows]}
            for part in sheet.parts
            if part.rows and part.key != "afterwards"
        ],
        "afterwards": [
            {"title": part.title, "rows": [{"label": row.label, "text": _text(row)} for row in part.rows]}
            for part in sheet.parts
            if part.key == "afterwards"
        ],
        "signatures": [
            {"role": row.role, "opinion": row.opinion, "signed": row.signed or row.hint, "at": row.at}
            for part in sheet.parts
            for row in part.signatures
        ],
        "signatures_title": next(part.title for part in sheet.parts if part.signatures),
    }


def _text(row: Row) -> str:
    text = "\n".join(row.lines)
    return text + BLANK if row.missing else text


def _code_picture(code: str) -> bytes:
    with of_the_extra():
        import segno
    written = io.BytesIO()
    segno.make(code, error="m", micro=False, boost_error=False).save(written, kind="png", scale=8, border=4)
    return written.getvalue()


def default_template() -> bytes:
    """Our own template, made anew: a hospital takes it as the beginning of its own."""
    with of_the_extra():
        import docx
        from docx.enum.text import WD_ALIGN_PARAGRAPH
        from docx.shared import Mm, Pt
    document = docx.Document()
    section = document.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.left_margin = section.right_margin = Mm(16)
    section.top_margin = section.bottom_margin = Mm(14)
    _set_fonts(document)
    _paragraph(document, "{{ hospital }}", WD_ALIGN_PARAGRAPH.CENTER, Pt(12))
    _paragraph(document, "{{ title }}", WD_ALIGN_PARAGRAPH.CENTER, Pt(18), bold=True)
    _paragraph(document, "{{ qr }}", WD_ALIGN_PARAGRAPH.RIGHT, Pt(9))
    _paragraph(document, "{{ plan }}", WD_ALIGN_PARAGRAPH.LEFT, Pt(8))
    _add_parts(document, "parts")
    _paragraph(document, "{{ signatures_title }}", WD_ALIGN_PARAGRAPH.LEFT, Pt(11), bold=True)
    _add_signatures(document)
    _add_parts(document, "afterwards")
    _paragraph(document, "{{ note }}", WD_ALIGN_PARAGRAPH.LEFT, Pt(8))
    _paragraph(document, "{{ code }}", WD_ALIGN_PARAGRAPH.LEFT, Pt(7))
    written = io.BytesIO()
    document.save(written)
    return written.getvalue()


def _set_fonts(document: Any) -> None:
    """Word takes the east Asian font from an attribute of its own; without it Chinese looks as chance will have it."""
    from docx.oxml.ns import qn
    from docx.shared import Pt

    style = document.styles["Normal"]
    style.font.name, style.font.size = LATIN, Pt(10)
    style.element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), CHINESE)
    style.paragraph_format.space_after = style.paragraph_format.space_before = Pt(1)


def _paragraph(document: Any, text: str, alignment: Any, size: Any, *, bold: bool = False) -> None:
    paragraph = document.add_paragraph()
    paragraph.alignment = alignment
    run = paragraph.add_run(text)
    run.font.size, run.bold = size, bold


def _add_parts(document: Any, name: str) -> None:
    """A table for each part, a line for each of its fields."""
    from docx.shared import Pt

    document.add_paragraph(f"{{%p for part in {name} %}}")
    _paragraph(document, "{{ part.title }}", None, Pt(11), bold=True)
    table = _table(document, (36, 142))
    _fill(table.add_row(), ("{%tr for row in part.rows %}",))
    _fill(table.add_row(), ("{{ row.label }}", "{{ row.text }}"))
    _fill(table.add_row(), ("{%tr endfor %}",))
    document.add_paragraph("{%p endfor %}")


def _add_signatures(document: Any) -> None:
    from docx.shared import Mm

    table = _table(document, (42, 46, 58, 32))
    _fill(table.add_row(), tuple(f"{{{{ columns[{number}] }}}}" for number in range(4)))
    _fill(table.add_row(), ("{%tr for place in signatures %}",))
    row = table.add_row()
    row.height = Mm(15)
    _fill(row, ("{{ place.role }}", "{{ place.opinion }}", "{{ place.signed }}", "{{ place.at }}"))
    _fill(table.add_row(), ("{%tr endfor %}",))


def _table(document: Any, widths: tuple[int, ...]) -> Any:
    from docx.shared import Mm

    table = document.add_table(rows=0, cols=len(widths))
    table.style, table.autofit = "Table Grid", False
    for column, width in zip(table.columns, widths, strict=True):
        column.width = Mm(width)
    return table


def _fill(row: Any, texts: tuple[str, ...]) -> None:
    for cell, text in zip(row.cells, texts, strict=False):
        cell.text = text
