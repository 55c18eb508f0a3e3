"""Jobs by the clock through the command line: a timer of systemd on a machine, and a start script's lock without it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.sh_host import Build, make_build
from stories.test_messages_change import digest
from upgrader.domain.approval.record import Namespace
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import ENGINEER, OWNER, TESTER, Answer, Hospital, Start
from upgrader.lab.host import LabHost
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.keys import sign
from upgrader.lab.machines import PROGRAMS as MACHINE_PROGRAMS
from upgrader.lab.programs import missing_programs
from upgrader.lab.releases import SYSTEM, VENDOR

MISSING = missing_programs(("sshd", "ssh", "ssh-keygen", "git"))
NO_MACHINES = os.geteuid() != 0 or bool(missing_programs(MACHINE_PROGRAMS))
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(MISSING), reason=f"NO LAB: {', '.join(MISSING)} is not installed"),
]
ON_MACHINE = pytest.param(
    True,
    id="timer",
    marks=[
        pytest.mark.machines,
        pytest.mark.slow,
        pytest.mark.skipif(NO_MACHINES, reason="NO MACHINES TRIED: not root, or a program is missing"),
    ],
)
MANIFEST = """\
system: {system}
version: "{version}"
vendor: {vendor}
released: "2026-11-20"
summary: {{zh: 月度统计, en: statistics of the month}}
follows: ["", "1.*"]
strategy: archive
downtime: 10s
data: keep
builds: [{{file: "{file}", sha256: "{sha256}", size: {size}}}]
service: {{name: {system}, unit: etc/statistics.service, script: bin/service, settle: 1s}}
health: {{command: bin/health, timeout: 20s}}
job:
  command: bin/no-job
  wait: 1s
  then: defer
  schedule: {{stop: bin/schedule stop, start: bin/schedule start}}
keep: 2
probes:
  - {{name: version, kind: command, run: "cat {{root}}/current/VERSION", expect_text: "{version}",
     interval: 1s, count: 1, failures_allowed: 0, timeout: 20s}}
thresholds: {{failed_in_wave: 0, failed_in_all: 0, unreachable_in_wave: 0}}
"""
UNIT = "[Service]\nExecStart=/bin/sleep 100000\n[Install]\nWantedBy=multi-user.target\n"
# As vendors do it: with systemd a timer starts the job; without, a start script looks for a mark and holds a lock.
BY_TIMER = {
    "bin/no-job": "#!/bin/sh\ncase $(systemctl is-active month.service) in\n"
    "inactive | failed) exit 0 ;; *) echo 'the statistics of the month are made'; exit 1 ;; esac\n",
    "bin/schedule": "#!/bin/sh\nexec systemctl $1 month.timer\n",
}
BY_SCRIPT = {
    "bin/no-job": "#!/bin/sh\n/usr/bin/flock -n ../../shared/job.lock true && exit 0\n"
    "echo 'the statistics of the month are made'\nexit 1\n",
    "bin/schedule": "#!/bin/sh\ncase $1 in\nstop) touch ../../shared/no-jobs ;;\n"
    "start) rm -f ../../shared/no-jobs ;;\nesac\n",
}
TIMER = """\
set -eu
cd /etc/systemd/system
printf '[Service]\\nType=oneshot\\nExecStart=/bin/sleep 100000\\n' >month.service
printf '[Timer]\\nOnCalendar=monthly\\nPersistent=false\\n[Install]\\nWantedBy=timers.target\\n' >month.timer
systemctl daemon-reload
systemctl enable --now --quiet month.timer
"""


@pytest.fixture(params=[pytest.param(False, id="script"), ON_MACHINE])
def hospital(request: pytest.FixtureRequest, tmp_path: Path, warm: Start) -> Iterator[Hospital]:
    """One host with nothing installed: without systemd, or a machine with a timer for the month."""
    with temporary_lab(tmp_path / "lab", hosts=1, machines=request.param) as lab:
        if request.param:
            lab.run(lab.hosts[0], TIMER)
        yield Hospital.build(tmp_path, lab, default_cache() / "lab-drop", start=warm)


def statistics(folder: Path, version: str, *, timer: bool) -> Build:
    programs = BY_TIMER if timer else BY_SCRIPT
    return make_build(folder, version, **{"VERSION": f"{version}\n", "etc/statistics.service": UNIT, **programs})


def ready(hospital: Hospital, version: str, folder: Path) -> str:
    """From the vendor's drop to a plan that everybody signed: the change's id."""
    build = statistics(folder, version, timer=on_machine(hospital))
    drop = folder / version
    drop.mkdir()
    shutil.copyfile(build.path, drop / build.path.name)
    named = {"system": SYSTEM, "version": version, "vendor": VENDOR, "file": build.path.name}
    (drop / "release.yml").write_text(MANIFEST.format(**named, sha256=build.sha256, size=build.size))
    (drop / "SHA256SUMS").write_text("".join(f"{digest(p)}  {p.name}\n" for p in sorted(drop.iterdir())))
    sign(drop / "SHA256SUMS", hospital.drop.vendor_key, Namespace.RELEASE)
    hospital.upgrader(ENGINEER, "stage", str(drop))
    hospital.upgrader(TESTER, "record", "vendor-test", SYSTEM, version, "--cases", "9 of 9")
    hospital.upgrader(ENGINEER, "record", "site-test", SYSTEM, version, "--cases", "3 of 3")
    return hospital.change_planned(version, "--soak", "2s", "--soak-interval", "1s", reason="the month")


def on_machine(hospital: Hospital) -> bool:
    return hospital.lab.hosts[0].service_manager == "systemd"


def asked(hospital: Hospital, command: str) -> str:
    return hospital.lab.run(hospital.lab.hosts[0], command).stdout.strip()


def begin_job(hospital: Hospital) -> None:
    """The month is over: the job starts as its timer starts it, or as its start script does. It ends when told to."""
    if on_machine(hospital):
        asked(hospital, "systemctl start --no-block month.service")
    else:
        lock = shared(hospital.lab.hosts[0]) / "job.lock"
        asked(hospital, f"setsid flock {lock} sleep 100000 </dev/null >/dev/null 2>&1 & echo $! >{lock}.pid")
    asked(
        hospital, f"{watched(hospital)} i=0; while bin/no-job; do i=$((i+1)); [ $i -lt 600 ] || exit 1; sleep 0.1; done"
    )


def end_job(hospital: Hospital) -> None:
    if on_machine(hospital):
        asked(hospital, "systemctl stop month.service")
    else:
        lock = shared(hospital.lab.hosts[0]) / "job.lock"
        asked(hospital, f"kill -- -$(cat {lock}.pid) || kill $(cat {lock}.pid)")
    asked(
        hospital, f"{watched(hospital)} i=0; until bin/no-job; do i=$((i+1)); [ $i -lt 600 ] || exit 1; sleep 0.1; done"
    )


def watched(hospital: Hospital) -> str:
    host = hospital.lab.hosts[0]
    return f"cd {host.upgrader_root}/{SYSTEM}/versions/1.0 &&"


def shared(host: LabHost) -> Path:
    return Path(host.upgrader_root) / SYSTEM / "shared"


def scheduled(hospital: Hospital) -> bool:
    """Whether the next job would start at its time."""
    if on_machine(hospital):
        return asked(hospital, "systemctl is-active month.timer") == "active"
    return not (shared(hospital.lab.hosts[0]) / "no-jobs").exists()


def state(hospital: Hospital, change: str) -> Answer:
    return hospital.upgrader(ENGINEER, "--json", "status", change)


def test_a_release_waits_for_the_job_and_gives_its_timer_back(hospital: Hospital, tmp_path: Path) -> None:
    (host,) = hospital.lab.hosts
    current = f"readlink {host.upgrader_root}/{SYSTEM}/current"
    first = ready(hospital, "1.0", tmp_path)
    hospital.upgrader(ENGINEER, "apply", first)
    hospital.upgrader(ENGINEER, "soak", first)
    hospital.upgrader(OWNER, "accept", first, "--yes")
    hospital.upgrader(ENGINEER, "close", first)
    change = ready(hospital, "1.1", tmp_path)
    begin_job(hospital)

    put_off = hospital.upgrader(ENGINEER, "--json", "--lang", "en", "apply", change, check=False)

    assert (put_off.code, put_off.json()["code"]) == (14, "nobody-reached"), put_off.err
    assert "a job still runs after 1 s: the statistics of the month are made" in put_off.err
    assert asked(hospital, current) == "versions/1.0"
    (told,) = state(hospital, change).json()["hosts"]
    assert told["outcome"] == "busy", told
    assert scheduled(hospital)
    end_job(hospital)
    hospital.upgrader(ENGINEER, "apply", change)

    assert asked(hospital, current) == "versions/1.1"
    assert scheduled(hospital)
    journal = asked(hospital, f"cut -d' ' -f5 {host.upgrader_state}/{SYSTEM}/journal").split()
    held = max(i for i, fact in enumerate(journal) if fact == "schedule-stopped")
    assert held < journal.index("switch-started", held) < journal.index("schedule-started", held)

    hospital.upgrader(ENGINEER, "rollback", change, "--reason", "the month is wrong")
    assert asked(hospital, current) == "versions/1.0"
    assert scheduled(hospital)
    hospital.upgrader(ENGINEER, "close", change)
