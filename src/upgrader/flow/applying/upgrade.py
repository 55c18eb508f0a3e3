"""The one variable that goes into a playbook: `upgrade`, made from a plan. The runbook shows the same by hand."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from upgrader.domain import plain
from upgrader.domain.changes.plan import EarlierRelease, Plan, PlannedRelease
from upgrader.domain.digest import Digest
from upgrader.domain.releases.correction import Correction
from upgrader.domain.releases.release import Build, Release, digest_of
from upgrader.ports import Patch

FORMAT = "upgrader.upgrade/1"


def instruction(
    plan: Plan, hosts: Iterable[str], builds: Mapping[Digest, Path], patches: Iterable[Patch] = ()
) -> Mapping[str, Any]:
    """What the playbooks of this plan are told. `builds` are the paths of verified builds, none when taking back."""
    release = plan.release
    chosen = set(hosts)
    return {
        "format": FORMAT,
        "change": str(plan.change),
        "plan": plan.digest.hex,
        "system": str(release.system),
        "version": str(release.version),
        "strategy": release.strategy.value,
        "digest": digest_of(release.builds).hex,
        "builds": _builds(release.builds, builds, tuple(patches)),
        "earlier": _earlier(plan.earlier, builds),
        "service": plain.to_plain(release.service),
        "health": {"command": release.health.command, "seconds": release.health.timeout_seconds},
        "config": [{"from": file.source, "to": file.target} for file in release.config],
        "defaults": dict(release.parameters),
        **_terms(release),
        **({"busy": plain.to_plain(release.busy)} if release.busy else {}),
        "keep": release.keep,
        "confirm_seconds": plan.confirm_seconds,
        "follows": list(release.follows),
        "base": {str(host.name): host.installed for host in plan.hosts if host.name in chosen},
    }


def question(change: str, release: Release, earlier: Iterable[EarlierRelease]) -> Mapping[str, Any]:
    """What preflight is told before there is a plan: which system to look at, what to bring, and what could go back."""
    return {
        "format": FORMAT,
        "change": change,
        "plan": "0" * 64,
        "system": str(release.system),
        "version": str(release.version),
        "strategy": release.strategy.value,
        "digest": digest_of(release.builds).hex,
        "builds": _builds(release.builds, {}),
        "earlier": _earlier(earlier, {}),
        "service": plain.to_plain(release.service),
        **_terms(release),
    }


def _earlier(releases: Iterable[EarlierRelease], paths: Mapping[Digest, Path]) -> list[Mapping[str, Any]]:
    return [{"version": str(release.version), "builds": _builds(release.builds, paths)} for release in releases]


def _builds(
    builds: Iterable[Build], paths: Mapping[Digest, Path], patches: Sequence[Patch] = ()
) -> list[Mapping[str, Any]]:
    return [
        {
            "file": str(build.file),
            "path": str(paths.get(build.sha256, "")),
            "sha256": build.sha256.hex,
            "size": build.size,
            **_patched([patch for patch in patches if patch.build == build.sha256]),
        }
        for build in builds
    ]


def _patched(patches: Sequence[Patch]) -> Mapping[str, Any]:
    """The digest of the archive inside a build, and the patches that give it."""
    if not patches:
        return {}
    listed = [{"base": patch.base.hex, "path": str(patch.path)} for patch in patches]
    return {"tar": patches[0].archive.hex, "patches": listed}


def _terms(release: Release | PlannedRelease) -> Mapping[str, Any]:
    """What only one strategy asks for, and what is known of work that comes by itself."""
    found = {
        "package": release.package,
        "files": release.files,
        "correction": _correction(release),
        "database": release.database,
        "interface": release.work.interface if release.work else None,
        "job": release.work.job if release.work else None,
    }
    return {name: plain.to_plain(terms) for name, terms in found.items() if terms is not None}


def _correction(release: Release | PlannedRelease) -> Correction | None:
    """What the host is told of a correction; the statements themselves go there as a build, whose digest is checked."""
    found = release.correction
    if found is None:
        return None
    return Correction(
        database=found.database,
        tables=found.tables,
        statement_seconds=found.statement_seconds,
        lock_seconds=found.lock_seconds,
    )
