"""The form on paper: drawn as PDF, filled into a template of Word, and its code read again from a scan.

The libraries of the extra `paper` are imported when they are needed; everything else works without them.
"""

from upgrader.adapters.paper.docx import default_template, write_docx
from upgrader.adapters.paper.fonts import find_font
from upgrader.adapters.paper.pdf import write_pdf
from upgrader.adapters.paper.scan import read_codes

__all__ = ["default_template", "find_font", "read_codes", "write_docx", "write_pdf"]
