"""Late workstations: tried when they are back, in the signed hours, under the gate of that day; judged one by one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import builders
from fakes import AtOnce, Break, Hospital, Killed
from upgrader.domain.approval.authorization import expiry
from upgrader.domain.approval.record import Decision
from upgrader.domain.changes.change import view
from upgrader.domain.changes.late import Late, Workstation
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.playbook import HostOutcome
from upgrader.domain.changes.verdict import Reading
from upgrader.domain.errors import ExitCode, OutsideWindow, Refused
from upgrader.domain.names import HostName
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.applying.retry_pending import Retried, retry_pending, waiting_hosts
from upgrader.flow.applying.roll_back import roll_back_change
from upgrader.flow.service.check_in import check_in, checked_in
from upgrader.flow.service.serve import Said, Service

NOON = (builders.CLOSES + timedelta(days=1)).replace(hour=4, minute=30, second=0)  # 12:30 in Shanghai
LATE = Late(builders.CLOSES + timedelta(days=5), "12:00", "14:00", "Asia/Shanghai")
OFF = {"host-02", "host-05"}


def hospital_after_apply(off: set[str] = OFF, *, late: Late | None = LATE, mac: str | None = None) -> Hospital:
    """A change whose waves are over, with these workstations away; it is noon of the next day, and they are back."""
    hosts = [replace(builders.make_host(n), workstation=Workstation(mac)) for n in range(1, 6)]
    hospital = Hospital(hosts=hosts, request=builders.make_request(late=late))
    hospital.presence.off = set(off)
    sign_until_the_last_late_hour(hospital)
    apply_change(hospital.site(), builders.CHANGE, hospital.progress)
    hospital.clock.now = NOON
    hospital.presence.off = set()
    return hospital


def sign_until_the_last_late_hour(hospital: Hospital) -> None:
    """As `upgrader sign` does, where a request declares hours for late hosts."""
    for number, signed in enumerate(builders.enough_approvals(hospital.plan)):
        if signed.record is not None:
            until = expiry(hospital.plan, signed.record.issued, builders.make_rule())
            hospital.publish(replace(signed.record, expires=until, nonce=f"{number:032x}"))


def retry(hospital: Hospital, *, look: bool = False) -> Retried:
    return retry_pending(hospital.site(), builders.CHANGE, hospital.progress, look=look)


def events(hospital: Hospital) -> list[Event]:
    return [entry.event for entry in hospital.journal.history().entries]


def write_down(hospital: Hospital, event: Event, data: Mapping[str, Any]) -> None:
    with hospital.journal.open(builders.CHANGE) as journal:
        journal.write(event, data, at=hospital.clock(), actor="liu.yang")


def test_those_who_are_back_are_upgraded_and_nobody_is_waited_for_any_more() -> None:
    hospital = hospital_after_apply()

    retried = retry(hospital)

    assert (retried.exit_code, set(retried.tried), retried.waiting) == (ExitCode.DONE, OFF, [])
    assert retried.change.counts == {HostOutcome.UPGRADED: 5}
    assert all(host.upgrades == 1 for host in hospital.fleet.hosts.values())


def test_nobody_back_is_no_news_and_leaves_the_journal_as_it_was() -> None:
    hospital = hospital_after_apply()
    hospital.presence.off = set(OFF)
    before = events(hospital)

    for _ in range(3):
        assert retry(hospital).exit_code is ExitCode.OFFLINE_LEFT

    assert events(hospital) == before


def test_hosts_come_in_day_by_day_and_only_those_that_are_there_are_tried() -> None:
    hospital = hospital_after_apply()
    for gone in ({"host-05"}, set[str]()):
        hospital.presence.off = gone
        retried = retry(hospital)
        hospital.clock.now += timedelta(days=1)

    assert retried.waiting == []
    assert [set(hosts) for hosts in hospital.fleet.asked_for("upgrade")[-2:]] == [{"host-02"}, {"host-05"}]


@pytest.mark.parametrize(
    ("now", "late", "code"),
    [
        (NOON + timedelta(hours=4), LATE, "late-not-open"),
        (NOON + timedelta(days=30), LATE, "late-not-open"),
        (NOON, None, "late-not-declared"),
    ],
)
def test_outside_of_the_signed_hours_nobody_is_asked(now: datetime, late: Late | None, code: str) -> None:
    hospital = hospital_after_apply(late=late)
    hospital.clock.now = now
    asked = len(hospital.presence.asked)

    with pytest.raises(OutsideWindow) as refused:
        retry(hospital)

    assert refused.value.code == code
    assert len(hospital.presence.asked) == asked


def test_an_approval_that_was_withdrawn_since_refuses_late_hosts_and_is_written_down_once() -> None:
    hospital = hospital_after_apply()
    signed = builders.enough_approvals(hospital.plan)[0].record
    assert signed is not None
    reject = replace(signed, decision=Decision.REJECT, issued=hospital.clock(), nonce="f" * 32)
    hospital.publish(reject)
    runs = len(hospital.fleet.runs)

    for _ in range(3):
        with pytest.raises(Refused) as refused:
            retry(hospital)
        assert refused.value.code == "plan-rejected"

    assert len(hospital.fleet.runs) == runs
    assert events(hospital).count(Event.GATE_REFUSED) == 1


def test_what_others_brought_to_the_branch_since_does_not_matter_to_late_hosts() -> None:
    hospital = hospital_after_apply()
    hospital.branch.add({"inventory/hosts.yml": b"another machine"})

    assert retry(hospital).exit_code is ExitCode.DONE


def another_plan_was_made(hospital: Hospital) -> None:
    made = replace(hospital.plan, revision=hospital.plan.revision + 1)
    hospital.branch.add({f"approvals/{builders.CHANGE}/plan.json": made.to_bytes()})


def a_record_was_removed(hospital: Hospital) -> None:
    hospital.branch.removed = ["reject_zhao.min_department-head_00000000.json"]


@pytest.mark.parametrize(
    ("since", "code"), [(another_plan_was_made, "plan-digest"), (a_record_was_removed, "record-removed")]
)
def test_late_hosts_are_refused_when_the_branch_has(since: Callable[[Hospital], None], code: str) -> None:
    hospital = hospital_after_apply()
    since(hospital)
    runs = len(hospital.fleet.runs)

    with pytest.raises(Refused) as refused:
        retry(hospital)

    assert refused.value.code == code
    assert len(hospital.fleet.runs) == runs


def test_a_late_host_that_is_not_well_is_taken_back_alone() -> None:
    hospital = hospital_after_apply()
    hospital.prober.seen["host-05"] = Reading.UNHEALTHY

    retried = retry(hospital)

    assert retried.exit_code is ExitCode.ROLLED_BACK
    assert hospital.fleet.asked_for("rollback") == [("host-05",)]
    assert hospital.fleet.hosts["host-05"].installed == builders.OLD
    assert hospital.fleet.hosts["host-02"].installed == builders.NEW
    assert retried.change.hosts["host-05"].outcome is HostOutcome.ROLLED_BACK
    assert retried.change.stopped_because == ""


def test_when_late_hosts_fail_no_further_one_is_tried() -> None:
    hospital = hospital_after_apply()
    hospital.presence.off = {"host-02"}
    hospital.fleet.hosts["host-05"].breaks = Break.UNHEALTHY
    retry(hospital)
    hospital.presence.off = set()

    with pytest.raises(Refused) as refused:
        retry(hospital)

    assert refused.value.code == "late-too-many-failed"
    assert hospital.fleet.hosts["host-02"].upgrades == 0


def test_a_late_host_that_comes_in_closes_its_exception_by_itself() -> None:
    hospital = hospital_after_apply()
    due = {"owner": "liu.yang", "due": "2026-12-31T00:00:00Z", "reason": "off"}
    write_down(hospital, Event.HOST_EXCEPTED, {"host": "host-02", **due})

    retried = retry(hospital)

    assert retried.change.exceptions["host-02"].settled is not None
    assert retried.change.unowned == ()


def test_the_whole_change_taken_back_later_takes_late_hosts_back_too() -> None:
    hospital = hospital_after_apply()
    retry(hospital)

    roll_back_change(hospital.site(), builders.CHANGE, "asked", hospital.progress)

    assert {host.installed for host in hospital.fleet.hosts.values()} == {builders.OLD}
    assert retry_is_over(hospital)


def retry_is_over(hospital: Hospital) -> bool:
    try:
        return retry(hospital).tried == ()
    except Refused:
        return True


@pytest.mark.parametrize("unwell", [False, True])
def test_killed_at_any_line_of_an_attempt_the_same_command_goes_on_to_the_same_end(*, unwell: bool) -> None:
    ends = set()
    for dies_at in range(14):
        hospital = hospital_after_apply()
        if unwell:
            hospital.prober.seen["host-05"] = Reading.UNHEALTHY
        lines = len(hospital.journal.lines)

        def die(when: str, hospital: Hospital = hospital, last: int = lines + dies_at) -> None:
            if when == "after" and len(hospital.journal.lines) == last:
                raise Killed

        hospital.journal.kills = die
        try:
            retry(hospital)
        except Killed:
            hospital.journal.kills = lambda _: None
            hospital.clock.now += timedelta(minutes=20)
            retry(hospital)
        hosts = view(hospital.journal.history(), hospital.plan).hosts.values()
        ends.add(tuple((host.name, host.outcome, host.current) for host in hosts))
        assert all(host.upgrades <= 1 for host in hospital.fleet.hosts.values())

    assert len(ends) == 1


def test_a_sleeper_is_called_and_found_the_next_time() -> None:
    hospital = hospital_after_apply(mac="52:54:00:12:34:56")
    hospital.presence.off, hospital.presence.wakes = set(OFF), set(OFF)

    first, second = retry(hospital), retry(hospital)

    assert (set(first.waiting), set(second.tried)) == (OFF, OFF)


def test_a_host_that_is_lost_on_the_way_is_not_asked_again_at_once() -> None:
    hospital = hospital_after_apply()
    hospital.fleet.hosts["host-05"].breaks = Break.GONE
    retry(hospital)
    lines = len(hospital.journal.lines)

    assert retry(hospital).waiting == [HostName("host-05")]
    assert len(hospital.journal.lines) == lines
    hospital.clock.now += timedelta(minutes=16)
    hospital.fleet.hosts["host-05"].breaks = None
    assert retry(hospital).exit_code is ExitCode.DONE


def test_a_machine_that_was_installed_anew_is_found_and_upgraded_again() -> None:
    hospital = hospital_after_apply(off=set())
    hospital.fleet.hosts["host-03"].installed = builders.OLD

    assert retry(hospital).tried == ()
    retried = retry(hospital, look=True)

    assert retried.tried == ("host-03",)
    assert hospital.fleet.hosts["host-03"].installed == builders.NEW
    reports = hospital.journal.history().of(Event.HOST_REPORTED)
    assert [e.data["host"] for e in reports if e.data["outcome"] == HostOutcome.RE_IMAGED] == ["host-03"]


def test_a_check_in_makes_us_look_at_that_host_alone_and_nothing_more(tmp_path: Path) -> None:
    hospital = hospital_after_apply(off=set())
    site = replace(hospital.site(), state=tmp_path)
    for name in ("host-03", "host-04"):
        hospital.fleet.hosts[name].installed = builders.OLD

    at = check_in(site, HostName("host-03"))
    retried = retry_pending(site, builders.CHANGE, hospital.progress)

    assert checked_in(site) == {"host-03": at}
    assert retried.tried == ("host-03",)
    assert hospital.fleet.hosts["host-04"].installed == builders.OLD


def test_a_mark_that_a_disk_left_torn_is_no_check_in(tmp_path: Path) -> None:
    site = replace(hospital_after_apply(off=set()).site(), state=tmp_path)
    (tmp_path / "check-ins").mkdir()
    for name, text in {"host-01": "", ".host-02": "1790000000", "Host 3": "1790000000"}.items():
        (tmp_path / "check-ins" / name).write_text(text)

    assert checked_in(site) == {}


def test_the_service_tries_them_again_by_itself() -> None:
    hospital = hospital_after_apply()
    lines: list[Said] = []
    workers = AtOnce()

    for _ in range(3):
        Service(hospital.site(), hospital.site, workers, lines.append, 20).tick()

    assert hospital.journal.history().of(Event.RETRY_AUTHORIZED)
    assert not waiting_hosts(hospital.journal.history(), hospital.plan)
