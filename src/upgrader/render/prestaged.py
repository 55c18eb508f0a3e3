"""What pre-staging brought, as text and as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from upgrader.flow.applying.prestage import Prestaged
from upgrader.language import Texts

MOST_LINES = 20
KILOBYTE = 1024


def prestaged(change: str, found: Prestaged, texts: Texts) -> Sequence[str]:
    """How many hosts have the builds now, and a line for each that has not."""
    counts = {"ready": len(found.ready), "hosts": len(found.reports), "sent": found.bytes_sent // KILOBYTE}
    left = [report for report in found.reports if report not in found.ready]
    lines = [texts("said.prestaged", change=change, **counts)]
    lines += [f"  ✗ {report.host}  {report.step}  {report.detail}" for report in left[:MOST_LINES]]
    return lines


def prestaged_json(change: str, found: Prestaged) -> Mapping[str, Any]:
    hosts = [
        {"host": report.host, "outcome": report.outcome.value, "detail": report.detail, "bytes_sent": report.bytes_sent}
        for report in found.reports
    ]
    return {"format": "upgrader.prestaged/1", "change": change, "exit_code": int(found.exit_code), "hosts": hosts}
