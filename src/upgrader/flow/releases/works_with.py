"""Works with: systems that talk to each other keep to the versions that their releases declare to go together."""

from collections.abc import Iterable, Mapping

from upgrader.domain.changes.joint import JointPart, check_works_with
from upgrader.domain.hospital.installation import newest_sightings
from upgrader.domain.names import SystemId
from upgrader.domain.releases.release import Release
from upgrader.flow.releases.stage import MANIFEST
from upgrader.flow.site import Site
from upgrader.flow.watching.past_changes import past_changes
from upgrader.ports import Snapshot

DECLARES = b"works_with:"


def check_declared(site: Site, snapshot: Snapshot, release: Release, joint: Iterable[JointPart]) -> None:
    """Raises Refused `works-with-not` when, after all joint changes, a pair would run that a release does not allow.

    Both are asked: what is coming about what will run beside it, and what runs about what is coming. What runs is what
    the journals of this controller and the last questions to hosts say; of a system that nobody asked nothing is known.
    """
    coming: dict[SystemId, str] = {release.system: release.version}
    coming |= {part.system: part.version for part in joint}
    declaring = {path for path in snapshot.paths("releases") if path.endswith(f"/{MANIFEST}")}
    told = [path for path in sorted(declaring) if DECLARES in (snapshot.read(path) or b"")]
    if not told:
        return
    systems = {SystemId(path.split("/")[1]) for path in declaring}
    running = _running(site, systems) | {system: frozenset({version}) for system, version in coming.items()}
    check_works_with(_that_run(site, snapshot, told, running), running)


def _that_run(
    site: Site, snapshot: Snapshot, paths: Iterable[str], running: Mapping[SystemId, frozenset[str]]
) -> Iterable[Release]:
    for path in paths:
        _, system, version, _ = path.split("/")
        if version in running.get(SystemId(system), frozenset()):
            yield site.documents.read_release(snapshot.read(path) or b"", path)


def _running(site: Site, systems: Iterable[SystemId]) -> dict[SystemId, frozenset[str]]:
    """The versions of each system that hosts were last seen to run."""
    found, changes = {}, past_changes(site)
    for system in systems:
        seen = newest_sightings(changes.get(system, ()), site.seen_hosts.recall(system))
        found[system] = frozenset(sighting.version for sighting in seen.values() if sighting.version)
    return found
