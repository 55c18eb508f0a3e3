"""Request: write down one change that is asked for. Nothing is decided and no host is contacted."""

import re
from dataclasses import dataclass, replace

from upgrader.domain.errors import BadInput, Refused
from upgrader.domain.lifecycle import Event, State, advance
from upgrader.domain.names import ChangeId
from upgrader.domain.request import Request
from upgrader.flow import repository
from upgrader.flow.cancel import cancel_change
from upgrader.flow.history import read_history
from upgrader.flow.identity import acting_person
from upgrader.flow.known_bad import check_not_known_bad, suspect_of
from upgrader.flow.site import Site
from upgrader.flow.stage import MANIFEST

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
    release = f"{repository.release_folder(wanted.system, wanted.version)}/{MANIFEST}"
    if not (site.clone.root / release).exists():
        raise BadInput("release-not-staged", release=f"{wanted.system} {wanted.version}", file=release)
    content = (site.clone.root / release).read_bytes()
    suspect = suspect_of(site.documents.read_release(content, release), content, person)
    check_not_known_bad(site, site.trust.load(), site.mirror.refresh(), suspect)
    length = wanted.window.closes - wanted.window.opens
    site.trust.load().rule(wanted.kind).check_window(wanted.kind, length)
    wanted = replace(wanted, requester=person)
    begun = _cut_short(site, wanted)
    if wanted.supersedes is not None and (begun is None or not _is_cancelled(site, wanted.supersedes)):
        advance(read_history(site, wanted.supersedes).state, Event.CHANGE_CANCELLED)
    request = replace(wanted, change=begun or next_change(site, site.change_prefix))
    file = f"{repository.change_folder(request.change)}/request.yml"
    text = site.documents.write_request(request)
    _check_reads_back(site, text, request, file)
    repository.publish(site, {file: text.encode()}, f"{request.change}: request {request.system} {request.version}")
    with site.journal(request.change) as journal:
        if not journal.history().entries:
            journal.write(Event.CHANGE_REQUESTED, request.as_data(), at=site.clock(), actor=person)
    if request.supersedes is not None and not _is_cancelled(site, request.supersedes):
        cancel_change(site, request.supersedes, f"superseded by {request.change}")
    return Requested(request, file)


def _cut_short(site: Site, wanted: Request) -> ChangeId | None:
    """The change that this very request has made already, when nothing has come of it yet; None when it is new."""
    for file in sorted(site.clone.root.glob(f"{repository.change_folder(site.change_prefix)}-*/request.yml")):
        change = ChangeId(file.parent.name)
        same = file.read_bytes() == site.documents.write_request(replace(wanted, change=change)).encode()
        if same and not (file.parent / "plan.json").exists():
            with site.journal(change) as journal:
                if journal.history().state in UNTOUCHED:
                    return change
    return None


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
