"""The life of a change, said once: one table (state, event) → state.

Ask it which verbs are legal now; the journal is checked against it while it is read; docs/lifecycle.md is printed
from it.
If `if state ==` seems to be needed elsewhere, a row is missing here.
"""

from collections.abc import Mapping
from enum import StrEnum

from upgrader.domain.errors import Refused


class State(StrEnum):
    NEW = "new"
    REQUESTED = "requested"
    PLANNED = "planned"
    AUTHORIZED = "authorized"
    SCHEDULED = "scheduled"
    APPLYING = "applying"
    SOAKING = "soaking"
    STABLE = "stable"
    ACCEPTED = "accepted"
    ROLLING_BACK = "rolling-back"
    ROLLED_BACK = "rolled-back"
    STUCK = "stuck"
    ROLLED_BACK_IN_PART = "rolled-back-in-part"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What happened, in the past tense. Those without a row in TRANSITIONS are facts that move nothing."""

    CHANGE_REQUESTED = "change requested"
    PLAN_MADE = "plan made"
    DRY_RUN_MADE = "dry run made"
    PLAN_AUTHORIZED = "plan authorized"
    DEBT_OPENED = "debt opened"
    DEBT_SETTLED = "debt settled"
    GATE_REFUSED = "gate refused"
    PRESTAGE_STARTED = "prestage started"
    HOST_PRESTAGED = "host prestaged"
    CHANGE_SCHEDULED = "change scheduled"
    SCHEDULE_WITHDRAWN = "schedule withdrawn"
    START_EXPIRED = "start expired"
    APPLY_STARTED = "apply started"
    TORN_LINE_MOVED_ASIDE = "torn line moved aside"
    APPLY_INTERRUPTED = "apply interrupted"
    WAVE_STARTED = "wave started"
    HOST_REPORTED = "host reported"
    WAVE_FINISHED = "wave finished"
    WAVE_JUDGED = "wave judged"
    RETRY_AUTHORIZED = "retry authorized"
    RETRY_STARTED = "retry started"
    RETRY_JUDGED = "retry judged"
    LATE_ROLLBACK_STARTED = "late rollback started"
    SOAK_STARTED = "soak started"
    SOAK_MEASURED = "soak measured"
    FOUND_STABLE = "found stable"
    FOUND_UNSTABLE = "found unstable"
    FOUND_INCONCLUSIVE = "found inconclusive"
    ROLLBACK_STARTED = "rollback started"
    ROLLBACK_FINISHED = "rollback finished"
    ROLLBACK_INCOMPLETE = "rollback incomplete"
    HOST_EXCEPTED = "host excepted"
    STUCK_HOSTS_EXCEPTED = "stuck hosts excepted"
    EXCEPTION_SETTLED = "exception settled"
    CHANGE_ACCEPTED = "change accepted"
    CHANGE_CLOSED = "change closed"
    CHANGE_CANCELLED = "change cancelled"
    CHANGE_PAUSED = "change paused"
    CHANGE_RESUMED = "change resumed"
    PAUSE_MEASURED = "measured while paused"
    WORK_STOPPED = "all work stopped"
    STOP_LIFTED = "stop lifted"


# What is watched, goes back or is over waits for no wave any more: nothing there could be paused.
PAUSABLE = (State.PLANNED, State.AUTHORIZED, State.SCHEDULED, State.APPLYING)

TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.NEW, Event.CHANGE_REQUESTED): State.REQUESTED,
    (State.REQUESTED, Event.PLAN_MADE): State.PLANNED,
    (State.PLANNED, Event.PLAN_MADE): State.PLANNED,
    (State.AUTHORIZED, Event.PLAN_MADE): State.PLANNED,  # a new plan voids every approval of the old one
    (State.PLANNED, Event.PLAN_AUTHORIZED): State.AUTHORIZED,
    (State.AUTHORIZED, Event.PLAN_AUTHORIZED): State.AUTHORIZED,
    (State.PLANNED, Event.CHANGE_SCHEDULED): State.SCHEDULED,
    (State.AUTHORIZED, Event.CHANGE_SCHEDULED): State.SCHEDULED,
    (State.SCHEDULED, Event.CHANGE_SCHEDULED): State.SCHEDULED,  # another time
    (State.SCHEDULED, Event.PLAN_MADE): State.PLANNED,
    (State.SCHEDULED, Event.PLAN_AUTHORIZED): State.AUTHORIZED,  # the gate said yes; it stays on the schedule
    (State.SCHEDULED, Event.SCHEDULE_WITHDRAWN): State.PLANNED,
    (State.AUTHORIZED, Event.SCHEDULE_WITHDRAWN): State.AUTHORIZED,
    (State.SCHEDULED, Event.START_EXPIRED): State.PLANNED,
    (State.AUTHORIZED, Event.START_EXPIRED): State.AUTHORIZED,
    (State.APPLYING, Event.PLAN_AUTHORIZED): State.APPLYING,  # checked again before every wave
    (State.AUTHORIZED, Event.APPLY_STARTED): State.APPLYING,
    (State.APPLYING, Event.SOAK_STARTED): State.SOAKING,
    (State.SOAKING, Event.SOAK_STARTED): State.SOAKING,  # a person asks for another soak, after one that told nothing
    (State.SOAKING, Event.FOUND_STABLE): State.STABLE,
    (State.SOAKING, Event.FOUND_UNSTABLE): State.SOAKING,  # a person decides, or the plan says roll back
    (State.SOAKING, Event.FOUND_INCONCLUSIVE): State.SOAKING,
    (State.APPLYING, Event.ROLLBACK_STARTED): State.ROLLING_BACK,
    (State.SOAKING, Event.ROLLBACK_STARTED): State.ROLLING_BACK,
    (State.STABLE, Event.ROLLBACK_STARTED): State.ROLLING_BACK,
    (State.STUCK, Event.ROLLBACK_STARTED): State.ROLLING_BACK,
    (State.ROLLING_BACK, Event.ROLLBACK_FINISHED): State.ROLLED_BACK,
    (State.ROLLING_BACK, Event.ROLLBACK_INCOMPLETE): State.STUCK,
    (State.SOAKING, Event.HOST_EXCEPTED): State.SOAKING,
    (State.STABLE, Event.HOST_EXCEPTED): State.STABLE,
    (State.STUCK, Event.HOST_EXCEPTED): State.STUCK,
    (State.STUCK, Event.STUCK_HOSTS_EXCEPTED): State.ROLLED_BACK_IN_PART,  # every stuck host has an owner and a date
    (State.ROLLED_BACK_IN_PART, Event.HOST_EXCEPTED): State.ROLLED_BACK_IN_PART,  # another owner, another date
    (State.ROLLED_BACK_IN_PART, Event.ROLLBACK_STARTED): State.ROLLING_BACK,  # one came back after all
    (State.ROLLED_BACK_IN_PART, Event.CHANGE_ACCEPTED): State.ACCEPTED,  # the hospital knows what is left, and signs
    (State.SOAKING, Event.RETRY_AUTHORIZED): State.SOAKING,  # workstations that were away come in one by one
    (State.STABLE, Event.RETRY_AUTHORIZED): State.STABLE,
    (State.ACCEPTED, Event.RETRY_AUTHORIZED): State.ACCEPTED,
    (State.CLOSED, Event.RETRY_AUTHORIZED): State.CLOSED,
    (State.STABLE, Event.CHANGE_ACCEPTED): State.ACCEPTED,
    (State.ACCEPTED, Event.CHANGE_ACCEPTED): State.ACCEPTED,
    (State.ACCEPTED, Event.CHANGE_CLOSED): State.CLOSED,
    (State.ROLLED_BACK, Event.CHANGE_CLOSED): State.CLOSED,
    (State.REQUESTED, Event.CHANGE_CANCELLED): State.CANCELLED,
    (State.PLANNED, Event.CHANGE_CANCELLED): State.CANCELLED,
    (State.AUTHORIZED, Event.CHANGE_CANCELLED): State.CANCELLED,
    (State.SCHEDULED, Event.CHANGE_CANCELLED): State.CANCELLED,
    **{(state, event): state for state in PAUSABLE for event in (Event.CHANGE_PAUSED, Event.CHANGE_RESUMED)},
}


class Work(StrEnum):
    """What `apply` finds to do in a state."""

    START = "start"
    GO_ON = "go on"
    GO_BACK = "go back"
    NOTHING = "nothing"


WORK_LEFT: Mapping[State, Work] = {
    State.PLANNED: Work.START,
    State.AUTHORIZED: Work.START,
    State.SCHEDULED: Work.START,
    State.APPLYING: Work.GO_ON,
    State.ROLLING_BACK: Work.GO_BACK,
    State.STUCK: Work.GO_BACK,
}

MOVES = frozenset(event for _, event in TRANSITIONS)
ENDS = frozenset({State.CLOSED, State.CANCELLED})


def advance(state: State, event: Event) -> State:
    """The state after `event`. A fact that moves nothing leaves the state; a move that has no row is Refused."""
    if event not in MOVES:
        return state
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise Refused("change-not-in-state", state=state, event=event, legal=", ".join(legal(state))) from None


def work_left(state: State) -> Work:
    """What `apply` has to do; after the last wave, and before there is a plan, that is nothing."""
    return WORK_LEFT.get(state, Work.NOTHING)


def may(state: State, event: Event) -> bool:
    return (state, event) in TRANSITIONS


def legal(state: State) -> tuple[Event, ...]:
    """The moves that are possible now, in the order of the table."""
    return tuple(event for from_state, event in TRANSITIONS if from_state is state)


def as_markdown() -> str:
    """The table as docs/lifecycle.md shows it."""
    rows = [f"| {state} | {event} | {after} |" for (state, event), after in TRANSITIONS.items()]
    diagram = [
        f"    {_node(state)} --> {_node(after)} : {event}"
        for (state, event), after in TRANSITIONS.items()
        if state is not after
    ]
    facts = ", ".join(f"*{event}*" for event in Event if event not in MOVES)
    return "\n".join(
        [
            "# The life of a change / 变更的生命周期",
            "",
            "Printed from `upgrader/domain/changes/lifecycle.py` by `make docs`; a test prints it again and compares.",
            "由 `upgrader/domain/changes/lifecycle.py` 生成（`make docs`），测试会重新生成并比对，请勿手工修改。",
            "",
            "```mermaid",
            "stateDiagram-v2",
            *diagram,
            "```",
            "",
            "| state 状态 | event 事件 | state after 之后的状态 |",
            "|---|---|---|",
            *rows,
            "",
            f"Facts that move nothing / 不改变状态的事实: {facts}.",
            "",
        ]
    )


def _node(state: State) -> str:
    return state.replace("-", "_")


if __name__ == "__main__":
    print(as_markdown(), end="")
