"""The demo: one good release from the vendor's drop to closed, one bad release stopped at the canary, on real hosts.

What is printed is what was typed and what was answered; nothing is acted.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from upgrader.domain.errors import LabFailed
from upgrader.lab.appointments import put_appointment, read_appointment
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION, OWNER, TESTER, Answer, Hospital
from upgrader.lab.host import SERVICE_PORT
from upgrader.lab.janitor import watched_by_janitor
from upgrader.lab.lab import Lab
from upgrader.lab.releases import SYSTEM

BASE, GOOD, BAD = "3.1.9", "3.5.10", "3.7.1"
APPOINTMENT = "ultrasound-0731"
Tell = Callable[[str], None]
Say = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Shown:
    """Where the demo left its report and its evidence bundle, for the good change and the bad one."""

    reports: tuple[Path, Path]
    bundles: tuple[Path, Path]


@dataclass(frozen=True, slots=True)
class Stage:
    """Types commands as people of the hospital and shows them."""

    hospital: Hospital
    tell: Tell
    language: str

    def type(self, person: str, *arguments: str, expect: int = 0) -> Answer:
        self.tell(f"\n[{person}] $ upgrader {shlex.join(arguments)}")
        answer = self.hospital.upgrader(person, "--lang", self.language, *arguments, check=False)
        self.tell((answer.err + answer.out).rstrip())
        if answer.code != expect:
            raise LabFailed("lab-command-failed", command=shlex.join(arguments), ended=answer.code, said=answer.err)
        if expect:
            self.tell(f"(exit code {answer.code})")
        return answer


def play(directory: Path, *, hosts: int, machines: bool, language: str, say: Say, tell: Tell) -> Shown:
    """Play the whole story in `directory`; the lab's hosts are gone afterwards, the reports and bundles stay."""
    with watched_by_janitor(directory / "lab"):
        tell(say("demo.lab", count=hosts))
        lab = Lab.up(directory / "lab", hosts=hosts, machines=machines)
        hospital = Hospital.build(directory / "hospital", lab, default_cache() / "lab-drop")
        tell(say("demo.base", system=SYSTEM, version=BASE))
        hospital.install_by_hand(BASE)
        _enter_data(lab)
        stage = Stage(hospital, tell, language)
        tell("\n" + say("demo.good", version=GOOD))
        good = _whole_change(stage, GOOD)
        _check_data(lab)
        tell("\n" + say("demo.bad", version=BAD))
        bad = _bad_change(stage, BAD)
        _check_data(lab)
        tell("\n" + say("demo.data", count=len(lab.hosts)))
        return Shown((good[0], bad[0]), (good[1], bad[1]))


def _whole_change(stage: Stage, version: str) -> tuple[Path, Path]:
    change = _to_signed(stage, version)
    stage.type(ENGINEER, "approvals", change)
    stage.type(ENGINEER, "apply", change)
    stage.type(ENGINEER, "soak", change)
    stage.type(OWNER, "accept", change, "--yes")
    return _close(stage, change)


def _bad_change(stage: Stage, version: str) -> tuple[Path, Path]:
    change = _to_signed(stage, version)
    stage.type(ENGINEER, "apply", change, expect=30)
    stage.type(ENGINEER, "status", change)
    return _close(stage, change)


def _to_signed(stage: Stage, version: str) -> str:
    stage.type(ENGINEER, "stage", str(stage.hospital.drop.release(version)))
    stage.type(TESTER, "record", "vendor-test", SYSTEM, version, "--cases", "48 of 48")
    stage.type(ENGINEER, "record", "site-test", SYSTEM, version, "--cases", "12 of 12")
    words = (
        "--window",
        "now → +3h",
        "--reason",
        "defect 2291",
        "--wave-size",
        "6",
        "--soak",
        "6s",
        "--soak-interval",
        "2s",
    )
    stage.type(ENGINEER, "request", SYSTEM, version, *words)
    change = _newest_change(stage.hospital)
    stage.type(ENGINEER, "plan", change)
    for person in (INFORMATION, HEAD):
        stage.type(person, "sign", change, "approve", "--yes")
    return change


def _close(stage: Stage, change: str) -> tuple[Path, Path]:
    folder = stage.hospital.directory.parent / "closed"
    stage.type(ENGINEER, "close", change, "--to", str(folder))
    bundle = folder / f"{change}.evidence.tar"
    stage.type(ENGINEER, "evidence", "verify", str(bundle))
    return folder / f"{change}.report.html", bundle


def _newest_change(hospital: Hospital) -> str:
    return max(path.name for path in (hospital.clone(ENGINEER) / "approvals").iterdir())


def _enter_data(lab: Lab) -> None:
    for host in lab.hosts:
        put_appointment(host.address, SERVICE_PORT, APPOINTMENT, f"{APPOINTMENT} {host.name}")


def _check_data(lab: Lab) -> None:
    """What was entered before is there, on every host. Raises LabFailed naming the first host that lost it."""
    for host in lab.hosts:
        if f"{APPOINTMENT} {host.name}" not in read_appointment(host.address, SERVICE_PORT, APPOINTMENT):
            raise LabFailed("lab-data-lost", host=host.name)
