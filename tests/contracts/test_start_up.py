"""Start-up: a command that only looks is not made to wait for libraries that it does not use."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from upgrader.adapters.documents import Language, Settings, write_settings
from upgrader.adapters.documents.settings_file import read_settings
from upgrader.adapters.documents.settings_model import read_by_model
from upgrader.adapters.git.checkout import Checkout
from upgrader.adapters.programs import distribution_version
from upgrader.domain.errors import PreflightFailed
from upgrader.domain.names import SiteId

SETTINGS = Settings(
    site=SiteId("renmin-hospital"),
    hospital={"zh": "市第一人民医院", "en": "First People's Hospital"},
    time_zone="Asia/Shanghai",
    language=Language.CHINESE,
    change_prefix="CHG",
    forks=20,
)
HEAVY = ("git", "importlib.metadata", "jinja2", "paramiko", "pydantic", "rich", "ansible_runner")
# What the command line does, and then tells which libraries it took.
LOOK = "import sys; from upgrader.__main__ import main\ntry: main()\nexcept SystemExit: print(*sys.modules, sep='\\n')"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", tmp_path / "site"], check=True)
    (tmp_path / "site" / "upgrader.yml").write_text(write_settings(SETTINGS), encoding="utf-8")
    return tmp_path / "site"


@pytest.mark.parametrize("arguments", [("--help",), ("status",)], ids=" ".join)
def test_looking_imports_nothing_heavy(site: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    environment = os.environ | {"UPGRADER_STATE": str(tmp_path / "state"), "UPGRADER_LANG": "en"}
    command = [sys.executable, "-c", LOOK, *arguments]
    told = subprocess.run(command, cwd=site, env=environment, capture_output=True, text=True, check=True).stdout

    assert "upgrader.cli" in told.splitlines()
    assert set(HEAVY) & set(told.splitlines()) == set()


def test_settings_read_without_the_model_are_those_of_the_model() -> None:
    content = write_settings(SETTINGS).encode()
    without_forks = b"".join(line for line in content.splitlines(keepends=True) if not line.startswith(b"forks"))

    assert read_settings(content, "upgrader.yml") == read_by_model(content, "upgrader.yml") == SETTINGS
    assert read_settings(without_forks, "upgrader.yml") == read_by_model(without_forks, "upgrader.yml")


def test_a_checkout_tells_what_git_config_says_of_it(site: Path) -> None:
    for name, value in (("person", "li.na"), ("sshKey", "/srv/keys/a key"), ("person", "zhang.min")):
        subprocess.run(["git", "-C", site, "config", f"upgrader.{name}", value], check=True)
    (site / "approvals").mkdir()
    checkout = Checkout(site / "approvals")

    assert (checkout.root, checkout.setting("person")) == (site, "zhang.min")
    assert (checkout.setting("sshKey"), checkout.setting("key")) == ("/srv/keys/a key", None)


def test_a_folder_outside_of_any_repository_is_none(tmp_path: Path) -> None:
    with pytest.raises(PreflightFailed, match="not-a-repository"):
        Checkout(tmp_path)


def test_a_version_found_by_the_name_of_a_folder_is_the_installed_one() -> None:
    for name in ("ansible-core", "pydantic"):
        assert distribution_version(name) == importlib.metadata.version(name)
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        distribution_version("no-such-distribution")
