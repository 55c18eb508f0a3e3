"""A real job that holds a real lock is waited for, and never ended: the version changes after it, or not at all."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from contracts.sh_host import Build, ShHost, make_build

# As vendors do it: the job holds a lock of the kernel's while it runs, and nobody else gets it meanwhile.
RUNNING = """\
#!/bin/sh
/usr/bin/flock -n ../../shared/job.lock true && exit 0
echo 'the statistics of the month are made'
exit 1
"""
SCHEDULE = "#!/bin/sh\ncase $1 in stop) touch ../../shared/no-jobs ;; start) rm -f ../../shared/no-jobs ;; esac\n"
PROGRAMS = {"bin/no-job": RUNNING, "bin/schedule": SCHEDULE}
TERMS: dict[str, Any] = {
    "base": "1.0",
    "job": "bin/no-job",
    "job_seconds": 1,
    "job_then": "defer",
    "schedule_stop": "bin/schedule stop",
    "schedule_start": "bin/schedule start",
}


def start_job(host: ShHost, seconds: float) -> subprocess.Popen[bytes]:
    """A job of that length, which leaves its result when it came to its end."""
    shared = host.root / "shared"
    job = subprocess.Popen(
        ["/usr/bin/flock", str(shared / "job.lock"), "sh", "-c", f"touch started; sleep {seconds}; touch result"],
        cwd=shared,
        start_new_session=True,
    )
    while not (shared / "started").exists():
        time.sleep(0.05)
    return job


@pytest.fixture
def installed(host: ShHost, tmp_path: Path) -> Build:
    build = make_build(tmp_path, "1.0", **PROGRAMS)
    host.install(build)
    return build


def with_jobs(host: ShHost) -> bool:
    return not (host.root / "shared/no-jobs").exists()


def test_a_job_that_ends_in_time_is_waited_for(host: ShHost, installed: Build, tmp_path: Path) -> None:
    job = start_job(host, 2)

    fact = host.apply(make_build(tmp_path, "2.0", **PROGRAMS), **{**TERMS, "job_seconds": 60})

    assert (fact["outcome"], fact["current"]) == ("upgraded", "2.0"), fact
    assert job.poll() == 0
    assert (host.root / "shared/result").exists()
    assert host.facts.index("job-running") < host.facts.index("switch-started", host.facts.index("job-running"))
    assert with_jobs(host)


@pytest.mark.parametrize(("then", "outcome"), [("defer", "busy"), ("fail", "failed")])
def test_a_job_that_goes_on_goes_on_and_the_host_is_put_off_or_fails(
    host: ShHost, installed: Build, tmp_path: Path, then: str, outcome: str
) -> None:
    build = make_build(tmp_path, "2.0", **PROGRAMS)
    job = start_job(host, 30)
    try:
        fact = host.apply(build, **{**TERMS, "job_then": then})

        assert (fact["outcome"], fact["step"], fact["current"], fact["pending"]) == (outcome, "job", "1.0", "")
        assert "the statistics of the month are made" in fact["detail"]
        assert job.poll() is None
        assert with_jobs(host)
        assert host.service_runs()
    finally:
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()
    assert host.apply(build, **TERMS)["outcome"] == "upgraded"


def test_a_program_that_cannot_tell_counts_as_a_job(host: ShHost, installed: Build, tmp_path: Path) -> None:
    fact = host.apply(make_build(tmp_path, "2.0"), **{**TERMS, "job": "bin/version"})

    assert (fact["outcome"], fact["step"]) == ("busy", "job")
    assert "the program is not there" in fact["detail"]


def test_a_rollback_waits_for_the_job_too_and_a_person_decides(host: ShHost, installed: Build, tmp_path: Path) -> None:
    build = make_build(tmp_path, "2.0", **PROGRAMS)
    assert host.apply(build, **TERMS)["outcome"] == "upgraded"
    assert host.run("confirm", build, **TERMS)["outcome"] == "upgraded"
    job = start_job(host, 4)

    refused = host.run("revert", build, **TERMS)
    assert (refused["outcome"], refused["step"], refused["current"]) == ("failed", "job", "2.0")
    assert with_jobs(host)
    back = host.run("revert", build, **{**TERMS, "job_seconds": 60})

    assert (back["outcome"], back["current"]) == ("rolled-back", "1.0")
    assert job.wait() == 0
    assert with_jobs(host)
