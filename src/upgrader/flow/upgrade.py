"""The one variable that goes into a playbook: `upgrade`, made from a plan. The runbook shows the same by hand."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from upgrader.domain import plain
from upgrader.domain.plan import Plan
from upgrader.domain.release import Release

FORMAT = "upgrader.upgrade/1"


def instruction(plan: Plan, hosts: Iterable[str], build: Path | None) -> Mapping[str, Any]:
    """What the playbooks of this plan are told. `build` is the path of the verified build; None when taking back."""
    release = plan.release
    (planned,) = release.builds
    chosen = set(hosts)
    return {
        "format": FORMAT,
        "change": str(plan.change),
        "plan": plan.digest.hex,
        "system": str(release.system),
        "version": str(release.version),
        "strategy": release.strategy.value,
        "build": {
            "file": str(planned.file),
            "path": str(build) if build else "",
            "sha256": planned.sha256.hex,
            "size": planned.size,
        },
        "service": plain.to_plain(release.service),
        "health": {"command": release.health.command, "seconds": release.health.timeout_seconds},
        "config": [{"from": file.source, "to": file.target} for file in release.config],
        "keep": release.keep,
        "confirm_seconds": plan.confirm_seconds,
        "follows": list(release.follows),
        "base": {str(host.name): host.installed for host in plan.hosts if host.name in chosen},
    }


def question(change: str, release: Release) -> Mapping[str, Any]:
    """What preflight is told: only which system to look at."""
    return {
        "format": FORMAT,
        "change": change,
        "plan": "0" * 64,
        "system": str(release.system),
        "version": str(release.version),
        "strategy": release.strategy.value,
        "service": plain.to_plain(release.service),
    }
