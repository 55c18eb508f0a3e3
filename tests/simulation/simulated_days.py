"""A fleet of workstations over days: a third is off in the night of the change, and comes back in time, or never."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import process_time

import builders
from simulation.simulated_fleet import Fate
from simulation.simulated_night import Night, Weather, planned_host
from upgrader.domain.approval.authorization import expiry
from upgrader.domain.changes.late import Late
from upgrader.domain.changes.playbook import HostOutcome
from upgrader.domain.changes.request import WaveSizes
from upgrader.domain.errors import ExitCode, UpgraderError
from upgrader.domain.names import HostName
from upgrader.domain.releases.release import Thresholds
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.applying.retry_pending import retry_pending
from upgrader.flow.closing.except_hosts import Answering, except_hosts

OPENS = builders.OPENS
DAYS = 5
NEVER = timedelta(days=60)
LATE = Late(OPENS + timedelta(days=DAYS), "12:00", "14:00", "Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class Days:
    """What became of the fleet: how `apply` ended, how many waited after the night, and how many after the days.

    `cpu` is what simulating the night alone took, in seconds.
    """

    night: Night
    exit_code: ExitCode
    waited: int
    excepted: int
    cpu: float


def days_of(workstations: int, seed: int = 142, off: float = 0.3) -> Days:
    """The night, five days of tries, and an exception for whoever did not come back."""
    night = Night(_weather(workstations, seed, off))
    for number, signed in enumerate(builders.enough_approvals(night.hospital.plan)):
        if signed.record is not None:
            until = expiry(night.hospital.plan, signed.record.issued, builders.make_rule())
            night.hospital.publish(replace(signed.record, expires=until, nonce=f"{number:032x}"))
    began = process_time()
    exit_code = apply_change(night.site(), builders.CHANGE, night.hospital.progress).exit_code
    cpu, waited = process_time() - began, _waiting(night)
    for at in _tries(night.closes):
        if not _waiting(night):
            break
        night.hospital.clock.now = max(night.hospital.clock.now, at)
        try:
            retry_pending(night.site(), builders.CHANGE, night.hospital.progress)
        except UpgraderError as error:
            night.refused.append(error)
    left = [HostName(host.name) for host in night.change.left_behind]
    answering = Answering(builders.HEAD, night.hospital.clock.now + timedelta(days=14), "did not come back")
    if left:
        except_hosts(night.site(), builders.CHANGE, left, answering)
    return Days(night, exit_code, waited, len(left), cpu)


def _tries(after: datetime) -> Iterator[datetime]:
    """Every half an hour in the signed hours, and once a day outside of them, when it is refused."""
    for number in range(DAYS * 48):
        at = after + number * timedelta(minutes=30)
        if LATE.is_open(at) or number % 48 == 1:
            yield at


def _waiting(night: Night) -> int:
    return night.change.counts[HostOutcome.OFFLINE]


def _weather(workstations: int, seed: int, off: float) -> Weather:
    chance = random.Random(seed)
    hosts = [planned_host(0, workstation=False)]
    hosts += [planned_host(number, workstation=True) for number in range(1, workstations + 1)]
    away = {str(host.name): [(OPENS - NEVER, _comes(chance))] for host in hosts[1:] if chance.random() < off}
    return Weather(
        hosts=hosts,
        fates=dict.fromkeys((str(host.name) for host in hosts), Fate.WELL),
        lengths={str(host.name): (chance.uniform(5, 20) * timedelta(seconds=1),) * 2 for host in hosts},
        away=away,
        window=timedelta(hours=6),
        waves=WaveSizes(canaries=5, size=100),
        thresholds=Thresholds(failed_in_wave=2, failed_in_all=10, unreachable_in_wave=10),
        forks=50,
        late=LATE,
    )


def _comes(chance: random.Random) -> datetime:
    """Most come back within two days, some much later, one in forty not at all."""
    if chance.random() < 0.025:
        return OPENS + NEVER
    return OPENS + timedelta(hours=min(110.0, 6 + chance.expovariate(1 / 24)))
