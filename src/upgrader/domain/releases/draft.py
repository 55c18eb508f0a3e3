"""A draft: what can be told of a release from its files alone, for a vendor that sends no manifest."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from upgrader.domain.digest import Digest
from upgrader.domain.names import PersonId, SystemId, Version
from upgrader.domain.releases.build_kind import FORMS, BuildKind
from upgrader.domain.releases.release import CONSUMED, Strategy
from upgrader.domain.releases.version_order import is_older, newest_last

NAMED = re.compile(
    r"(?P<name>[A-Za-z][A-Za-z0-9]*(?:[-_][A-Za-z][A-Za-z0-9]*)*)[-_]v?(?P<version>[0-9][0-9A-Za-z.+~-]*)"
)
TEMPLATES = (".in", ".tmpl", ".tpl", ".template")
SCRIPTS = re.compile(r"(?:.*/)?(?:service|control|ctl|startup|start)(?:\.sh)?")
HEALTH = re.compile(r"(?:.*/)?(?:health|healthcheck|check)(?:\.sh)?")
EPOCH_AND_REVISION = re.compile(r"(?:[0-9]+:)?(?P<upstream>.+?)(?:-[^-]*)?")


@dataclass(frozen=True, slots=True)
class InsideFile:
    """A file inside a build."""

    path: str
    executable: bool


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of the drop-to-be. `kind` is None for one that is no build: notes, manuals, a detached signature.

    `package` and `package_version` are what a Debian package says of itself.
    """

    file: str
    size: int
    sha256: Digest
    kind: BuildKind | None
    inside: tuple[InsideFile, ...] = ()
    package: str | None = None
    package_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a draft says; None where a person has to. `origin` names the file that told system and version."""

    system: SystemId | None
    version: Version | None
    origin: str
    strategy: Strategy | None
    builds: tuple[FoundFile, ...]
    documents: tuple[FoundFile, ...]
    unit: str | None
    script: str | None
    health: str | None
    templates: tuple[str, ...]
    package: str | None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the site adds to a draft: who the vendor is, who would vouch, and which release was the last one."""

    vendor: PersonId | None
    packager: PersonId | None
    previous: Version | None
    today: str


def propose(files: Sequence[FoundFile]) -> Proposal:
    """Read the files as a person would, and say nothing where two of them disagree."""
    builds = tuple(file for file in files if file.kind is not None)
    told = [_told(file) for file in builds]
    systems, versions = {system for system, _ in told if system}, {version for _, version in told if version}
    inside = [one for file in builds for one in file.inside]
    unit = _first(one.path.removesuffix(".in") for one in inside if one.path.endswith((".service", ".service.in")))
    return Proposal(
        system=systems.pop() if len(systems) == 1 else None,
        version=versions.pop() if len(versions) == 1 else None,
        origin=builds[0].file if builds else "-",
        strategy=_strategy(builds),
        builds=builds,
        documents=tuple(file for file in files if file.kind is None),
        unit=unit,
        script=_first(one.path for one in inside if one.executable and SCRIPTS.fullmatch(one.path)),
        health=_first(one.path for one in inside if one.executable and HEALTH.fullmatch(one.path)),
        templates=tuple(sorted(one.path for one in inside if one.path.endswith(TEMPLATES))),
        package=_first(file.package for file in builds if file.package),
    )


def newest_before(versions: Iterable[Version], version: Version | None) -> Version | None:
    """The newest of `versions` that is older than `version`; of all of them when that is not known."""
    before = [one for one in versions if version is None or is_older(one, version)]
    return sorted(before, key=newest_last)[-1] if before else None


def _told(file: FoundFile) -> tuple[SystemId | None, Version | None]:
    stem = file.file
    for suffix in sorted((s for form in FORMS for s in form.suffixes), key=len, reverse=True):
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    match = NAMED.match(stem)
    name, version = (match["name"], match["version"]) if match else (stem, "")
    if file.package_version and (upstream := EPOCH_AND_REVISION.fullmatch(file.package_version)):
        name, version = file.package or name, upstream["upstream"]
    return _as_system(name), _as_version(version)


def _as_system(name: str) -> SystemId | None:
    text = name.lower().replace("_", "-")
    return SystemId(text) if SystemId.pattern.fullmatch(text) else None


def _as_version(text: str) -> Version | None:
    return Version(text) if Version.pattern.fullmatch(text) else None


def _strategy(builds: Sequence[FoundFile]) -> Strategy | None:
    """The first strategy that carries every kind that is there."""
    kinds = {build.kind for build in builds}
    fitting = (strategy for strategy, carried in CONSUMED.items() if kinds and kinds <= carried)
    return next(fitting, None)


def _first(found: Iterable[str | None]) -> str | None:
    return next((one for one in sorted(filter(None, found), key=lambda one: (one.count("/"), one))), None)
