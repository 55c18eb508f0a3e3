"""What a killed process left in memory or on the disk is gone with the next run; what a living one needs stays."""

import subprocess
import sys
from pathlib import Path

import pytest

from upgrader.adapters.hosts.private_folder import private_folder

HOLDER = """
import sys, time
from pathlib import Path
from upgrader.adapters.hosts.private_folder import private_folder
with private_folder(Path(sys.argv[1])) as folder:
    (folder / "secrets.json").write_text("{}")
    print(folder, flush=True)
    time.sleep(600)
"""


def folders(within: Path) -> list[str]:
    return sorted(path.name for path in within.iterdir())


def test_nobody_else_may_enter_and_nothing_is_left(tmp_path: Path) -> None:
    with private_folder(tmp_path) as folder:
        (folder / "secrets.json").write_text("{}")
        modes = [path.stat().st_mode & 0o777 for path in (folder, folder / "secrets.json")]

    assert modes == [0o700, 0o600]
    assert folders(tmp_path) == []


def test_what_a_killed_process_left_is_taken_away_and_what_a_living_one_needs_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        left = Path(holder.stdout.readline().strip())
        try:
            with private_folder(tmp_path):
                assert left.is_dir()
        finally:
            holder.kill()
            holder.wait(60)
    assert (left / "secrets.json").exists()

    with private_folder(tmp_path) as folder:
        assert folders(tmp_path) == [folder.name]


@pytest.mark.parametrize("name", ["upgrader-demo-abcdefgh", "upgrader-journals-0", "upgrader-r-", "other"])
def test_what_is_called_otherwise_is_none_of_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()

    with private_folder(tmp_path):
        assert (tmp_path / name).is_dir()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (tmp_path / "upgrader-r-abcdefgh").symlink_to(elsewhere)

    with private_folder(tmp_path):
        assert (elsewhere / "kept").exists()
