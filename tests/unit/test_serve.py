"""The service, tick by tick: what it begins, goes on with, leaves alone, and says. Workers here work at once."""

from datetime import timedelta

import pytest

import builders
from fakes import AtOnce, Break, Hospital, Killed
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.notification import Topic
from upgrader.domain.changes.schedule import scheduled
from upgrader.domain.errors import BadInput, ExitCode, Locked, Refused
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.applying.roll_back import roll_back_change
from upgrader.flow.service.notify import notify_people
from upgrader.flow.service.schedule import schedule_change, withdraw
from upgrader.flow.service.serve import Said, Service, serve
from upgrader.language import Language, Texts
from upgrader.render import said as rendered

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
ALL_NEW = [builders.NEW] * 5


class Night:
    """A hospital with one change, the service, and all that it says."""

    def __init__(self) -> None:
        self.hospital = Hospital()
        self.hospital.clock.now = builders.SIGNED + MINUTE
        self.workers = AtOnce()
        self.lines: list[Said] = []

    def scheduled(self) -> "Night":
        schedule_change(self.hospital.site(), builders.CHANGE, at=None, expires=None)
        return self

    def service(self) -> Service:
        """A new one each time: what it does may not rest on what it did before."""
        self.hospital.person = None
        return Service(self.hospital.site(), self.hospital.site, self.workers, self.lines.append, 20)

    def tick(self, service: Service | None = None) -> None:
        service = service or self.service()
        service.tick()
        service.collect()

    @property
    def state(self) -> State:
        return self.hospital.journal.history().state

    @property
    def installed(self) -> list[str]:
        return [host.installed for host in self.hospital.fleet.hosts.values()]

    def said(self, key: str) -> list[Said]:
        return [line for line in self.lines if line.key == key]

    def count(self, event: Event) -> int:
        return len(self.hospital.journal.history().of(event))


def opened(night: Night) -> Night:
    night.hospital.clock.now = builders.OPENS
    return night


def test_a_change_begins_when_its_window_opens_in_the_name_of_whoever_scheduled_it() -> None:
    night = Night().scheduled()

    night.tick()
    assert (night.state, night.hospital.fleet.runs) == (State.SCHEDULED, [])
    night.hospital.clock.now = builders.OPENS
    night.tick()

    assert (night.state, night.installed) == (State.SOAKING, ALL_NEW)
    started = night.hospital.journal.history().last(Event.APPLY_STARTED)
    assert started is not None
    assert (started.actor, started.data["by"]) == (builders.ENGINEER, "serve")


def test_what_is_not_scheduled_is_left_to_people() -> None:
    night = opened(Night())

    night.tick()

    assert (night.state, night.hospital.fleet.runs) == (State.PLANNED, [])


def test_too_late_is_not_begun_and_is_told_once() -> None:
    night = Night().scheduled()
    night.hospital.clock.now = builders.CLOSES

    for _ in range(3):
        night.tick()

    assert (night.state, night.hospital.fleet.runs) == (State.PLANNED, [])
    assert night.count(Event.START_EXPIRED) == 1
    assert len(night.said("serve.expired")) == 1


def test_the_same_no_is_written_down_once_and_said_once_and_it_begins_when_the_reason_is_gone() -> None:
    night = opened(Night().scheduled())
    night.hospital.builds.damaged = True
    service = night.service()
    for _ in range(5):
        night.tick(service)
        night.hospital.clock.now += MINUTE

    assert night.count(Event.GATE_REFUSED) == 1
    assert night.count(Event.PLAN_AUTHORIZED) == 1
    assert [line.fields["code"] for line in night.said("serve.refused.start")] == ["build-changed"]
    night.hospital.builds.damaged = False
    night.tick(service)
    assert (night.state, night.installed) == (State.SOAKING, ALL_NEW)


def test_another_no_is_another_fact() -> None:
    night = opened(Night().scheduled())
    night.hospital.builds.damaged = True
    night.tick()
    night.hospital.builds.damaged = False
    night.hospital.host_clocks.wrong["host-01"] = DAY
    night.tick()

    assert [entry.data["code"] for entry in night.hospital.journal.history().of(Event.GATE_REFUSED)] == [
        "build-changed",
        "clock-differs",
    ]


def test_a_change_that_is_taken_off_a_moment_before_does_not_begin() -> None:
    night = opened(Night().scheduled())
    order = scheduled(night.hospital.journal.history())
    withdraw(night.hospital.site(), builders.CHANGE, "the ward asked")

    with pytest.raises(Refused, match="not-scheduled"):
        apply_change(night.hospital.site(), builders.CHANGE, night.hospital.progress, order=order)

    night.tick()
    assert (night.state, night.hospital.fleet.runs) == (State.PLANNED, [])


def test_only_the_plan_that_was_scheduled_begins() -> None:
    night = opened(Night().scheduled())
    order = scheduled(night.hospital.journal.history())
    assert order is not None
    written = night.hospital.journal.lines[-1].replace(order.plan.encode(), b"0" * 64)
    night.hospital.journal.lines[-1] = written

    night.tick()

    assert night.hospital.fleet.runs == []
    assert [line.fields["code"] for line in night.said("serve.refused.start")] == ["schedule-plan-changed"]


@pytest.mark.parametrize("line", range(1, 14))
def test_killed_at_any_line_the_next_service_goes_on_and_no_host_is_upgraded_twice(line: int) -> None:
    night = opened(Night().scheduled())
    left = line

    def kill(when: str) -> None:
        nonlocal left
        left -= when == "after"
        if left == 0:
            raise Killed

    night.hospital.journal.kills = kill
    with pytest.raises(Killed):
        night.tick()
    night.hospital.journal.kills = lambda _: None
    night.hospital.locks.held.clear()  # the kernel does that

    night.tick()
    night.tick()

    assert (night.state, night.installed) == (State.SOAKING, ALL_NEW)
    assert {host.upgrades for host in night.hospital.fleet.hosts.values()} == {1}


def test_asked_to_end_it_begins_no_further_wave_and_the_next_one_goes_on() -> None:
    night = opened(Night().scheduled())

    def end_in_first_wave(run: object) -> None:
        night.hospital.is_ending = True

    night.hospital.fleet.before_run = end_in_first_wave
    night.tick()
    assert night.state is State.APPLYING
    assert night.installed == [builders.NEW, *[builders.OLD] * 4]
    assert [line.fields["code"] for line in night.said("serve.refused.start")] == ["ended-between-waves"]

    night.hospital.fleet.before_run = lambda _: None
    night.hospital.is_ending = False
    night.tick()
    assert (night.state, night.installed) == (State.SOAKING, ALL_NEW)
    assert len(night.said("serve.begun.go-on")) == 1


def test_what_a_person_stopped_by_hand_waits_for_a_person() -> None:
    night = opened(Night())

    def ctrl_c(run: object) -> None:
        raise KeyboardInterrupt

    night.hospital.fleet.before_run = ctrl_c
    with pytest.raises(KeyboardInterrupt):
        apply_change(night.hospital.site(), builders.CHANGE, night.hospital.progress)
    night.hospital.fleet.before_run = lambda _: None

    night.tick()
    assert (night.state, night.hospital.fleet.runs) == (State.APPLYING, [])
    night.hospital.person = builders.ENGINEER
    apply_change(night.hospital.site(), builders.CHANGE, night.hospital.progress)
    assert night.installed == ALL_NEW


def test_a_soak_is_measured_in_time_and_found_stable_without_anybody() -> None:
    night = opened(Night().scheduled())
    night.tick()
    rounds = 0
    while night.state is State.SOAKING and rounds < 100:
        night.tick()
        rounds = night.count(Event.SOAK_MEASURED)
        night.hospital.clock.now += 10 * MINUTE

    assert night.state is State.STABLE
    assert rounds == 1 + 12 * 2  # every half hour for twelve hours
    assert [line.fields["state"] for line in night.said("serve.over")] == ["soaking", "stable"]


def test_a_way_back_that_was_cut_short_is_ended_even_after_the_window() -> None:
    night = opened(Night())
    apply_change(night.hospital.site(), builders.CHANGE, night.hospital.progress)

    def kill(run: object) -> None:
        raise Killed

    night.hospital.fleet.before_run = kill
    with pytest.raises(Killed):
        roll_back_change(night.hospital.site(), builders.CHANGE, "asked", night.hospital.progress)
    night.hospital.fleet.before_run = lambda _: None
    night.hospital.clock.now = builders.CLOSES + DAY

    night.tick()

    assert (night.state, night.installed) == (State.ROLLED_BACK, [builders.OLD] * 5)


def test_a_stuck_change_is_left_to_a_person() -> None:
    night = opened(Night().scheduled())
    night.hospital.fleet.hosts["host-02"].breaks = Break.STAYS
    night.hospital.fleet.hosts["host-04"].breaks = Break.UNHEALTHY
    night.tick()
    assert night.state is State.STUCK
    before = len(night.hospital.fleet.runs)

    night.tick()

    assert len(night.hospital.fleet.runs) == before


def test_a_worker_that_breaks_and_a_journal_that_is_damaged_are_said_once_and_end_nothing() -> None:
    night = opened(Night().scheduled())
    night.workers.broken = True
    service = night.service()
    night.tick(service)
    night.tick(service)
    night.hospital.journal.lines[1] = b"{}\n"
    night.tick(service)
    night.tick(service)

    assert [line.key for line in night.lines] == ["serve.broken", "serve.unreadable"]


def test_two_services_do_not_serve_one_state_folder() -> None:
    night = Night()
    with (
        night.hospital.site().locks.hold(["serve"], purpose="serve", holder="serve", now=builders.NOW),
        pytest.raises(Locked, match="serve"),
    ):
        serve(night.hospital.site, night.workers, night.lines.append, seconds=20, once=True)


def test_once_is_one_tick_and_tells_how_it_went() -> None:
    night = Night().scheduled()
    night.hospital.clock.now = builders.CLOSES

    ended = serve(night.hospital.site, night.workers, night.lines.append, seconds=20, once=True)

    assert ended is ExitCode.OUTSIDE_WINDOW
    assert [line.key for line in night.lines] == ["serve.began", "serve.expired", "serve.over", "serve.ended"]
    assert night.hospital.heartbeat.beats[-1].seconds == 20


@pytest.mark.parametrize("language", Language)
def test_every_line_has_words(language: Language) -> None:
    night = opened(Night().scheduled())
    night.hospital.host_clocks.wrong["host-01"] = DAY
    night.tick()
    night.hospital.host_clocks.wrong.clear()
    night.tick()
    texts = Texts(language)

    lines = [rendered(line, "Asia/Shanghai", texts) for line in night.lines]

    assert any("clock-differs" in line and "→" in line for line in lines)
    assert all(line.startswith("2026-11-21 23:0") for line in lines if line)
    assert "{" not in "".join(lines)


def test_a_wrong_list_of_whom_to_tell_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    night = opened(Night().scheduled())

    def wrong(topic: Topic) -> list[str]:
        raise BadInput("document-invalid", file="notify.yml", count=1)

    monkeypatch.setattr(night.hospital.notifiers, "who_wants", wrong)
    night.tick()

    assert [line.fields["code"] for line in night.said("serve.nobody-told")] == ["document-invalid"]
    assert night.installed == ALL_NEW


def test_people_are_called_until_nobody_is_owed_a_message() -> None:
    night = opened(Night().scheduled())
    night.tick()
    night.tick()

    assert night.hospital.notifiers.called == 2
    assert [one.reason for one in notify_people(night.hospital.site(), lambda one: {})] == ["", ""]
    night.tick()
    assert night.hospital.notifiers.called == 2
