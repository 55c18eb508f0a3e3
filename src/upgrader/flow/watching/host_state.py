"""Host state: what every host runs, read from it, beside what our journals say that it should run. Changes nothing.

The playbook that asks is our own, since nobody has signed anything for a question.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.playbook import HostOutcome, HostReport, PlaybookRun
from upgrader.domain.digest import Digest
from upgrader.domain.errors import BadInput
from upgrader.domain.hospital.platform import Platform
from upgrader.domain.hospital.sighting import Sighting, Sightings
from upgrader.domain.names import SystemId
from upgrader.domain.releases.release import Release, digest_of
from upgrader.domain.releases.version_order import newest_last
from upgrader.flow import repository
from upgrader.flow.applying import upgrade
from upgrader.flow.history import read_history
from upgrader.flow.planning.plan import PREFLIGHT
from upgrader.flow.releases.stage import MANIFEST
from upgrader.flow.site import Site
from upgrader.ports import Progress, Snapshot

QUESTION = "host-state"  # stands where a change would: no change asks


class Match(StrEnum):
    """How what a host runs compares with what we know."""

    AS_KNOWN = "as-known"
    UNKNOWN_TO_US = "unknown-to-us"  # no journal of this controller speaks of it
    RE_IMAGED = "re-imaged"  # we brought a version, and nothing is there
    OTHER_VERSION = "other-version"
    OTHER_BUILD = "other-build"  # the right version, from other bytes than those staged
    PENDING = "pending"  # a change there is not confirmed yet
    SILENT = "silent"  # it did not answer
    UNREADABLE = "unreadable"  # it answered, and could not say
    NOT_SERVED = "not-served"  # a Windows host: nothing of ours can ask it yet


@dataclass(frozen=True, slots=True)
class Known:
    """What our journals said last of a host: the version, and the change that said so."""

    version: str
    change: str


@dataclass(frozen=True, slots=True)
class HostState:
    host: str
    installed: str
    known: Known | None
    match: Match
    detail: str


def host_states(site: Site, system: SystemId, pattern: str, progress: Progress) -> Sequence[HostState]:
    """Ask the hosts that `pattern` names about one system. Raises BadInput for a system of which nothing was staged."""
    snapshot = site.mirror.refresh()
    releases = _releases(site, snapshot, system)
    if not releases:
        raise BadInput("system-not-staged", system=system)
    newest = releases[max(releases, key=newest_last)]
    with site.export(snapshot) as tree:
        found = site.inventory.resolve(tree.path, pattern)
        hosts = [host.name for host in found if host.platform is not Platform.WINDOWS]
        left = [host.name for host in found if host.platform is Platform.WINDOWS]
        progress("progress.asking-hosts", {"count": len(hosts)})
        with site.with_own_playbooks(tree) as own:
            run = PlaybookRun(
                playbook=PREFLIGHT,
                tree=str(own.path),
                hosts=tuple(hosts),
                upgrade=upgrade.question(QUESTION, newest, ()),
                forks=site.forks,
                timeout_seconds=300,
                dry_run=False,
            )
            reports = site.fleet(own, site.state / QUESTION).run(run, lambda _: None).reports if hosts else ()
    said = {one.host: one for one in reports if one.outcome is HostOutcome.UNCHANGED}
    now = site.clock()
    site.seen_hosts.remember(Sightings(system, {name: Sighting(one.current, now) for name, one in said.items()}))
    known = _known(site, system)
    digests = {version: digest_of(release.builds) for version, release in releases.items()}
    states = [_state(report, known.get(report.host), digests) for report in reports]
    return [*states, *(HostState(name, "", known.get(name), Match.NOT_SERVED, "") for name in left)]


def _releases(site: Site, snapshot: Snapshot, system: SystemId) -> Mapping[str, Release]:
    """Every release of the system that the branch holds, by version."""
    found = {}
    for version in repository.staged_versions(snapshot, system):
        path = f"{repository.release_folder(system, version)}/{MANIFEST}"
        if content := snapshot.read(path):
            found[str(version)] = site.documents.read_release(content, path)
    return found


def _known(site: Site, system: SystemId) -> Mapping[str, Known]:
    """What the journals of all changes of a system said last of each host."""
    folder = site.state / "changes"
    names = [path.parent.name for path in folder.glob("*/journal.jsonl")] if folder.is_dir() else []
    said = []
    for name in names:
        history = read_history(site, name)
        asked = history.last(Event.CHANGE_REQUESTED)
        if asked is not None and asked.data["system"] == system:
            said += [(entry.at, name, entry.data) for entry in history.of(Event.HOST_REPORTED)]
    by_time = sorted(said, key=lambda one: one[0])
    return {data["host"]: Known(data["current"], name) for _, name, data in by_time if data["current"]}


def _state(report: HostReport, known: Known | None, digests: Mapping[str, Digest]) -> HostState:
    return HostState(report.host, report.current, known, _match(report, known, digests), report.detail)


def _match(report: HostReport, known: Known | None, digests: Mapping[str, Digest]) -> Match:
    staged = digests.get(report.current)
    match report.outcome:
        case HostOutcome.UNREACHABLE | HostOutcome.NOT_RUN:
            return Match.SILENT
        case HostOutcome.UNCHANGED:
            pass
        case _:
            return Match.UNREADABLE
    if report.facts.get("pending"):
        return Match.PENDING
    if staged is not None and report.facts.get("digest") != staged.hex:
        return Match.OTHER_BUILD
    if known is None:
        return Match.UNKNOWN_TO_US
    if not report.current:
        return Match.RE_IMAGED
    return Match.AS_KNOWN if report.current == known.version else Match.OTHER_VERSION
