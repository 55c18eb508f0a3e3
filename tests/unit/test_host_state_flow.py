"""What a host says beside what we know of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fakes import Hospital
from upgrader.domain.changes.playbook import HostOutcome, HostReport
from upgrader.domain.digest import Digest
from upgrader.domain.hospital.platform import Platform
from upgrader.flow.watching.host_state import Known, Match, _match, host_states
from upgrader.ports import GroupedHost, InventoryHost

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


def test_a_windows_host_is_told_apart_and_not_asked() -> None:
    hospital = Hospital()
    site = hospital.site()
    hosts = [
        replace(host, platform=Platform.WINDOWS if host.name == "host-02" else None)
        for host in site.inventory.resolve(Path(), "all")
    ]
    system = hospital.plan.release.system

    found = host_states(replace(site, inventory=Listed(hosts)), system, "all", hospital.progress)

    assert [one.host for one in found if one.match is Match.NOT_SERVED] == ["host-02"]
    assert set(hospital.seen_hosts.recall(system).hosts) == {host.name for host in hosts} - {"host-02"}


@dataclass
class Listed:
    hosts: Sequence[InventoryHost]

    def resolve(self, tree: Path, pattern: str) -> Sequence[InventoryHost]:
        return self.hosts

    def sudo_secrets(self, tree: Path, names: Sequence[str]) -> Sequence[str]:
        return ()

    def grouped(self, tree: Path) -> Sequence[GroupedHost]:
        raise NotImplementedError
