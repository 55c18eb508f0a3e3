"""The clocks of hosts, asked over ssh and compared with that of this computer."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from upgrader.adapters.probes.command import CommandProbe
from upgrader.domain.changes.verdict import Reading
from upgrader.domain.releases.probe import Probe, ProbeKind
from upgrader.ports import ProbedHost

SECOND = timedelta(seconds=1)
QUESTION = Probe(
    name="clock",
    kind=ProbeKind.COMMAND,
    interval_seconds=1,
    count=1,
    failures_allowed=0,
    timeout_seconds=5,
    login=False,
    run="date -u +%s",
)


class SshClocks:
    """Asks over ssh, as the site's own user and with its pinned host keys."""

    def __init__(
        self, clock: Callable[[], datetime], ssh_key: Path | None, known_hosts: Path, tolerance: timedelta
    ) -> None:
        self.tolerance = tolerance
        self._clock = clock
        self._ssh_key = ssh_key
        self._known_hosts = known_hosts

    def ahead(self, hosts: Sequence[ProbedHost]) -> Mapping[str, timedelta]:
        """By how much the clock of each host is ahead of ours; one that did not answer, or can't say, is left out.

        The time that the question took counts for nobody: what lies inside it is no difference.
        """
        with (
            closing(CommandProbe(self._ssh_key, self._known_hosts)) as probe,
            ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool,
        ):
            answers = pool.map(lambda host: self._ask(probe, host), hosts)
            return {host.name: ahead for host, ahead in zip(hosts, answers, strict=True) if ahead is not None}

    def _ask(self, probe: CommandProbe, host: ProbedHost) -> timedelta | None:
        asked = self._clock()
        seen = probe.measure(QUESTION, host, asked)
        told = self._clock()
        if seen.reading is not Reading.HEALTHY:
            return None
        return difference(seen.detail, asked, told)


def difference(said: str, asked: datetime, told: datetime) -> timedelta | None:
    """What a host's whole seconds since 1970 are ahead of the time from `asked` to `told`; None for no such number."""
    try:
        there = datetime.fromtimestamp(int(said), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    if there > told:
        return there - told
    if there + SECOND < asked:
        return there + SECOND - asked
    return timedelta()
