"""A change does not begin by a clock that its own journal or its hosts contradict; the way back is held by none."""

from datetime import timedelta

import pytest

import builders
from fakes import Break, Hospital
from upgrader.adapters.hosts.host_clocks import difference
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.request import WaveSizes
from upgrader.domain.errors import Refused
from upgrader.flow.applying.apply import apply_change

SECOND = timedelta(seconds=1)
NOW = builders.NOW


def refusal(hospital: Hospital, code: str) -> Refused:
    with pytest.raises(Refused) as refused:
        apply_change(hospital.site(), builders.CHANGE, hospital.progress)
    assert refused.value.code == code
    written = hospital.journal.history().last(Event.GATE_REFUSED)
    assert written is not None
    assert written.data["code"] == code
    return refused.value


def test_a_clock_that_is_behind_the_journal_begins_nothing_and_goes_on_with_nothing() -> None:
    hospital = Hospital()
    hospital.clock.now = builders.SIGNED - SECOND

    told = refusal(hospital, "clock-behind-journal")

    assert (told.fields["expected"], told.fields["found"]) == ("2026-11-19 23:00:00", "2026-11-19 22:59:59")
    assert hospital.fleet.runs == []
    assert hospital.journal.history().state is State.PLANNED


def test_a_host_whose_clock_differs_too_much_is_named_before_anything_is_done() -> None:
    hospital = Hospital()
    hospital.host_clocks.wrong["host-01"] = timedelta(hours=-8)  # as after a time zone that was set wrong

    told = refusal(hospital, "clock-differs")

    assert told.fields["found"] == "host-01 -28800 s"
    assert hospital.fleet.runs == []
    assert not hospital.journal.history().of(Event.APPLY_STARTED)
    hospital.host_clocks.wrong.clear()
    assert apply_change(hospital.site(), builders.CHANGE, hospital.progress).exit_code == 0


def test_what_the_site_tolerates_is_no_difference() -> None:
    hospital = Hospital()
    hospital.host_clocks.wrong["host-01"] = hospital.host_clocks.tolerance

    assert apply_change(hospital.site(), builders.CHANGE, hospital.progress).exit_code == 0
    assert hospital.host_clocks.asked == ["host-01"]  # those of the first wave


def test_few_hosts_of_a_large_wave_are_asked() -> None:
    hospital = Hospital(hosts=[builders.make_host(number) for number in range(1, 31)], request=_all_at_once())

    apply_change(hospital.site(), builders.CHANGE, hospital.progress)

    assert len(hospital.host_clocks.asked) == 5


def test_the_way_back_is_held_by_no_clock() -> None:
    hospital = Hospital()
    hospital.fleet.hosts["host-02"].breaks = Break.STAYS
    hospital.fleet.hosts["host-04"].breaks = Break.UNHEALTHY
    apply_change(hospital.site(), builders.CHANGE, hospital.progress)
    assert hospital.journal.history().state is State.STUCK
    hospital.fleet.hosts["host-02"].breaks = None
    hospital.host_clocks.wrong["host-01"] = timedelta(days=1)
    hospital.clock.now = builders.SIGNED

    apply_change(hospital.site(), builders.CHANGE, hospital.progress)

    assert hospital.journal.history().state is State.ROLLED_BACK


@pytest.mark.parametrize(
    ("said", "ahead"),
    [
        (int(NOW.timestamp()), timedelta()),
        (int(NOW.timestamp()) - 1, timedelta()),  # whole seconds: it may be the very end of that one
        (int(NOW.timestamp()) + 3, timedelta()),  # the answer took so long
        (int(NOW.timestamp()) - 61, -60 * SECOND),
        (int(NOW.timestamp()) + 64, 60 * SECOND),
        (0, -(NOW.timestamp() - 1) * SECOND),
        ("Wed Nov 18", None),
        (10**20, None),
        ("", None),
    ],
)
def test_what_a_host_says_is_compared_with_the_time_in_which_it_said_it(
    said: int | str, ahead: timedelta | None
) -> None:
    assert difference(str(said), NOW, NOW + 4 * SECOND) == ahead


def _all_at_once() -> object:
    return builders.make_request(waves=WaveSizes(canaries=0, size=30))
