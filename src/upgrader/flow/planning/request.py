"""Request: write down one change that is asked for. Nothing is decided and no host is contacted."""

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from upgrader.domain.changes.joint import Half, JointPart, in_order, servers_first, way_between
from upgrader.domain.changes.lifecycle import Event, State, advance
from upgrader.domain.changes.request import Request
from upgrader.domain.errors import BadInput, Refused, UpgraderError
from upgrader.domain.hospital.system import group_of
from upgrader.domain.names import ChangeId, PersonId, SystemId, Version
from upgrader.domain.releases.release import Release
from upgrader.flow import repository
from upgrader.flow.applying.cancel import cancel_change
from upgrader.flow.history import read_history
from upgrader.flow.identity import acting_person
from upgrader.flow.planning.materials import half_of
from upgrader.flow.releases.known_bad import check_not_known_bad, suspect_of
from upgrader.flow.releases.stage import MANIFEST
from upgrader.flow.site import Site
from upgrader.flow.watching.described import graph_here

NUMBERED = re.compile(r".+-\d{4,6}")
Step = tuple[Release, Half | None]
UNTOUCHED = frozenset({State.NEW, State.REQUESTED})


@dataclass(frozen=True, slots=True)
class Requested:
    request: Request
    file: str


def request_change(site: Site, wanted: Request) -> Requested:
    """Give the change its number, write request.yml, commit it, push it, and open the journal.

    `wanted.change` is only a placeholder: the number is the next free one of the year in the site's repository. The
    very same request of the same person, of which nothing has come yet, is no second change: it was cut short, and goes
    on.
    A superseded change is cancelled. Raises Refused when it has begun, BadInput when it is not known here.
    """
    person = acting_person(site)
    site.clone.pull()
    _check_may_ask(site, wanted, person)
    wanted = replace(wanted, requester=person)
    begun = _cut_short(site, wanted)
    if wanted.supersedes is not None and (begun is None or not _is_cancelled(site, wanted.supersedes)):
        advance(read_history(site, wanted.supersedes).state, Event.CHANGE_CANCELLED)
    request = replace(wanted, change=begun or next_change(site, site.change_prefix))
    (requested,) = _write_down(site, [request], f"{request.change}: request {request.system} {request.version}")
    if request.supersedes is not None and not _is_cancelled(site, request.supersedes):
        cancel_change(site, request.supersedes, f"superseded by {request.change}")
    return requested


def request_joint(
    site: Site, wanted: Request, releases: Sequence[tuple[SystemId, Version]], *, installed: str | None = None
) -> Sequence[Requested]:
    """Ask for several releases at once: one change for each, in the order in which they run, in one commit.

    `wanted` says what all have in common; each is for the hosts of its system's group, unless all are of one system.
    With `installed`, the versions between it and the one release that is asked for are added, by what releases follow.
    The very same request of the same person, of which nothing has come yet, goes on with the numbers that it has.
    Raises Refused or BadInput as `in_order`, `way_between` and `request_change` do.
    """
    person = acting_person(site)
    site.clone.pull()
    found = [_staged(site, system, version) for system, version in releases]
    if installed is not None:
        found = list(way_between(installed, found[-1], _all_staged(site, found[-1].system)))
    ordered = in_order(found, graph_here(site))
    steps = servers_first(ordered, _halves(site, {release.system for release in ordered}))
    own = len({release.system for release in ordered}) == 1
    hosts = {part.system: wanted.hosts if own else group_of(part.system) for part in ordered}
    common = replace(wanted, requester=person)
    begun = _joint_cut_short(site, common, steps, hosts)
    requests = begun or _numbered(common, steps, hosts, next_change(site, site.change_prefix))
    for request in requests:
        _check_may_ask(site, request, person)
    asked = ", ".join(f"{one.system} {one.version}" for one in requests)
    return _write_down(site, requests, f"{requests[0].change}: request {asked}")


def _halves(site: Site, systems: Collection[SystemId]) -> Mapping[SystemId, frozenset[Half]]:
    """Which hosts each of several systems has, by the inventory in the clone; what can't be read is left to `plan`."""
    found = {}
    for system in systems if len(systems) > 1 else ():
        with suppress(UpgraderError):
            hosts = site.inventory.resolve(site.clone.root, group_of(system))
            found[system] = frozenset(map(half_of, hosts))
    return found


def _numbered(common: Request, steps: Sequence[Step], hosts: Mapping[SystemId, str], first: str) -> Sequence[Request]:
    """One request for each release, numbered from `first` on, with all of them in each."""
    start, number = first.rsplit("-", 1)
    joint = tuple(
        JointPart(ChangeId(f"{start}-{int(number) + n:04}"), release.system, release.version, only)
        for n, (release, only) in enumerate(steps)
    )
    return [
        replace(
            common,
            change=part.change,
            system=part.system,
            version=part.version,
            hosts=hosts[part.system],
            joint=joint if len(joint) > 1 else (),
        )
        for part in joint
    ]


def _joint_cut_short(
    site: Site, common: Request, steps: Sequence[Step], hosts: Mapping[SystemId, str]
) -> Sequence[Request] | None:
    """The requests that this very command has made already, when nothing has come of any yet; None when it is new."""
    for file in sorted(site.clone.root.glob(f"{repository.change_folder(site.change_prefix)}-*/request.yml")):
        if not NUMBERED.fullmatch(file.parent.name):
            continue
        requests = _numbered(common, steps, hosts, file.parent.name)
        if _is_begun(site, requests[0]) and all(_is_begun(site, one, or_missing=True) for one in requests[1:]):
            return requests
    return None


def _check_may_ask(site: Site, wanted: Request, person: str) -> None:
    """Raises BadInput for a release that is not staged, Refused for a bad one, and for too long a window."""
    _staged(site, wanted.system, wanted.version)
    release = f"{repository.release_folder(wanted.system, wanted.version)}/{MANIFEST}"
    content = (site.clone.root / release).read_bytes()
    suspect = suspect_of(site.documents.read_release(content, release), content, PersonId(person))
    check_not_known_bad(site, site.trust.load(), site.mirror.refresh(), suspect)
    site.trust.load().rule(wanted.kind).check_window(wanted.kind, wanted.window.closes - wanted.window.opens)


def _staged(site: Site, system: str, version: str) -> Release:
    path = f"{repository.release_folder(system, version)}/{MANIFEST}"
    if not (site.clone.root / path).exists():
        raise BadInput("release-not-staged", release=f"{system} {version}", file=path)
    return site.documents.read_release((site.clone.root / path).read_bytes(), path)


def _all_staged(site: Site, system: str) -> Sequence[Release]:
    folder = site.clone.root / repository.release_folder(system, "")
    return [_staged(site, system, path.parent.name) for path in sorted(folder.glob(f"*/{MANIFEST}"))]


def _write_down(site: Site, requests: Sequence[Request], message: str) -> Sequence[Requested]:
    """Write, commit and push what was asked for, and open the journals."""
    asked = [Requested(one, f"{repository.change_folder(one.change)}/request.yml") for one in requests]
    files = {}
    for one in asked:
        text = site.documents.write_request(one.request)
        _check_reads_back(site, text, one.request, one.file)
        files[one.file] = text.encode()
    repository.publish(site, files, message)
    for one in asked:
        with site.journal(one.request.change) as journal:
            if not journal.history().entries:
                data, actor = one.request.as_data(), one.request.requester
                journal.write(Event.CHANGE_REQUESTED, data, at=site.clock(), actor=actor)
    return asked


def _cut_short(site: Site, wanted: Request) -> ChangeId | None:
    """The change that this very request has made already, when nothing has come of it yet; None when it is new."""
    for file in sorted(site.clone.root.glob(f"{repository.change_folder(site.change_prefix)}-*/request.yml")):
        change = ChangeId(file.parent.name)
        if _is_begun(site, replace(wanted, change=change)):
            return change
    return None


def _is_begun(site: Site, request: Request, *, or_missing: bool = False) -> bool:
    """Whether exactly this was written down, and nothing has come of it yet; with `or_missing`, or it was not."""
    file = site.clone.root / repository.change_folder(request.change) / "request.yml"
    if not file.exists():
        return or_missing and not file.parent.exists()
    same = file.read_bytes() == site.documents.write_request(request).encode()
    if not same or (file.parent / "plan.json").exists():
        return False
    with site.journal(request.change) as journal:
        return journal.history().state in UNTOUCHED


def _is_cancelled(site: Site, change: ChangeId) -> bool:
    return read_history(site, change).state is State.CANCELLED


def next_change(site: Site, prefix: str) -> ChangeId:
    """The next free number of this year, counted in the person's clone: `CHG-2026-0142`."""
    start = f"{prefix}-{site.clock():%Y}-"
    folder = site.clone.root / "approvals"
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    taken = [int(name.removeprefix(start)) for name in names if re.fullmatch(re.escape(start) + r"\d{4,6}", name)]
    return ChangeId(f"{start}{max(taken, default=0) + 1:04}")


def _check_reads_back(site: Site, text: str, request: Request, file: str) -> None:
    if site.documents.read_request(text.encode(), file) != request:
        raise Refused("request-not-faithful", file=file)
