"""The next step of a request for several releases, over all of its changes, by the states of each."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from upgrader.domain.changes.joint import JointPart
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import ENDS, Event, State, may
from upgrader.domain.names import ChangeId

UNPLANNED = frozenset({State.NEW, State.REQUESTED})
WAITING = UNPLANNED | {State.PLANNED, State.AUTHORIZED, State.SCHEDULED}
STANDING = frozenset({State.APPLYING, State.SOAKING, State.STABLE})  # on hosts, and can still be taken back
GOING_BACK = STANDING | {State.ROLLING_BACK, State.STUCK}  # what a way back over several changes has still to do
BACK = frozenset({State.ROLLED_BACK, State.ROLLED_BACK_IN_PART})
CAME_TO_NOTHING = BACK | {State.CANCELLED}


class JointStep(StrEnum):
    """What is to be done next; each has its text, which names the command."""

    PLAN = "plan"
    SIGN = "sign"
    SERVE = "serve"
    APPLY = "apply"
    GO_ON = "go-on"
    GO_ON_OR_BACK = "go-on-or-back"
    DECIDE = "decide"
    GO_BACK = "go-back"
    TAKE_BACK_TOO = "take-back-too"
    PUT_RIGHT = "put-right"
    CANCEL = "cancel"
    ACCEPT = "accept"
    ACCEPT_OR_BACK = "accept-or-back"
    CLOSE = "close"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class JointState:
    """How far one of the changes has come.

    `undecided`: its soak ended, and a person decides. `asked`: a person had it taken back, and no rule did. `refused`:
    the code with which the gate last sent it away; empty when something came after that.
    """

    part: JointPart
    state: State
    undecided: bool = False
    asked: bool = False
    refused: str = ""


_Found = tuple[JointStep, JointState]


@dataclass(frozen=True, slots=True)
class JointNext:
    """The step, the change that it is about, the first that can be taken back, and the last of all."""

    step: JointStep
    change: ChangeId
    first: ChangeId
    last: ChangeId


def joint_state(part: JointPart, history: History, *, asked: bool) -> JointState:
    """What the journal of one part says of it; `new` where this controller has none."""
    found = history.last(Event.SOAK_STARTED, Event.FOUND_UNSTABLE, Event.FOUND_INCONCLUSIVE)
    ended = found is not None and found.event is not Event.SOAK_STARTED
    last = history.entries[-1] if history.entries else None
    refused = str(last.data["code"]) if last is not None and last.event is Event.GATE_REFUSED else ""
    return JointState(part, history.state, ended and history.state is State.SOAKING, asked, refused)


def next_over(parts: Sequence[JointState]) -> JointNext:
    """The one thing to do next over all changes of a request, which are given in their order.

    What has to do with a way back comes first, then what runs, then what waits; last the papers.
    """
    first, last = next((one for one in parts if one.state in STANDING), parts[0]), parts[-1]
    steps = (*_ways_back(parts), *_work(parts), *_papers(parts), (JointStep.OVER, last))
    step, about = steps[0]
    return JointNext(step, about.part.change, first.part.change, last.part.change)


def have_begun(parts: Iterable[JointState]) -> bool:
    """Whether any of them has been on hosts."""
    return any(one.state not in WAITING | {State.CANCELLED} for one in parts)


def may_be_accepted(state: State) -> bool:
    return may(state, Event.CHANGE_ACCEPTED)


def needs_no_acceptance(state: State) -> bool:
    """Nothing of it stays, or it is over."""
    return state is State.ROLLED_BACK or state in ENDS


def may_be_closed(state: State) -> bool:
    """Also one that is closed: its papers are written once more."""
    return may(state, Event.CHANGE_CLOSED) or state is State.CLOSED


def _ways_back(parts: Sequence[JointState]) -> Iterator[_Found]:
    yield from _those_in(reversed(parts), JointStep.PUT_RIGHT, State.STUCK)
    yield from _those_in(reversed(parts), JointStep.GO_BACK, State.ROLLING_BACK)
    for place, one in enumerate(parts):
        if one.state in BACK and not one.asked:
            yield from _those_in(reversed(parts[:place]), JointStep.TAKE_BACK_TOO, *STANDING)
    for place, one in enumerate(parts):
        if one.state in CAME_TO_NOTHING:
            yield from _those_in(parts[place:], JointStep.CANCEL, *WAITING)


def _work(parts: Sequence[JointState]) -> Iterator[_Found]:
    yield from _those_in([one for one in parts if one.undecided], JointStep.DECIDE, State.SOAKING)
    yield from _those_in(parts, JointStep.GO_ON, State.APPLYING, State.SOAKING)
    yield from _those_in(parts, JointStep.PLAN, *UNPLANNED)
    yield from _those_in(parts, JointStep.SERVE, State.SCHEDULED)
    if have_begun(parts):
        yield from _those_in(parts, JointStep.GO_ON_OR_BACK, *WAITING)
    yield from _those_in(parts, JointStep.SIGN, State.PLANNED)
    yield from _those_in(parts, JointStep.APPLY, *WAITING)


def _papers(parts: Sequence[JointState]) -> Iterator[_Found]:
    if any(one.state in BACK for one in parts):
        yield from _those_in(parts, JointStep.ACCEPT_OR_BACK, State.STABLE)
    yield from _those_in(parts, JointStep.ACCEPT, State.STABLE, State.ROLLED_BACK_IN_PART)
    yield from _those_in(parts, JointStep.CLOSE, State.ACCEPTED, State.ROLLED_BACK)


def _those_in(parts: Iterable[JointState], step: JointStep, *states: State) -> Iterator[_Found]:
    return ((step, one) for one in parts if one.state in states)
