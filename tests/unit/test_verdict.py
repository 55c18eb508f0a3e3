"""The verdict: silence is not health, and not illness either."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW, make_probe
from upgrader.domain.changes.verdict import Measurement, Reading, Verdict, judge, judge_probe
from upgrader.domain.releases.probe import Probe

OK, BAD, SILENT = Reading.HEALTHY, Reading.UNHEALTHY, Reading.NO_ANSWER
READINGS = st.lists(st.sampled_from(Reading), max_size=8)
PROBES = st.builds(
    lambda count, allowed: make_probe(count=count, failures_allowed=allowed), st.integers(0, 5), st.integers(0, 3)
)


@pytest.mark.parametrize(
    ("readings", "count", "allowed", "verdict"),
    [
        ([OK, OK, OK], 3, 0, Verdict.STABLE),
        ([OK, OK, BAD], 3, 0, Verdict.UNSTABLE),
        ([OK, OK, BAD], 3, 1, Verdict.STABLE),
        ([OK, BAD, BAD], 3, 1, Verdict.UNSTABLE),
        ([BAD], 3, 0, Verdict.UNSTABLE),
        ([], 3, 0, Verdict.INCONCLUSIVE),
        ([], 3, 5, Verdict.INCONCLUSIVE),
        ([], 0, 0, Verdict.INCONCLUSIVE),
        ([OK, OK], 3, 0, Verdict.INCONCLUSIVE),
        ([OK, OK, SILENT], 3, 0, Verdict.INCONCLUSIVE),
        ([OK, OK, SILENT], 3, 1, Verdict.STABLE),
        ([OK, BAD, SILENT], 3, 1, Verdict.INCONCLUSIVE),
        ([SILENT, SILENT, SILENT], 3, 2, Verdict.INCONCLUSIVE),
        ([OK, OK, OK, OK], 3, 0, Verdict.STABLE),
    ],
)
def test_one_probe_on_one_host(readings: Sequence[Reading], count: int, allowed: int, verdict: Verdict) -> None:
    assert judge_probe(readings, make_probe(count=count, failures_allowed=allowed)) is verdict


@given(READINGS, PROBES)
def test_stable_means_that_enough_was_seen_and_was_well(readings: list[Reading], probe: Probe) -> None:
    if judge_probe(readings, probe) is Verdict.STABLE:
        assert len(readings) >= max(1, probe.count)
        assert len(readings) - readings.count(OK) <= probe.failures_allowed


@given(READINGS)
def test_silence_in_the_place_of_health_never_makes_anything_better(readings: list[Reading]) -> None:
    probe = make_probe(count=3, failures_allowed=1)
    silenced = [SILENT if reading is OK else reading for reading in readings]

    if judge_probe(silenced, probe) is Verdict.STABLE:
        assert judge_probe(readings, probe) is Verdict.STABLE


@given(READINGS)
def test_one_bad_reading_more_never_makes_a_system_stable(readings: list[Reading]) -> None:
    probe = make_probe(count=3, failures_allowed=1)
    before = judge_probe(readings, probe)

    after = judge_probe([*readings, BAD], probe)

    if before is Verdict.UNSTABLE:
        assert after is Verdict.UNSTABLE
    if len(readings) >= probe.count and after is Verdict.STABLE:
        assert before is Verdict.STABLE


@given(READINGS)
def test_the_order_of_the_readings_does_not_matter(readings: list[Reading]) -> None:
    probe = make_probe(count=3, failures_allowed=1)

    assert judge_probe(readings[::-1], probe) is judge_probe(readings, probe)


def seen(host: str, *readings: Reading, probe: str = "login") -> list[Measurement]:
    return [Measurement(host, probe, NOW, reading, f"{reading} here") for reading in readings]


def test_a_group_is_unstable_as_soon_as_one_probe_on_one_host_is() -> None:
    measurements = [*seen("a", OK, OK), *seen("b", OK, BAD), *seen("c", SILENT, SILENT)]

    judgement = judge(measurements, [make_probe()], ["a", "b", "c"])

    assert judgement.verdict is Verdict.UNSTABLE
    assert [place.verdict for place in judgement.places] == [Verdict.STABLE, Verdict.UNSTABLE, Verdict.INCONCLUSIVE]
    assert judgement.reasons == ("b · login: unhealthy here", "c · login: no-answer here")


def test_a_group_is_stable_only_when_every_probe_on_every_host_is() -> None:
    probes = [make_probe("login"), make_probe("data")]
    measurements = [*seen("a", OK, OK), *seen("a", OK, OK, probe="data"), *seen("b", OK, OK)]

    judgement = judge(measurements, probes, ["a", "b"])

    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.reasons == ("b · data: no measurement",)


def test_a_host_that_nobody_measured_is_not_well() -> None:
    judgement = judge(seen("a", OK, OK), [make_probe()], ["a", "b"])

    assert judgement.verdict is Verdict.INCONCLUSIVE


def test_what_was_measured_on_strangers_does_not_count() -> None:
    judgement = judge([*seen("x", BAD, BAD), *seen("a", OK, OK)], [make_probe()], ["a"])

    assert (judgement.verdict, judgement.measurements) == (Verdict.STABLE, 2)


@pytest.mark.parametrize(("probes", "hosts"), [([], ["a"]), ([make_probe()], []), ([], [])])
def test_a_verdict_over_nothing_is_no_verdict(probes: list[object], hosts: list[str]) -> None:
    with pytest.raises(ValueError, match="nothing"):
        judge([], [make_probe() for _ in probes], hosts)
