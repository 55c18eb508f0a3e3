"""Verify: ask the probes after a wave, and watch the system through its soak; a person decides what nobody can tell."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from upgrader.domain.changes.change import Change, view
from upgrader.domain.changes.journal import Entry, History
from upgrader.domain.changes.lifecycle import Event, may
from upgrader.domain.changes.plan import Plan, Wave
from upgrader.domain.changes.playbook import HostOutcome
from upgrader.domain.changes.request import WhenUnstable
from upgrader.domain.changes.verdict import Judgement, Measurement, Reading, Verdict, judge
from upgrader.domain.errors import ExitCode, Refused
from upgrader.flow.applying.brakes import abort_asked
from upgrader.flow.applying.roll_back import (
    TakenBack,
    asked_because,
    authorized_before,
    authorized_plan,
    resume_rollback,
    take_back,
)
from upgrader.flow.applying.running import Running
from upgrader.flow.history import read_history
from upgrader.flow.identity import acting_person
from upgrader.flow.site import Site
from upgrader.ports import ProbedHost, Progress

FOUND = {
    Verdict.STABLE: Event.FOUND_STABLE,
    Verdict.UNSTABLE: Event.FOUND_UNSTABLE,
    Verdict.INCONCLUSIVE: Event.FOUND_INCONCLUSIVE,
}
EXIT_CODES = {
    Verdict.STABLE: ExitCode.DONE,
    Verdict.UNSTABLE: ExitCode.UNSTABLE,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}
BECAUSE = "soak-unstable"
WATCHED = frozenset({HostOutcome.UPGRADED, HostOutcome.UNCHANGED})


@dataclass(frozen=True, slots=True)
class Soaked:
    """`seconds_left` is above zero when the soak is not over; then there is no verdict yet."""

    exit_code: ExitCode
    change: Change
    verdict: Verdict | None
    reasons: Sequence[str]
    seconds_left: int


def judge_wave(running: Running, wave: Wave, hosts: Sequence[str]) -> Judgement:
    """Ask every probe on the hosts that a wave reached, as often as each probe wants, and judge."""
    prober = running.site.prober(running.tree)
    try:
        probed = probed_hosts(running.plan, hosts)
        measurements = []
        for measurement in prober.measure_all(running.plan.probes, probed):
            measurements.append(measurement)
            running.progress("progress.measured", {"wave": wave.number, "done": len(measurements)})
    finally:
        prober.close()
    return judge(measurements, running.plan.probes, hosts)


def soak_change(site: Site, change: str, progress: Progress, *, wait: bool, again: bool = False) -> Soaked:
    """Watch a change until its soak is over and give the verdict; without `wait`, measure once and say what is left.

    Every round is in the journal, so a soak that was interrupted goes on where it was, and so does the way back that it
    had begun. `again` begins a new one, for the person who decides after a verdict of inconclusive or unstable.
    """
    actor = acting_person(site)
    read_history(site, change)
    with (
        site.locks.hold([f"change-{change}"], purpose=f"soak {change}", holder=actor, now=site.clock()),
        site.journal(change) as journal,
    ):
        state = journal.history().state
        if may(state, Event.ROLLBACK_FINISHED) and _began_the_way_back(journal.history()):
            return _taken_back(resume_rollback(site, change, journal, actor, progress), journal.history())
        if may(state, Event.CHANGE_ACCEPTED) and not again:
            return _found_before(site, change, journal.history())
        if not may(state, Event.FOUND_STABLE):
            raise Refused("change-not-in-state", state=state, event=Event.FOUND_STABLE, legal="-")
        with authorized_before(site, change, journal, actor, progress) as running:
            if again:
                running.write(Event.SOAK_STARTED, {"seconds": running.plan.soak.seconds})
            return _watch(running, wait=wait)


def probed_hosts(plan: Plan, names: Sequence[str]) -> Sequence[ProbedHost]:
    """The named hosts with the facts that fill in the texts of the probes."""
    chosen = set(names)
    return [
        ProbedHost(
            name=host.name,
            address=host.address,
            port=host.port,
            user=host.user,
            facts={
                "address": host.address,
                **host.parameters,
                "root": f"{host.parameters['root']}/{plan.release.system}",
            },
        )
        for host in plan.hosts
        if host.name in chosen
    ]


def _watch(running: Running, *, wait: bool) -> Soaked:
    site, plan = running.site, running.plan
    change = view(running.journal.history(), plan)
    hosts = [host.name for host in change.hosts.values() if host.outcome in WATCHED and host.name not in change.late]
    ends = (change.soak_started or site.clock()) + timedelta(seconds=plan.soak.seconds)
    while True:
        if (abort := abort_asked(site, plan.change)) is not None:
            taken = take_back(running, asked_because(abort.reason))
            return Soaked(taken.exit_code, taken.change, None, (), 0)
        measure_round(running, hosts, Event.SOAK_MEASURED)
        judgement = judge_soak(plan, hosts, _rounds(running.journal.history()))
        left = max(0, int((ends - site.clock()).total_seconds()))
        if judgement.verdict is Verdict.UNSTABLE or left == 0:
            return _found(running, judgement)
        if not wait:
            return Soaked(ExitCode.DONE, change, None, judgement.reasons, left)
        site.sleep(min(left, plan.soak.interval_seconds))


def _rounds(history: History) -> Sequence[Entry]:
    """The rounds of the soak that goes on; those of an earlier one are its own matter."""
    started = history.last(Event.SOAK_STARTED)
    return [entry for entry in history.of(Event.SOAK_MEASURED) if started is None or entry.seq > started.seq]


def measure_round(running: Running, hosts: Sequence[str], event: Event) -> None:
    """Ask every probe once on these hosts, and write down what was seen as `event`."""
    once = [replace(probe, count=1, failures_allowed=0) for probe in running.plan.probes]
    prober = running.site.prober(running.tree)
    try:
        measurements = list(prober.measure_all(once, probed_hosts(running.plan, hosts)))
    finally:
        prober.close()
    bad = [m for m in measurements if m.reading is not Reading.HEALTHY]
    running.write(
        event,
        {
            "measurements": len(measurements),
            "healthy": len(measurements) - len(bad),
            "bad": [
                {"host": m.host, "probe": m.probe, "reading": m.reading.value, "detail": m.detail[:200]} for m in bad
            ],
        },
    )


def judge_soak(plan: Plan, hosts: Sequence[str], rounds: Sequence[Entry]) -> Judgement:
    """Judge all rounds of a soak from the journal: each probe reads once a round; what it allows, it allows in all."""
    probes = [replace(probe, count=len(rounds)) for probe in plan.probes]
    measurements = [
        Measurement(host, probe.name, entry.at, *_reading(entry, host, probe.name))
        for entry in rounds
        for host in hosts
        for probe in probes
    ]
    return judge(measurements, probes, hosts)


def _reading(entry: Entry, host: str, probe: str) -> tuple[Reading, str]:
    for bad in entry.data["bad"]:
        if (bad["host"], bad["probe"]) == (host, probe):
            return Reading(bad["reading"]), bad["detail"]
    return Reading.HEALTHY, ""


def _found(running: Running, judgement: Judgement) -> Soaked:
    """Write down the verdict; when the plan says so, an unstable system is taken back at once."""
    running.write(
        FOUND[judgement.verdict],
        {"measurements": judgement.measurements, "reasons": list(judgement.reasons[:50])},
    )
    if judgement.verdict is Verdict.UNSTABLE and running.plan.soak.when_unstable is WhenUnstable.ROLL_BACK:
        return _taken_back(take_back(running, BECAUSE), running.journal.history())
    change = view(running.journal.history(), running.plan)
    return Soaked(EXIT_CODES[judgement.verdict], change, judgement.verdict, judgement.reasons, 0)


def _began_the_way_back(history: History) -> bool:
    started = history.last(Event.ROLLBACK_STARTED)
    return started is not None and started.data["because"] == BECAUSE


def _taken_back(taken: TakenBack, history: History) -> Soaked:
    """How a soak ended that found the system unstable, and took it back."""
    found = history.last(Event.FOUND_UNSTABLE)
    return Soaked(taken.exit_code, taken.change, Verdict.UNSTABLE, found.data["reasons"] if found else (), 0)


def _found_before(site: Site, change: str, history: History) -> Soaked:
    """The soak is over, and said so: nothing is measured again."""
    found = history.last(Event.FOUND_STABLE)
    if found is None:
        raise Refused("change-not-in-state", state=history.state, event=Event.FOUND_STABLE, legal="-")
    over = view(history, authorized_plan(site, change, history))
    return Soaked(ExitCode.DONE, over, Verdict.STABLE, tuple(found.data["reasons"]), 0)
