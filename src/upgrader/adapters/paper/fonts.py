"""A font with Chinese glyphs: a PDF carries its glyphs in itself, so one has to be on this computer."""

from pathlib import Path

from upgrader.domain.errors import PreflightFailed

# Where Debian, Ubuntu, openEuler and Kylin put a font with both scripts; the first that is there is taken.
FONTS = (
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/wqy-zenhei/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/arphic/uming.ttc",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc",
)


def find_font(chosen: Path | None) -> Path:
    """The font that the person chose, else the first known one. Raises PreflightFailed `font-missing`."""
    candidates = [chosen] if chosen is not None else [Path(font) for font in FONTS]
    for font in candidates:
        if font.is_file():
            return font
    raise PreflightFailed("font-missing", fonts=", ".join(str(font) for font in candidates))
