"""Commands that are started warm say what cold ones say: their output, their errors, their exit codes."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from upgrader.lab.hospital import Start, cold_start

COMMANDS = (
    ("--help",),
    ("bogus",),
    ("--lang", "zh", "status", "x"),
    ("--json", "--site", "{folder}", "approvals", "CHG-2026-0001"),
    ("--site", "{folder}/missing", "calendar", "check", "now"),
)


def upgrader(*words: str) -> list[str]:
    return [sys.executable, "-m", "upgrader", *words]


@pytest.fixture
def surroundings(tmp_path: Path) -> Mapping[str, str]:
    return {"PATH": os.environ["PATH"], "UPGRADER_STATE": str(tmp_path / "state"), "HOME": str(tmp_path)}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_warm_command_says_what_a_cold_one_says(
    words: tuple[str, ...], tmp_path: Path, warm: Start, surroundings: Mapping[str, str]
) -> None:
    command = upgrader(*(word.format(folder=tmp_path) for word in words))

    said = [start(command, cwd=tmp_path, env=surroundings, timeout=60) for start in (warm, cold_start)]

    assert said[0].returncode == said[1].returncode
    assert said[0].stdout == said[1].stdout
    assert said[0].stderr == said[1].stderr


def test_the_environment_is_the_one_that_was_given(
    tmp_path: Path, warm: Start, surroundings: Mapping[str, str]
) -> None:
    languages = {
        language: warm(upgrader("--help"), cwd=tmp_path, env={**surroundings, "UPGRADER_LANG": language}, timeout=60)
        for language in ("zh", "en")
    }

    assert "Usage" in languages["en"].stdout
    assert "用法" in languages["zh"].stdout


def test_a_command_that_takes_too_long_is_told(tmp_path: Path, warm: Start, surroundings: Mapping[str, str]) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        warm(upgrader("--help"), cwd=tmp_path, env=surroundings, timeout=0.000001)
