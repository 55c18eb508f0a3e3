"""Faults at every step of the host transaction in turn, for every strategy that changes programs.

For each strategy one step of each verb is tried; UPGRADER_EVERY_STEP=1 tries all of them with all that can
follow, which takes an hour, and docs/faults.md has the result.
"""

import os
import shlex
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from contracts.deb_host import DATA, HOME, MISSING, DebHost, make_deb
from contracts.place_host import PlaceHost, make_place
from contracts.sh_host import Build, ShHost, make_build
from contracts.ssh_fleet import PORT, SshFleet
from contracts.stepped import HELD, Fault, run_stepped, stepped_script
from contracts.test_host_power import lose_power
from contracts.test_host_transaction import LATER, wait_for
from upgrader.adapters.hosts.ansible import ssh_arguments

EVERY = bool(os.environ.get("UPGRADER_EVERY_STEP"))
DASH = shutil.which("dash") or "/bin/sh"
PATIENCE = 600


class Maker(Protocol):
    def __call__(self, folder: Path, version: str) -> Build: ...


Made = tuple[ShHost, Maker, str, str]  # a host, how a version for it is made, and where its data and its service lie


@dataclass
class Tried:
    """A host with version 1.0, made anew as often as a step is tried, and a second version for it."""

    make: Callable[[Path], "Made"]
    folder: Path
    made: int = 0

    def fresh(self) -> "Trial":
        self.made += 1
        folder = self.folder / str(self.made)
        folder.mkdir()
        host, make_build, data, service = self.make(folder)
        old, new = make_build(folder, "1.0"), make_build(folder, "2.0")
        host.install(old)
        (host.folder / data).mkdir(parents=True, exist_ok=True)
        (host.folder / data / "病人 records").write_text("4711\n")
        host.send(new)
        return Trial(host, old, new, host.folder / data / "病人 records", service)


@dataclass
class Trial:
    host: ShHost
    old: Build
    new: Build
    records: Path
    service: str

    def boot(self) -> None:
        """The service as it is installed starts with the host, as init does it; nothing of ours does."""
        service = self.host.folder / self.service
        if service.exists():
            start = [self.host.shell, str(service), "start"]
            subprocess.run(start, env=self.host.environment, stdout=subprocess.DEVNULL, check=False)

    def assert_whole(self, version: str, moment: str) -> None:
        """This version, all of it, running, healthy, with its data, and the host says so itself."""
        host, moment = self.host, f"{moment}, journal {self.host.facts[4:]}"
        build = {"1.0": self.old, "2.0": self.new}[version]
        told = host.run("status", build)
        assert (told["running"], told.get("healthy")) == (True, True), (moment, told)
        assert (told["current"], told["digest"], told["pending"]) == (build.version, build.sha256, ""), (moment, told)
        assert host.service_runs(), moment
        assert host.calls[-1] == f"start {build.version}", (moment, host.calls)
        assert self.records.read_text() == "4711\n", moment


def archive_host(folder: Path) -> Made:
    return (
        ShHost(folder, DASH, "/usr/bin:/bin"),
        make_build,
        "a root/exam-scheduling/shared",
        "a root/exam-scheduling/current/bin/service",
    )


def package_host(folder: Path) -> Made:
    if MISSING:
        pytest.skip(f"NO PACKAGES TRIED: missing {', '.join(MISSING)}")
    made = DebHost(folder, DASH, "/usr/bin:/bin")
    made.make_system()
    return made, make_deb, f"a system/{DATA}", f"a system/{HOME}/bin/service"


def place_host(folder: Path) -> Made:
    made = PlaceHost(folder, DASH, "/usr/bin:/bin")
    made.target.mkdir(parents=True)
    return made, make_place, "srv/a lis/data", "srv/a lis/bin/service"


@pytest.fixture(params=[archive_host, package_host, place_host], ids=["archive", "package", "files in place"])
def tried(request: pytest.FixtureRequest, tmp_path: Path) -> Tried:
    return Tried(request.param, tmp_path)


@pytest.fixture
def trials(tried: Tried) -> Iterator[Callable[[], Trial]]:
    """Each call ends the host before, and makes another."""
    last: list[ShHost] = []

    def another() -> Trial:
        while last:
            last.pop().end()
        trial = tried.fresh()
        last.append(trial.host)
        return trial

    yield another
    while last:
        last.pop().end()


@pytest.fixture(scope="module")
def counted() -> dict[tuple[str, str], list[str]]:
    """The steps of each strategy and verb, once known."""
    return {}


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshFleet]:
    """A way to the hosts that can be cut."""
    made = SshFleet(tmp_path_factory.mktemp("faults"), 1)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def run_until_cut(sshd: SshFleet, trial: Trial, verb: str, number: int, confirm_seconds: int) -> None:
    """Run `verb` over ssh as the action plugin does, cut the link at this step, and let the host go on alone."""
    host, held = trial.host, trial.host.state / "held"
    text = stepped_script(host, number, HELD).read_text()
    lines = host.lines(trial.new, base="1.0", confirm_seconds=confirm_seconds)
    text = text.replace('main "$@"\n', f"main {verb} <<'INPUTS'\n{lines}INPUTS\n")
    variables = " ".join(shlex.quote(f"{name}={value}") for name, value in host.environment.items())
    command = f"""exec env -i {variables} {host.shell} -c 'upgrader_script=$(cat) && eval "$upgrader_script"'"""
    arguments = ssh_arguments(sshd.tree / "inventory/known_hosts", sshd.key)
    session = subprocess.Popen(
        ["ssh", *arguments, "-i", str(sshd.key), "-p", str(PORT), sshd.address("host-01"), command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert session.stdin is not None
    session.stdin.write(text.encode())
    session.stdin.close()
    assert wait_for(held.exists), (verb, number)
    sshd.cut("host-01")
    assert session.wait(timeout=60) == 255
    held.unlink()


def chosen(steps: list[str], salt: int) -> list[int]:
    """All steps; or one, another for each fault and strategy."""
    return list(range(1, len(steps) + 1)) if EVERY else [1 + (salt * 7) % len(steps)]


def steps_of(trial: Trial, verb: str) -> list[str]:
    steps = run_stepped(trial.host, verb, trial.new, 0, base="1.0", confirm_seconds=PATIENCE)
    assert len(steps) > 10
    return steps


def prepared(trial: Trial, verb: str) -> Trial:
    """As far as `verb` can be asked for."""
    if verb != "apply":
        assert trial.host.apply(trial.new, base="1.0", confirm_seconds=PATIENCE)["outcome"] == "upgraded"
    return trial


def strike(sshd: SshFleet, trial: Trial, verb: str, fault: Fault, number: int, confirm_seconds: int) -> None:
    if fault is Fault.LINK:
        run_until_cut(sshd, trial, verb, number, confirm_seconds)
        return
    run_stepped(trial.host, verb, trial.new, number, base="1.0", confirm_seconds=confirm_seconds)
    if fault is Fault.POWER:
        lose_power(trial.host)
        trial.boot()


def goes_on(trial: Trial, fault: Fault, moment: str) -> str:
    """The controller comes again with the same command."""
    assert trial.host.apply(trial.new, base="1.0")["outcome"] in ("upgraded", "unchanged"), moment
    assert trial.host.run("confirm", trial.new)["outcome"] == "upgraded", moment
    return "2.0"


def takes_back(trial: Trial, fault: Fault, moment: str) -> str:
    assert trial.host.run("revert", trial.new)["outcome"] in ("rolled-back", "unchanged"), moment
    return "1.0"


def nobody_comes(trial: Trial, fault: Fault, moment: str) -> str:
    """Until a later change does, which finds the host as it was before ours."""
    host = trial.host
    if fault is not Fault.POWER:  # without systemd nothing of ours starts at boot: the next command takes back
        assert wait_for(lambda: host.current == "1.0" and host.service_runs()), moment
    told: list[dict[str, Any]] = []

    def is_let_in() -> bool:  # not while ours is at work, or may still be confirmed
        told.append(host.apply(trial.new, base="1.0", key=LATER, confirm_seconds=PATIENCE))
        return told[-1]["step"] not in ("lock", "pending")

    assert wait_for(is_let_in), (moment, told[-1])
    later = told[-1]
    assert (later["outcome"], later["from"]) == ("upgraded", "1.0"), (moment, later)
    assert host.run("confirm", trial.new, key=LATER)["outcome"] == "upgraded", moment
    return "2.0"


AFTERWARDS: dict[str, tuple[Callable[[Trial, Fault, str], str], ...]] = {
    "apply": (goes_on, takes_back, nobody_comes),
    "confirm": (takes_back, goes_on),
    "revert": (takes_back, takes_back),
}


SLICE = (*(("apply", fault) for fault in Fault), ("confirm", Fault.LINK), ("revert", Fault.KILLED))
CASES = [(verb, fault) for verb in AFTERWARDS for fault in Fault] if EVERY else SLICE


@pytest.mark.parametrize(("verb", "fault"), CASES, ids=[f"{verb}-{fault.name}" for verb, fault in CASES])
def test_whatever_is_cut_at_any_step(
    trials: Callable[[], Trial],
    sshd: SshFleet,
    counted: dict[tuple[str, str], list[str]],
    request: pytest.FixtureRequest,
    verb: str,
    fault: Fault,
) -> None:
    key = (request.node.callspec.id.split("-")[0], verb)
    if key not in counted:
        counted[key] = steps_of(prepared(trials(), verb), verb)
    steps = counted[key]

    for number in chosen(steps, zlib.crc32(request.node.name.encode())):
        for after in AFTERWARDS[verb]:
            if not EVERY and after is not AFTERWARDS[verb][number % len(AFTERWARDS[verb])]:
                continue
            alone = after is nobody_comes
            trial = prepared(trials(), verb)
            moment = f"{verb}, {fault}, {steps[number - 1]} ({number} of {len(steps)}), then {after.__name__}"
            strike(sshd, trial, verb, fault, number, 1 if alone else PATIENCE)
            trial.assert_whole(after(trial, fault, moment), moment)
