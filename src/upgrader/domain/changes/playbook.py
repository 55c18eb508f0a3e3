"""One playbook on some hosts, and what each host ended as: all that Ansible is told, and all that is believed of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

HELD = "held"  # the step at which such a host stands


class HostOutcome(StrEnum):
    """What one host ended as. Silence is `not-run`, never well."""

    UPGRADED = "upgraded"
    UNCHANGED = "unchanged"
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"  # changed, not restored; or the host gave no proof
    UNREACHABLE = "unreachable"
    OFFLINE = "offline"  # pending: switched off before anything was done to it
    BUSY = "busy"  # pending: somebody works on it; nothing was switched
    RE_IMAGED = "re-imaged"  # pending: installed anew since this change left it
    NOT_RUN = "not-run"


PENDING = frozenset({HostOutcome.OFFLINE, HostOutcome.BUSY, HostOutcome.RE_IMAGED})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookRun:
    """All that Ansible is told. If it is not here, the playbook does not get it.

    `playbook` is relative to `tree`, the absolute path of the exported tree. `hosts` is never empty. `holding` are
    files of the controller: once one is there, no further host begins, and those that have begun go on to their end.
    """

    playbook: str
    tree: str
    hosts: tuple[str, ...]
    upgrade: Mapping[str, Any]
    forks: int
    timeout_seconds: int
    dry_run: bool
    secrets: tuple[str, ...] = ()  # names; the values are for the play alone
    holding: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReport:
    """What one host said of itself, read back from it. `downtime_ms` is how long its service was away."""

    host: str
    outcome: HostOutcome
    from_version: str = ""
    to_version: str = ""
    current: str = ""
    step: str = ""
    detail: str = ""
    downtime_ms: int = 0
    bytes_sent: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_held(self) -> bool:
        """Whether this host did not begin because somebody asked that no further one does."""
        return self.outcome is HostOutcome.NOT_RUN and self.step == HELD


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookResult:
    """One report for every host of the run, never fewer. `output` is where Ansible's own words are kept."""

    reports: tuple[HostReport, ...]
    return_code: int
    status: str
    output: str
