"""A night of three joint changes that is refused, killed or stuck in the middle: what stays, and what ends it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import builders
from fakes import Break, Killed
from joint_hospital import CHANGES, FIRST, PARTS, SECOND, THIRD, JointHospital
from upgrader.domain.changes.joint import Half
from upgrader.domain.changes.joint_step import JointStep, next_over
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.errors import ExitCode, OutsideWindow
from upgrader.domain.names import ChangeId
from upgrader.flow.applying.joint import apply_joint, roll_back_joint, roll_back_together
from upgrader.flow.watching.joint_status import read_joint

REASON = "the ward can't print"
Command = Callable[[JointHospital], ExitCode]
ALL_BACK = [State.ROLLED_BACK] * 3


@pytest.fixture
def hospital(tmp_path: Path) -> JointHospital:
    return JointHospital(tmp_path)


def apply(hospital: JointHospital) -> ExitCode:
    return apply_joint(hospital.site(), THIRD, hospital.progress).exit_code


def roll_back(hospital: JointHospital) -> ExitCode:
    return roll_back_joint(hospital.site(), FIRST, REASON, hospital.progress).exit_code


def roll_back_all(hospital: JointHospital) -> ExitCode:
    return roll_back_together(hospital.site(), SECOND, REASON, hospital.progress).exit_code


def runs(hospital: JointHospital) -> set[str]:
    return {host.installed for host in hospital.fleet.hosts.values()}


def test_one_command_runs_all_in_order(hospital: JointHospital) -> None:
    assert apply(hospital) is ExitCode.DONE
    assert hospital.states() == [State.STABLE] * 3


def test_a_window_that_ends_in_the_middle_leaves_what_ran_and_a_person_decides(hospital: JointHospital) -> None:
    def over() -> None:
        if hospital.states()[0] is State.STABLE:
            hospital.clock.now = builders.CLOSES

    hospital.prober.close = over  # type: ignore[method-assign] # the window ends while the second would begin
    hospital.kill_when(lambda _: over())
    with pytest.raises(OutsideWindow):
        apply(hospital)

    parts = read_joint(hospital.site(), THIRD)
    assert [one.state for one in parts][::2] == [State.STABLE, State.PLANNED]
    assert [one.refused for one in parts] == ["", "window-not-open", ""]
    told = next_over(parts)
    assert (told.step, told.change, told.first, told.last) == (JointStep.GO_ON_OR_BACK, SECOND, FIRST, THIRD)
    assert roll_back_all(hospital) is ExitCode.ROLLED_BACK  # the way back needs no window
    assert runs(hospital) == {builders.OLD}
    assert next_over(read_joint(hospital.site(), THIRD)).step is JointStep.CANCEL  # nothing comes after what went back


@pytest.mark.parametrize("command", [apply, roll_back, roll_back_all])
def test_killed_at_any_line_of_the_way_back_the_same_command_ends_it(command: Command, tmp_path: Path) -> None:
    lines = _lines_of_the_way_back(command, tmp_path / "whole", kill_at=None)
    assert lines > 20
    for number in range(lines):
        assert _lines_of_the_way_back(command, tmp_path / str(number), kill_at=number) == number + 1


def _lines_of_the_way_back(command: Command, folder: Path, kill_at: int | None) -> int:
    """Run the night and its way back, killed at that line of it; type the command again; how many lines it was."""
    hospital, seen = JointHospital(folder), 0

    def kill(moment: str) -> None:
        nonlocal seen
        begun = [change for change in CHANGES if _began_back(hospital, change)]
        seen += bool(begun)
        if begun and seen - 1 == kill_at:
            raise Killed

    if command is apply:
        hospital.fleet.hosts["host-32"].breaks = Break.UNHEALTHY
    else:
        apply(hospital)
    hospital.kill_when(kill)
    if kill_at is None:
        assert command(hospital) is ExitCode.ROLLED_BACK
    else:
        with pytest.raises(Killed):
            command(hospital)
        hospital.kill_when(lambda _: None)
        assert command(hospital) is ExitCode.ROLLED_BACK
    assert hospital.states() == ALL_BACK
    assert runs(hospital) == {builders.OLD}
    assert all(host.rollbacks <= 1 for host in hospital.fleet.hosts.values())
    return seen


def _began_back(hospital: JointHospital, change: ChangeId) -> bool:
    return any(b'"rollback started"' in line for line in hospital.journals[change].lines)


def test_the_workstations_of_one_system_come_after_the_servers_of_the_next(tmp_path: Path) -> None:
    his, lis = PARTS[0], PARTS[1]
    parts = [replace(his, only=Half.SERVERS), lis, replace(his, change=THIRD, only=Half.WORKSTATIONS)]
    hospital = JointHospital(tmp_path, parts)

    assert apply(hospital) is ExitCode.DONE
    assert hospital.fleet.asked_for("upgrade") == [(f"host-{number}",) for number in (11, 21, 22, 12)]

    hospital.fleet.runs.clear()
    assert roll_back_all(hospital) is ExitCode.ROLLED_BACK
    assert hospital.fleet.asked_for("rollback") == [("host-12",), ("host-21", "host-22"), ("host-11",)]


def test_a_host_for_which_somebody_answers_holds_no_way_back(hospital: JointHospital) -> None:
    apply(hospital)
    hospital.fleet.hosts["host-22"].breaks = Break.STAYS
    taken = roll_back_joint(hospital.site(), FIRST, REASON, hospital.progress)
    assert (taken.exit_code, taken.of) == (ExitCode.ROLLBACK_INCOMPLETE, SECOND)  # that one is told of, not the named
    assert hospital.states() == [State.STABLE, State.STUCK, State.ROLLED_BACK]
    assert next_over(read_joint(hospital.site(), FIRST)).step is JointStep.PUT_RIGHT
    with hospital.journals[SECOND].open(SECOND) as journal:
        journal.write(Event.STUCK_HOSTS_EXCEPTED, {}, at=hospital.clock(), actor=builders.ENGINEER)

    assert roll_back(hospital) is ExitCode.ROLLED_BACK

    assert hospital.states() == [State.ROLLED_BACK, State.ROLLED_BACK_IN_PART, State.ROLLED_BACK]


def test_the_answer_tells_of_the_change_that_ended_the_night(hospital: JointHospital) -> None:
    hospital.fleet.hosts["host-11"].breaks = Break.UNHEALTHY

    applied = apply_joint(hospital.site(), THIRD, hospital.progress)

    assert (applied.exit_code, applied.of) == (ExitCode.ROLLED_BACK, FIRST)
    assert hospital.states() == [State.ROLLED_BACK, State.PLANNED, State.PLANNED]


def test_a_change_that_went_back_in_part_by_itself_takes_those_before_it_back(hospital: JointHospital) -> None:
    hospital.fleet.hosts["host-31"].breaks = Break.STAYS
    hospital.fleet.hosts["host-32"].breaks = Break.UNHEALTHY
    assert apply(hospital) is ExitCode.ROLLBACK_INCOMPLETE
    assert hospital.states() == [State.STABLE, State.STABLE, State.STUCK]
    with hospital.journals[THIRD].open(THIRD) as journal:
        journal.write(Event.STUCK_HOSTS_EXCEPTED, {}, at=hospital.clock(), actor=builders.ENGINEER)
    assert next_over(read_joint(hospital.site(), FIRST)).step is JointStep.TAKE_BACK_TOO

    apply(hospital)

    assert hospital.states() == [State.ROLLED_BACK, State.ROLLED_BACK, State.ROLLED_BACK_IN_PART]
