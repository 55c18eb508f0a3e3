"""A scan: its pages as pictures, and the QR codes on them. Scanners and telephones make them tilted, grey, noisy."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

from upgrader.adapters.paper.libraries import of_the_extra
from upgrader.domain.approval.record import ScanType
from upgrader.domain.errors import Refused

MOST_PAGES = 40
MOST_PIXELS = 60_000_000
DPI = (200, 300)
POINTS_PER_INCH = 72


def read_codes(content: bytes, kind: ScanType, file: str) -> Sequence[str]:
    """The texts of all QR codes in a scan, page by page. Changes nothing on disk.

    Raises Refused `scan-not-readable` or `scan-too-large`, PreflightFailed `paper-libraries`.
    """
    pages = _pdf_pages(content, file) if kind is ScanType.PDF else _picture(content, file)
    return [text for page in pages for text in _codes_on(page)]


def _codes_on(tries: Iterator[Any]) -> Sequence[str]:
    """Look at one page in several ways and take the first in which codes are found."""
    with of_the_extra():
        import zxingcpp
    for picture in tries:
        for binarizer in (zxingcpp.Binarizer.LocalAverage, zxingcpp.Binarizer.GlobalHistogram):
            found = zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormat.QRCode, binarizer=binarizer)
            if texts := [code.text for code in found if code.valid]:
                return texts
    return ()


def _pdf_pages(content: bytes, file: str) -> Iterator[Iterator[Any]]:
    with of_the_extra():
        import pypdfium2
    try:
        document = pypdfium2.PdfDocument(content)
        if len(document) > MOST_PAGES:
            raise Refused("scan-too-large", file=file, found=len(document), expected=MOST_PAGES)
        for number in range(len(document)):
            yield _drawn(document[number], file)
    except pypdfium2.PdfiumError as error:
        raise Refused("scan-not-readable", file=file, found=str(error)[:120]) from error


def _drawn(page: Any, file: str) -> Iterator[Any]:
    """The page as grey pictures of growing size."""
    width, height = page.get_size()
    for dpi in DPI:
        scale = dpi / POINTS_PER_INCH
        if width * height * scale * scale > MOST_PIXELS:
            raise Refused("scan-too-large", file=file, found=f"{width:.0f} x {height:.0f} pt", expected=MOST_PIXELS)
        yield from _clearer(page.render(scale=scale, grayscale=True).to_pil())


def _picture(content: bytes, file: str) -> Iterator[Iterator[Any]]:
    with of_the_extra():
        from PIL import Image
    try:
        picture = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
        if picture.width * picture.height > MOST_PIXELS:
            raise Refused("scan-too-large", file=file, found=f"{picture.size}", expected=MOST_PIXELS)
        grey = picture.convert("L")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Refused("scan-not-readable", file=file, found=str(error)[:120]) from error
    yield _clearer(grey)


def _clearer(picture: Any) -> Iterator[Any]:
    """The picture as it is, then with noise smoothed away, then smaller: what a bad scanner does, undone."""
    with of_the_extra():
        from PIL import ImageFilter
    yield picture
    yield picture.filter(ImageFilter.GaussianBlur(1.2))
    yield picture.filter(ImageFilter.MedianFilter(3))
    yield picture.resize((picture.width // 2, picture.height // 2))
