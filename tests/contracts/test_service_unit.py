"""The unit that starts the service: printed by an installed program, for that program, and fit for systemd."""

import subprocess
import sys
import tomllib
from pathlib import Path

from upgrader.adapters.site_template import PARTS

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "systemd" / "upgrader-serve.service"


def test_serve_prints_the_unit_that_starts_this_very_program(tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "upgrader"

    printed = subprocess.run([program, "serve", "--unit"], cwd=tmp_path, capture_output=True, text=True, check=True)

    shipped = SHIPPED.read_text().splitlines()
    differ = [(old, new) for old, new in zip(shipped, printed.stdout.splitlines(), strict=True) if old != new]
    assert differ == [("ExecStart=/opt/upgrader/bin/upgrader serve", f"ExecStart={program} serve")]
    assert program.is_file()


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    printed = subprocess.run(
        [Path(sys.executable).parent / "upgrader", "serve", "--unit"], capture_output=True, check=True
    )
    unit = tmp_path / "upgrader-serve.service"
    unit.write_bytes(printed.stdout)

    found = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)

    assert [line for line in found.stderr.splitlines() if unit.name in line] == []


def test_what_a_site_starts_from_and_the_unit_are_in_the_wheel() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packed = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]

    assert packed == {part: f"upgrader/site/{part}" for part in (*PARTS, "inventory", "systemd")}
    assert all((ROOT / part).exists() for part in packed)
