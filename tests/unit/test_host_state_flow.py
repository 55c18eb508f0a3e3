"""What a host says beside what we know of it."""

import pytest

from upgrader.domain.digest import Digest
from upgrader.domain.playbook import HostOutcome, HostReport
from upgrader.flow.host_state import Known, Match, _match

STAGED = {"2.0": Digest("a" * 64), "1.0": Digest("b" * 64)}
KNOWN = Known("2.0", "CHG-2026-0001")


@pytest.mark.parametrize(
    ("current", "digest", "pending", "known", "expected"),
    [
        ("2.0", "a" * 64, "", KNOWN, Match.AS_KNOWN),
        ("2.0", "c" * 64, "", KNOWN, Match.OTHER_BUILD),
        ("1.0", "b" * 64, "", KNOWN, Match.OTHER_VERSION),
        ("1.0", "b" * 64, "", None, Match.UNKNOWN_TO_US),
        ("", "", "", KNOWN, Match.RE_IMAGED),
        ("2.0", "a" * 64, "CHG-2026-0001.0", KNOWN, Match.PENDING),
    ],
)
def test_what_a_host_says_is_compared(
    current: str, digest: str, pending: str, known: Known | None, expected: Match
) -> None:
    facts = {"digest": digest, "pending": pending}
    report = HostReport(host="host-01", outcome=HostOutcome.UNCHANGED, current=current, facts=facts)

    assert _match(report, known, STAGED) is expected


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (HostOutcome.UNREACHABLE, Match.SILENT),
        (HostOutcome.NOT_RUN, Match.SILENT),
        (HostOutcome.FAILED, Match.UNREADABLE),
    ],
)
def test_a_host_that_cannot_say_is_told_apart(outcome: HostOutcome, expected: Match) -> None:
    assert _match(HostReport(host="host-01", outcome=outcome), KNOWN, STAGED) is expected
