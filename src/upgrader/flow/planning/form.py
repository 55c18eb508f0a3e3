"""Form: the application form of a change, filled from what the branch, the gate and the journal say of it."""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from upgrader.domain.approval.record import ApprovalRecord, Record, TestRecord, read_any_record
from upgrader.domain.changes.change import view
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event, may
from upgrader.domain.changes.particulars import Particulars
from upgrader.domain.changes.plan import Plan
from upgrader.domain.changes.playbook import HostOutcome
from upgrader.domain.changes.request import Request
from upgrader.domain.errors import Integrity, Refused
from upgrader.domain.papers.form import Field, Form, Known, Line, Phrase, make_form, name_of
from upgrader.domain.releases.release import Build
from upgrader.flow import repository
from upgrader.flow.applying.roll_back import authorized_plan
from upgrader.flow.approval.authorize import examine
from upgrader.flow.planning.forecast import outlook
from upgrader.flow.planning.materials import ChangeFiles, need, read_change_files
from upgrader.flow.site import Site
from upgrader.flow.watching.described import graph_on
from upgrader.ports import Snapshot

GOOD = (HostOutcome.UPGRADED, HostOutcome.UNCHANGED)
ENDED = (Event.WAVE_FINISHED, Event.ROLLBACK_FINISHED, Event.ROLLBACK_INCOMPLETE)
FOUND = {
    Event.FOUND_STABLE: "stable",
    Event.FOUND_UNSTABLE: "unstable",
    Event.FOUND_INCONCLUSIVE: "inconclusive",
}


def form_of(site: Site, change: str, language: str) -> Form:
    """Make the form of a change in one language (`zh` or `en`): before it runs, and again after it ran.

    Raises whatever the gate finds wrong with the plan itself: a form for a plan that nobody could approve is not made.
    """
    with site.journal(change) as journal:
        history = journal.history()
    last = history.last(Event.PLAN_MADE, Event.PLAN_AUTHORIZED)
    if last is None or last.event is Event.PLAN_MADE:  # a plan made after the authorization is a new one
        with examine(site, change) as examined:
            approvals = [signed.record for signed in examined.standing.counted if signed.record is not None]
            known = _known(site, history, examined.plan, examined.files, approvals, language)
            known = replace(known, systems=graph_on(site, examined.snapshot))
    else:
        snapshot = site.mirror.refresh()
        plan = authorized_plan(site, change, history)
        authorized = history.of(Event.PLAN_AUTHORIZED)[-1].data
        then = site.mirror.at(authorized["commit"])
        approvals = list(_approvals(snapshot, authorized["approvals"]))
        known = _known(site, history, plan, read_change_files(site, then, change), approvals, language)
        known = replace(known, systems=graph_on(site, then))
    return make_form(replace(known, afterwards=_afterwards(known, history)))


def answer(site: Site, change: str, answers: Mapping[str, str]) -> Request:
    """Write answers into `form:` of request.yml, commit and push. The plan has to be made again, and signed again.

    Raises Refused once the change was authorized or began, BadInput for an answer that the form does not take.
    """
    said = site.documents.read_answers(answers)
    site.clone.pull()
    with site.journal(change) as journal:
        state = journal.history().state
    if not may(state, Event.PLAN_MADE):
        raise Refused("change-not-in-state", state=state, event=Event.PLAN_MADE, legal="-")
    file = f"{repository.change_folder(change)}/request.yml"
    request = site.documents.read_request(need(site.mirror.refresh(), file), file)
    answered = replace(request, particulars=_merged(request.particulars, said))
    repository.publish(site, {file: site.documents.write_request(answered).encode()}, f"{change}: form filled in")
    return answered


def _merged(before: Particulars, said: Particulars) -> Particulars:
    new = {name: getattr(said, name) for name in Particulars.__dataclass_fields__}
    return replace(before, **{name: value for name, value in new.items() if value})


def _known(
    site: Site, history: History, plan: Plan, files: ChangeFiles, approvals: Iterable[Record], language: str
) -> Known:
    tests = (read_any_record(content, path) for path, content in files.tests.items() if path.endswith(".json"))
    return Known(
        language=language,
        hospital=site.hospital[language],
        made=_made(site, history),
        plan=plan,
        request=files.request,
        release=files.release,
        trust=site.trust.load(),
        tests=tuple(record for record in tests if isinstance(record, TestRecord)),
        records=tuple(approvals),
        sm3={str(build.file): sm3 for build in plan.release.builds if (sm3 := _sm3(site, build))},
        afterwards={},
        outlook=outlook(site, plan),
    )


def _made(site: Site, history: History) -> datetime:
    """When the plan was made, as far as this controller knows; otherwise now."""
    entry = history.last(Event.PLAN_MADE)
    return entry.at if entry else site.clock()


def _approvals(snapshot: Snapshot, counted: Iterable[str]) -> Iterable[ApprovalRecord]:
    """The records that the gate counted when it let the change pass."""
    for path in counted:
        record = read_any_record(need(snapshot, path), path)
        if isinstance(record, ApprovalRecord):
            yield record


def _sm3(site: Site, build: Build) -> str:
    """The SM3 sum (GB/T 32905-2016) of a build; empty where OpenSSL has no SM3, or the build is not in this store."""
    if "sm3" not in hashlib.algorithms_available:
        return ""
    with suppress(Integrity, FileNotFoundError):
        return _sum_of(site.builds.open_verified(build.sha256, build.size))
    return ""


def _sum_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new("sm3")).hexdigest()


def _afterwards(known: Known, history: History) -> Mapping[Field, tuple[Line, ...]]:
    """What the journal says of the time after the window opened; a fact that did not happen has no line."""
    began, ended = history.of(Event.WAVE_STARTED), history.of(*ENDED)
    lines: dict[Field, tuple[Line, ...]] = {}
    if started := history.last(Event.APPLY_STARTED):
        lines[Field.CARRIED_OUT] = (name_of(known, started.actor),)
    if began and ended:
        lines[Field.TIMES] = (Phrase("times", {"opens": began[0].at, "closes": ended[-1].at}),)
        lines |= _results(known, history)
    if found := history.last(*FOUND):
        lines[Field.VERIFIED] = (Phrase("found", {"verdict": FOUND[found.event], "at": found.at}),)
    if accepted := history.last(Event.CHANGE_ACCEPTED):
        people = ", ".join(name_of(known, person) for person in accepted.data["people"])
        lines[Field.ACCEPTED] = (Phrase("accepted", {"names": people, "at": accepted.at}),)
    if history.last(Event.CHANGE_CLOSED):
        lines[Field.ARCHIVE] = (f"{known.plan.change}.evidence.tar",)
    return lines


def _results(known: Known, history: History) -> Mapping[Field, tuple[Line, ...]]:
    change = view(history, known.plan)
    outcomes = tuple(
        Phrase("outcome", {"outcome": outcome, "count": str(count)}) for outcome, count in sorted(change.counts.items())
    )
    left = [host.name for host in change.hosts.values() if host.outcome not in GOOD]
    return {Field.RESULTS: outcomes, Field.LEFT_BEHIND: (", ".join(left),) if left else (Phrase("none"),)}
