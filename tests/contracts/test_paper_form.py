"""The form on paper with the real libraries: PDF and Word are read again, and scans of it as a scanner leaves them."""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import docx
import pypdfium2
import pytest
from PIL import Image, ImageFilter

from builders import SIGNED
from upgrader.adapters import paper
from upgrader.adapters.paper.docx import fields_of
from upgrader.domain.approval.record import ScanType
from upgrader.domain.errors import BadInput, PreflightFailed, Refused
from upgrader.domain.papers.sheet import Part, Row, Sheet, SignatureRow

CODE = f"upgrader:1:renmin-hospital:CHG-2026-0142:1:{'6f' * 32}"
LONG = "患者姓名与住院号核对后方可执行，" * 12


def row(key: str, label: str, *lines: str, missing: bool = False, pen: bool = False, wide: bool = True) -> Row:
    return Row(key=key, label=label, lines=lines, missing=missing, pen=pen, wide=wide)


SIGNED_BY = SignatureRow(role="信息科主任", signed="王芳")
SHEET = Sheet(
    language="zh",
    hospital="市第一人民医院",
    title="程序变更更新申请单",
    number="CHG-2026-0142 修订 1",
    parts=(
        Part(
            key="head",
            title="申请信息",
            rows=(
                row("number", "申请单编号", "CHG-2026-0142", wide=False),
                row("date", "申请日期", "2026-11-19", wide=False),
                row("risk", "风险等级", "【待填】", missing=True, wide=False),
                row("reason", "变更原因", LONG, "<b>&amp; {{ 1 }}"),
            ),
        ),
        Part(key="signatures", title="审批意见与签名", signatures=(SIGNED_BY,) * 14),
        Part(key="afterwards", title="实施与验收", rows=(row("archive", "归档号", pen=True),)),
    ),
    columns=("签署人", "意见", "签名", "日期"),
    code=CODE,
    plan="计划 SHA-256 6f6f",
    note="本单仅对应此计划。",
    page="CHG-2026-0142",
    missing="【待填】",
    made=SIGNED,
)

SAID = (SHEET.hospital, "【待填】____", LONG, "<b>&amp; {{ 1 }}", "信息科主任", "王芳", "归档号", SHEET.note)


@pytest.fixture(scope="module")
def font() -> Path:
    try:
        return paper.find_font(None)
    except PreflightFailed as error:
        pytest.skip(f"NOT CHECKED: {error}")


@pytest.fixture(scope="module")
def pdf(font: Path) -> bytes:
    return paper.write_pdf(SHEET, font)


@pytest.fixture(scope="module")
def page(pdf: bytes) -> Image.Image:
    """The first page as a printer would print it."""
    picture: Image.Image = pypdfium2.PdfDocument(pdf)[0].render(scale=200 / 72, grayscale=True).to_pil()
    return picture


def text_of(pdf: bytes) -> str:
    pages = pypdfium2.PdfDocument(pdf)
    text = "\n".join(page.get_textpage().get_text_bounded() for page in pages)
    return text.replace("\r", "").replace("\n", "")


# ---------------------------------------------------------------------------------------------------------------- PDF


def test_the_pdf_says_all_of_the_sheet_in_chinese_that_can_be_read_again(pdf: bytes) -> None:
    text = text_of(pdf)

    for said in (*SAID, SHEET.title):
        assert said in text


def test_its_glyphs_are_embedded_and_every_page_bears_the_code(pdf: bytes) -> None:
    assert b"/FontFile2" in pdf
    assert len(pypdfium2.PdfDocument(pdf)) == 2
    assert paper.read_codes(pdf, ScanType.PDF, "form.pdf") == [CODE, CODE]


def test_the_same_sheet_gives_the_same_bytes(pdf: bytes, font: Path) -> None:
    assert paper.write_pdf(SHEET, font) == pdf


def test_without_a_font_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(PreflightFailed) as missing:
        paper.find_font(tmp_path / "none.ttf")
    assert missing.value.code == "font-missing"

    (tmp_path / "text.ttf").write_text("no font")
    with pytest.raises(PreflightFailed) as broken:
        paper.write_pdf(SHEET, tmp_path / "text.ttf")
    assert broken.value.code == "font-not-usable"


# --------------------------------------------------------------------------------------------------------------- Word


def words_of(content: bytes) -> str:
    document = docx.Document(io.BytesIO(content))
    cells = [cell.text for table in document.tables for line in table.rows for cell in line.cells]
    return "\n".join([*(paragraph.text for paragraph in document.paragraphs), *cells])


def test_the_word_form_says_all_of_the_sheet_and_bears_the_code() -> None:
    content = paper.write_docx(SHEET, None, "-")

    text = words_of(content)
    for said in (*SAID, CODE):
        assert said in text
    assert "{%" not in text
    parts = docx.Document(io.BytesIO(content)).part.package.iter_parts()
    pictures = [part.blob for part in parts if part.partname.endswith(".png")]
    assert [code for picture in pictures for code in paper.read_codes(picture, ScanType.PNG, "x")] == [CODE]


def test_chinese_has_a_font_of_its_own_in_word() -> None:
    style = docx.Document(io.BytesIO(paper.write_docx(SHEET, None, "-"))).styles["Normal"]

    assert 'w:eastAsia="宋体"' in style.element.xml


def template(text: str) -> bytes:
    document = docx.Document()
    document.add_paragraph(text)
    written = io.BytesIO()
    document.save(written)
    return written.getvalue()


def test_a_hospital_brings_a_template_of_its_own() -> None:
    content = paper.write_docx(SHEET, template("本院编号 {{ f.number }}，{{ label.risk }}：{{ f.risk }}"), "own.docx")

    assert "本院编号 CHG-2026-0142，风险等级：【待填】____" in words_of(content)


WRONG: Mapping[str, bytes] = {
    "a field that nobody fills in": template("{{ f.nummer }}"),
    "a loop without an end": template("{%p for part in parts %}"),
    "a way out of the template": template("{{ ''.__class__.__mro__ }}"),
    "no Word file": b"%PDF-1.7",
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_a_template_that_asks_for_something_else_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput) as wrong:
        paper.write_docx(SHEET, content, "own.docx")

    assert wrong.value.code == "form-template-wrong"


def test_our_template_asks_only_for_what_we_fill_in() -> None:
    """Every part of the sheet is there; the default template was filled in with all undefined names refused above."""
    assert set(fields_of(SHEET)) >= {"f", "label", "parts", "signatures", "afterwards", "code", "plan", "note"}
    assert fields_of(SHEET)["f"].keys() == {"number", "date", "risk", "reason", "archive"}


# --------------------------------------------------------------------------------------------------------------- scans


def as_bytes(picture: Image.Image, form: str, **options: int) -> bytes:
    written = io.BytesIO()
    picture.save(written, form, **options)
    return written.getvalue()


def noisy(picture: Image.Image, strength: float) -> Image.Image:
    noise = Image.effect_noise(picture.size, 64).point(lambda value: int((value - 128) * strength + 128))
    return Image.blend(picture, noise, 0.35)


def scanned(picture: Image.Image) -> Mapping[str, tuple[bytes, ScanType]]:
    """One page as offices send it."""
    tilted = picture.rotate(3.5, expand=True, fillcolor=255, resample=Image.Resampling.BILINEAR)
    small = tilted.resize((tilted.width * 3 // 4, tilted.height * 3 // 4))
    return {
        "tilted, 150 dpi, poor JPEG": (as_bytes(noisy(small, 0.8), "JPEG", quality=35), ScanType.JPEG),
        "upside down": (as_bytes(picture.rotate(180), "PNG"), ScanType.PNG),
        "sideways": (as_bytes(picture.rotate(90, expand=True), "PNG"), ScanType.PNG),
        "out of focus": (as_bytes(picture.filter(ImageFilter.GaussianBlur(1.6)), "JPEG", quality=60), ScanType.JPEG),
        "faint toner": (as_bytes(picture.point(lambda value: 150 + value * 90 // 255), "PNG"), ScanType.PNG),
        "a picture inside a PDF": (as_bytes(noisy(tilted, 0.5), "PDF", resolution=200), ScanType.PDF),
    }


def test_the_code_is_read_from_what_scanners_make_of_the_page(page: Image.Image) -> None:
    read = {name: paper.read_codes(content, kind, name) for name, (content, kind) in scanned(page).items()}

    assert read == {name: [CODE] for name in read}


def test_two_forms_in_one_scan_are_both_read(font: Path, page: Image.Image) -> None:
    other = paper.write_pdf(replace(SHEET, code=CODE.replace(":1:6f", ":2:6f")), font)
    second = pypdfium2.PdfDocument(other)[0].render(scale=2, grayscale=True).to_pil()
    pages = io.BytesIO()
    page.save(pages, "PDF", save_all=True, append_images=[second], resolution=200)

    assert len(set(paper.read_codes(pages.getvalue(), ScanType.PDF, "two.pdf"))) == 2


def test_an_empty_page_has_no_code() -> None:
    assert list(paper.read_codes(as_bytes(Image.new("L", (1000, 1400), 255), "PNG"), ScanType.PNG, "empty")) == []


NO_SCAN: Mapping[str, tuple[bytes, ScanType, str]] = {
    "a PDF cut short": (b"%PDF-1.7\n1 0 obj <<", ScanType.PDF, "scan-not-readable"),
    "a PNG cut short": (b"\x89PNG\r\n\x1a\n\x00\x00", ScanType.PNG, "scan-not-readable"),
    "a JPEG that is none": (b"\xff\xd8\xff\xe0 and no more", ScanType.JPEG, "scan-not-readable"),
    "too many pixels": (as_bytes(Image.new("1", (9000, 9000)), "PNG"), ScanType.PNG, "scan-too-large"),
}


@pytest.mark.parametrize(("content", "kind", "code"), NO_SCAN.values(), ids=NO_SCAN)
def test_what_is_no_scan_is_refused(content: bytes, kind: ScanType, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        paper.read_codes(content, kind, "scan")

    assert refusal.value.code == code


def test_a_missing_library_is_told_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zxingcpp", None)

    with pytest.raises(PreflightFailed) as missing:
        paper.read_codes(as_bytes(Image.new("L", (10, 10)), "PNG"), ScanType.PNG, "scan")

    assert missing.value.code == "paper-libraries"
