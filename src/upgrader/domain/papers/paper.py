"""Paper: the code that ties a printed form to one plan, and the scan that lies beside a word given on paper.

The code is printed on the form as text and as a QR code, `upgrader:1:SITE:CHANGE:REVISION:SHA256`, where SHA256 is the
digest of plan.json: so a form says by itself for which plan it was signed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from upgrader.domain.approval.record import PaperRecord, ScanType, record_name, scan_name
from upgrader.domain.changes.plan import Plan
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused
from upgrader.domain.names import ChangeId, SiteId

PREFIX = "upgrader:"
LARGEST_SCAN = 16 * 1024 * 1024
STARTS = {b"%PDF-": ScanType.PDF, b"\x89PNG\r\n\x1a\n": ScanType.PNG, b"\xff\xd8\xff": ScanType.JPEG}


@dataclass(frozen=True, slots=True)
class PlanCode:
    """Which plan a form is for."""

    site: SiteId
    change: ChangeId
    revision: int
    plan: Digest

    @classmethod
    def of(cls, plan: Plan) -> Self:
        return cls(plan.site, plan.change, plan.revision, plan.digest)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the code of a form. Raises ValueError for any text that we would not have printed."""
        parts = text.split(":")
        if len(parts) != 6 or parts[:2] != ["upgrader", "1"] or not parts[4].isascii():
            raise ValueError(f"expected upgrader:1:SITE:CHANGE:REVISION:SHA256, found {text[:160]!r}")
        code = cls(SiteId(parts[2]), ChangeId(parts[3]), int(parts[4]), Digest(parts[5]))
        if str(code) != text:
            raise ValueError(f"expected {code}, found {text[:160]!r}")
        return code

    def __str__(self) -> str:
        return f"{PREFIX}1:{self.site}:{self.change}:{self.revision}:{self.plan.hex}"


def check_codes(texts: Iterable[str], plan: Plan, file: str) -> None:
    """Check that the QR codes of a scan name exactly this plan. Codes that are not ours (an archive's) say nothing.

    Raises Refused: there is none, two that differ, one that we never print, or one for something else.
    """
    ours = sorted({text for text in texts if text.startswith(PREFIX)})
    if not ours:
        raise Refused("scan-without-code", file=file)
    if len(ours) > 1:
        raise Refused("scan-codes-differ", file=file, found="; ".join(text[:160] for text in ours[:4]))
    try:
        found = PlanCode.parse(ours[0])
    except ValueError as error:
        raise Refused("scan-code-unknown", file=file, found=ours[0][:160]) from error
    expected = PlanCode.of(plan)
    if (found.site, found.change) != (expected.site, expected.change):
        fields = {"expected": f"{expected.site} {expected.change}", "found": f"{found.site} {found.change}"}
        raise Refused("scan-other-change", file=file, **fields)
    if found != expected:
        fields = {"expected": f"{expected.revision} {expected.plan.short}"}
        raise Refused("scan-other-plan", file=file, found=f"{found.revision} {found.plan.short}", **fields)


def scan_type(content: bytes, file: str) -> ScanType:
    """What a scan is, by its first bytes. Raises Refused for one that is too large or of no kind that we read."""
    if len(content) > LARGEST_SCAN:
        raise Refused("scan-too-large", file=file, found=len(content), expected=LARGEST_SCAN)
    kind = next((kind for start, kind in STARTS.items() if content.startswith(start)), None)
    if kind is None:
        raise Refused("scan-not-readable", file=file, found=content[:8].hex() or "-")
    return kind


def check_scan(record: PaperRecord, path: str, files: Mapping[str, bytes]) -> None:
    """Check what lies beside a record at `path`: the scan that it names, byte for byte, and no other.

    Raises Refused `paper-scan-differs`.
    """
    stem = path.removesuffix(record_name(record)) + record_name(record).removesuffix(".json")
    there = {f"{stem}.{kind}" for kind in ScanType} & set(files)
    name = scan_name(record)
    named = {path.removesuffix(record_name(record)) + name} if name else set()
    if there != named or any(Digest.of(files[scan]) != record.scan for scan in there):
        raise Refused("paper-scan-differs", file=path, found=", ".join(sorted(there)) or "-")
