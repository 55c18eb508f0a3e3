"""`interface:` and `job:` in release.yml: read, bound by the plan, and told to the host as they were signed."""

import runpy
from typing import Any

import pytest

from builders import make_release, plan_of
from contracts.sh_host import PARTS
from contracts.test_strategy_documents import PACKAGE
from upgrader.adapters.documents import read_release
from upgrader.domain.changes.plan import read_plan
from upgrader.domain.errors import BadInput
from upgrader.domain.releases.release import Release
from upgrader.flow.applying.upgrade import instruction

work_terms = runpy.run_path(str(PARTS.with_name("strategy_terms.py")))["work_terms"]
WORK = f"""{PACKAGE}\
interface:
  intake: {{stop: bin/gateway stop, start: bin/gateway start}}
  queue: bin/gateway queue
  drain_within: 5m
  counts: {{in: bin/gateway in, out: bin/gateway out}}
  replay: bin/gateway replay
  held: var/lib/hl7/held
job:
  command: bin/job none-runs
  wait: 30m
  then: defer
  schedule: {{stop: bin/job stop, start: bin/job start}}
"""

JOB = WORK[WORK.index("job:\n") :]


def read(text: str) -> Release:
    return read_release(text.encode(), "release.yml")


def told(release: Release) -> dict[str, str]:
    """What a host is told of a plan that was written and read back."""
    plan = read_plan(plan_of(release=make_release(work=release.work)).to_bytes())
    upgrade: dict[str, Any] = dict(instruction(plan, [], {}))
    return dict(work_terms(upgrade))


def test_what_the_vendor_says_of_messages_and_jobs_reaches_the_host_as_it_was_signed() -> None:
    assert told(read(WORK)) == {
        "intake_stop": "bin/gateway stop",
        "intake_start": "bin/gateway start",
        "queue": "bin/gateway queue",
        "drain_seconds": "300",
        "count_in": "bin/gateway in",
        "count_out": "bin/gateway out",
        "replay": "bin/gateway replay",
        "held_back": "var/lib/hl7/held",
        "job": "bin/job none-runs",
        "job_seconds": "1800",
        "job_then": "defer",
        "schedule_stop": "bin/job stop",
        "schedule_start": "bin/job start",
    }
    messages_alone, jobs_alone = WORK.partition("job:\n")[0], WORK.partition("interface:\n")[0] + JOB
    assert "job" not in told(read(messages_alone))
    assert sorted(told(read(jobs_alone))) == ["job", "job_seconds", "job_then", "schedule_start", "schedule_stop"]
    assert told(read(PACKAGE)) == {}


def test_the_wait_is_part_of_the_plan_and_of_how_long_a_wave_may_take() -> None:
    without, with_work = plan_of(release=make_release()), plan_of(release=make_release(work=read(WORK).work))

    assert without.digest != with_work.digest
    assert with_work.wave_timeout_seconds == without.wave_timeout_seconds + 4 * 300 + 2 * 1800
    assert [code for code, _ in read(WORK).work.told] == ["job-defer", "interface-replay"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("good", "bad", "code"),
    [
        ("  held: var/lib/hl7/held\n", "", "missing-key"),
        ("  replay: bin/gateway replay\n", "", "missing-key"),
        ("held: var/lib", "held: ../var/lib", "path-not-allowed"),
        ("then: defer", "then: kill", "wrong-value"),
        ("  queue: bin/gateway queue\n", "", "missing-key"),
    ],
)
def test_what_is_not_whole_is_refused(good: str, bad: str, code: str) -> None:
    assert WORK.count(good) == 1

    with pytest.raises(BadInput) as caught:
        read(WORK.replace(good, bad))

    assert code in [problem.code for problem in caught.value.problems]
