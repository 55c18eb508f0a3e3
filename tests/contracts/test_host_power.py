"""Power lost at any instruction: the host is in the old or the new version, whole, and the next command goes on.

The shell counts its own commands (PS4 is expanded before each) and the whole process group is killed at the chosen one.
UPGRADER_EVERY_INSTRUCTION=1 tries all of them, which takes minutes; without it a few, spread over the whole length.
"""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from contracts.sh_host import SCRIPT, Build, ShHost, make_build

EVERY = bool(os.environ.get("UPGRADER_EVERY_INSTRUCTION"))
TRIED = 12  # instructions for each shell and verb, unless every one is tried
COUNTED = "+$((instruction=instruction+1))$([ $instruction -ne {last} ] || kill -KILL 0) "
OTHER_BOOT = "00000000-0000-0000-0000-000000000000"


class Snapshot:
    """The host as it was before the change, to begin from again and again."""

    def __init__(self, host: ShHost, old: Build, new: Build) -> None:
        self._host = host
        self._kept = host.folder.parent / f"{host.folder.name}-kept"
        self._old = old
        self.new = new
        self._places = (host.root.parent, host.state.parent)
        for place in self._places:
            shutil.copytree(place, self._kept / place.name, symlinks=True)

    def restore(self) -> None:
        self._host.end()
        for place in self._places:
            shutil.rmtree(place)
            shutil.copytree(self._kept / place.name, place, symlinks=True)
        (self._host.root / "shared/pid").unlink()
        self._host.send(self.new)
        start = [self._host.shell, str(self._host.root / "current/bin/service"), "start"]
        subprocess.run(start, env=self._host.environment, check=True)


@pytest.fixture
def before(host: ShHost, old: Build, tmp_path: Path) -> Snapshot:
    return Snapshot(host, old, make_build(tmp_path, "2.0"))


def run_until(host: ShHost, verb: str, build: Build, last: int) -> int:
    """Run `verb` and kill it at its instruction `last`; gives how many there were, or 0 when it was killed."""
    script = host.folder / "counted.sh"
    trace = f"instruction=0\nPS4='{COUNTED.format(last=last)}'\nset -x\n"
    script.write_text(SCRIPT.replace("#:call\n", f"#:call\n{trace}"))
    ended = subprocess.run(
        host.command(verb, script),
        input=host.lines(build, base="1.0", confirm_seconds=600).encode(),
        capture_output=True,
        env=host.environment,
        timeout=300,
        start_new_session=True,
        check=False,
    )
    if ended.returncode == -signal.SIGKILL:
        return 0
    assert ended.returncode == 0, ended.stderr[-2000:]
    return max(int(number) for number in re.findall(rb"^\++(\d+)", ended.stderr, flags=re.MULTILINE))


def lose_power(host: ShHost) -> None:
    """Nothing runs any more, and the host has booted since."""
    host.end()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    journal, lock = host.state / "journal", host.state / "lock"
    journal.write_text(journal.read_text().replace(boot, OTHER_BOOT))
    if lock.is_symlink():
        holder = str(lock.readlink())
        lock.unlink()
        lock.symlink_to(holder.replace(boot, OTHER_BOOT))
    (host.root / "shared/pid").unlink(missing_ok=True)


def chosen(length: int) -> range:
    return range(1, length + 1) if EVERY else range(3, length + 1, max(1, length // TRIED))


def assert_whole(host: ShHost, version: str, build: Build, moment: str) -> None:
    home = host.root / "versions" / version
    assert f"sha256={build.sha256}" in (home / ".upgrader").read_text(), moment
    assert (home / "etc/site.conf").read_text().endswith(f"name={version} of exam-scheduling\n"), moment
    assert (home / "bin/service").stat().st_mode & 0o111, moment


def test_power_lost_while_a_version_is_applied(host: ShHost, old: Build, before: Snapshot) -> None:
    before.restore()
    length = run_until(host, "apply", before.new, 0)
    builds = {"1.0": old, "2.0": before.new}
    assert length > 200

    for last in chosen(length):
        before.restore()
        assert run_until(host, "apply", before.new, last) == 0, last
        lose_power(host)
        moment = f"instruction {last} of {length}, journal {host.facts}"

        assert host.current in builds, moment
        assert_whole(host, host.current, builds[host.current], moment)
        assert host.run("probe", before.new, base="1.0")["current"] == host.current, moment
        verb, end = ("apply", "2.0") if last % 2 else ("revert", "1.0")
        fact = host.apply(before.new, base="1.0") if verb == "apply" else host.run(verb, before.new, base="1.0")
        if verb == "apply" and fact["step"] == "service":  # 1.0 never stopped for us, and nothing of ours starts it
            continue
        assert host.current == end, (moment, fact)
        assert_whole(host, end, builds[end], moment)
        assert not list((host.root / "versions").glob(".*")), moment
        if "switch-started" in host.facts[5:]:
            assert host.service_runs(), (moment, fact)


def test_power_lost_while_it_is_confirmed(host: ShHost, old: Build, before: Snapshot) -> None:
    def apply() -> None:
        before.restore()
        assert host.apply(before.new, base="1.0", confirm_seconds=600)["outcome"] == "upgraded"

    apply()
    length = run_until(host, "confirm", before.new, 0)

    for last in chosen(length):
        apply()
        assert run_until(host, "confirm", before.new, last) == 0, last
        confirmed = "confirmed" in host.facts[5:]
        lose_power(host)

        fact = host.run("revert", make_build(host.folder, "3.0"), key="CHG-2026-0009.0")  # any later command
        again = host.apply(make_build(host.folder, "3.0"), base="2.0" if confirmed else "1.0", key="CHG-2026-0009.0")

        assert fact["outcome"] == "unchanged", last
        assert again["from"] == ("2.0" if confirmed else "1.0"), (last, again)
