"""A slice of the hospital's night; all fifty systems: `make hospital`."""

from pathlib import Path

import pytest

from upgrader.domain.names import SystemId
from upgrader.lab.hospital import Start
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.night import Ended, as_planned, prepare
from upgrader.lab.programs import missing_programs

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SYSTEMS = [SystemId(name) for name in ("cdss", "lis", "outpatient-emergency-billing")]
MISSING = missing_programs(("sshd", "ssh", "ssh-keygen", "git"))


@pytest.mark.skipif(bool(MISSING), reason=f"NO LAB: {', '.join(MISSING)} is not installed")
@pytest.mark.timeout(600)
def test_a_system_that_is_taken_back_holds_back_what_stands_on_it(tmp_path: Path, warm: Start) -> None:
    told: list[str] = []
    with temporary_lab(tmp_path / "lab", hosts=len(SYSTEMS)) as lab:
        lines = prepare(tmp_path / "hospital", lab, SYSTEMS, warm).play(told.append)

    assert {line.system: (line.ended, line.runs, line.because) for line in lines} == {
        "lis": (Ended.TAKEN_BACK, "3.1.9", ""),
        "cdss": (Ended.HELD, "3.1.9", "lis"),
        "outpatient-emergency-billing": (Ended.UPGRADED, "3.5.10", ""),
    }
    assert all(as_planned(line) for line in lines)
    assert [line.system for line in lines] == ["lis", "cdss", "outpatient-emergency-billing"]
    assert all(len(line) <= 80 for line in told)
    assert {line.system for line in lines if line.downtime_ms} == {"lis", "outpatient-emergency-billing"}
