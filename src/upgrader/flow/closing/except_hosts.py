"""Except: somebody answers, by name and until a day, for a host that a change had to leave behind."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from upgrader.domain import plain
from upgrader.domain.changes.change import view
from upgrader.domain.changes.host_exception import HostException
from upgrader.domain.changes.lifecycle import Event, State, may
from upgrader.domain.errors import BadInput, Refused
from upgrader.domain.names import HostName, PersonId
from upgrader.flow.applying.roll_back import authorized_plan
from upgrader.flow.history import read_history
from upgrader.flow.identity import acting_person
from upgrader.flow.site import Site


@dataclass(frozen=True, slots=True)
class Answering:
    """Who answers for the hosts, until when (an instant), and why they could not be put right in this change."""

    owner: PersonId
    due: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Excepted:
    """`unowned` are the hosts for which still nobody answers."""

    state: State
    unowned: Sequence[str]


def except_hosts(site: Site, change: str, hosts: Sequence[HostName], answering: Answering) -> Excepted:
    """Write down an exception for each host. A stuck change in which every host has one is taken back in part.

    Raises BadInput for a host that was not left behind, an owner whom the trust file does not know, a day that is over;
    Refused in a state in which nothing is left behind yet.
    """
    actor = acting_person(site)
    read_history(site, change)
    _check_answering(site, answering)
    with (
        site.locks.hold([f"change-{change}"], purpose=f"exception {change}", holder=actor, now=site.clock()),
        site.journal(change) as journal,
    ):
        history = journal.history()
        if not may(history.state, Event.HOST_EXCEPTED):
            raise Refused("change-not-in-state", state=history.state, event=Event.HOST_EXCEPTED, legal="-")
        plan = authorized_plan(site, change, history)
        left = {host.name for host in view(history, plan).left_behind}
        if strange := [host for host in hosts if host not in left]:
            raise BadInput("host-not-left-behind", change=change, host=strange[0], left=" ".join(sorted(left)) or "-")
        for host in hosts:
            data = {"host": host, "owner": answering.owner, "due": plain.to_plain(answering.due)}
            journal.write(Event.HOST_EXCEPTED, {**data, "reason": answering.reason}, at=site.clock(), actor=actor)
        after = view(journal.history(), plan)
        if not after.unowned and may(after.state, Event.STUCK_HOSTS_EXCEPTED):
            journal.write(Event.STUCK_HOSTS_EXCEPTED, {"hosts": sorted(left)}, at=site.clock(), actor=actor)
        return Excepted(journal.history().state, after.unowned)


def settle_exception(site: Site, change: str, host: HostName, reason: str) -> HostException:
    """Write down that a host which was left behind has been put right, and how. Raises BadInput when none is open."""
    actor = acting_person(site)
    history = read_history(site, change)
    with (
        site.locks.hold([f"change-{change}"], purpose=f"exception {change}", holder=actor, now=site.clock()),
        site.journal(change) as journal,
    ):
        found = view(journal.history(), authorized_plan(site, change, history)).exceptions.get(host)
        if found is None or found.settled:
            raise BadInput("exception-not-open", change=change, host=host)
        journal.write(Event.EXCEPTION_SETTLED, {"host": host, "reason": reason}, at=site.clock(), actor=actor)
    return found


def _check_answering(site: Site, answering: Answering) -> None:
    owner = site.trust.load().person(answering.owner)
    if owner is None or not owner.active:
        raise BadInput("owner-unknown", owner=answering.owner)
    if answering.due <= site.clock():
        raise BadInput("due-is-over", due=answering.due)
