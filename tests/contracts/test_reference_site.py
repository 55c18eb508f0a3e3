"""A new site starts from the reference site with its fifty systems, and says what the README shows of them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOWN = re.compile(r"```sh\n\$ upgrader (systems lis)\n(.*?)```", re.DOTALL)
READMES = {"en": "README.md", "zh": "README.zh.md"}


def upgrader(folder: Path, *arguments: str, language: str = "en") -> str:
    surroundings = {
        "UPGRADER_STATE": str(folder / "state"),
        "UPGRADER_LANG": language,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_{what}": "x@example.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    done = subprocess.run(
        [sys.executable, "-m", "upgrader", "--site", str(folder / "site"), *arguments],
        env={**os.environ, **surroundings},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout


@pytest.fixture(scope="module")
def new_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    upgrader(folder, "init", str(folder / "site"), "--name", "renmin-hospital", "--hospital", "人民医院", "Hospital")
    return folder


@pytest.mark.parametrize("language", READMES)
def test_a_new_site_says_of_its_systems_what_the_readme_shows(new_site: Path, language: str) -> None:
    shown = SHOWN.search((ROOT / READMES[language]).read_text(encoding="utf-8"))
    assert shown is not None

    assert upgrader(new_site, *shown[1].split(), language=language) == shown[2]


@pytest.mark.parametrize("language", READMES)
def test_the_list_of_fifty_fits_the_screen(new_site: Path, language: str) -> None:
    lines = upgrader(new_site, "systems", language=language).splitlines()

    assert sum(bool(re.match(r" *\d+  [a-z]", line)) for line in lines) == 50
    wide = [line for line in lines if sum(2 if ord(sign) > 0x2E80 else 1 for sign in line) > 80]
    assert wide == []


def test_a_new_site_has_nothing_staged_and_no_examples_of_releases(new_site: Path) -> None:
    assert not (new_site / "site" / "releases").exists()
    assert (new_site / "site" / "inventory" / "group_vars" / "lis.yml").is_file()
