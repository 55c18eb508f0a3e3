"""Close: the last entry, one report for people and one bundle of evidence for whoever asks years later."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from upgrader import __version__
from upgrader.domain.approval.record import Namespace
from upgrader.domain.approval.trust import Trust
from upgrader.domain.changes.change import Change, view
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event, State, may
from upgrader.domain.changes.plan import Plan
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused
from upgrader.domain.names import PersonId
from upgrader.domain.papers.evidence import CLOSURE_FORMAT, Closure, Ending, make_statement
from upgrader.flow import repository
from upgrader.flow.applying.roll_back import authorized_plan
from upgrader.flow.approval.debts import check_paid
from upgrader.flow.closing.report import make_report_view
from upgrader.flow.history import read_history
from upgrader.flow.identity import Hand, acting_person, sign_as, signing_key
from upgrader.flow.releases.known_bad import FOLDER
from upgrader.flow.site import Site
from upgrader.ports import Journal


@dataclass(frozen=True, slots=True)
class Closed:
    """Where the bundle and the report are, and the digest of the bundle's bytes."""

    closure: Closure
    bundle: Path
    report: Path
    digest: Digest


def close_change(site: Site, change: str, folder: Path) -> Closed:
    """Close a change that was accepted or taken back, and write its bundle and report into `folder`.

    Called again on a closed change it writes them once more, from the same journal. Raises Refused in any other state.
    """
    person, key = acting_person(site), signing_key(site)
    read_history(site, change)
    trust = site.trust.load()
    with (
        site.locks.hold([f"change-{change}"], purpose=f"close {change}", holder=person, now=site.clock()),
        site.journal(change) as journal,
    ):
        plan = authorized_plan(site, change, journal.history())
        _write_last_entry(site, journal, plan, person)
        history = journal.history().up_to(Event.CHANGE_CLOSED)  # exceptions may have been settled since
        closure = _closure(site, plan, history, trust)
        files = {**_evidence(site, change, history), "closure.json": closure.to_bytes()}
        files["report.html"] = site.render_report(
            make_report_view(site, plan, history, trust, closure, files, site.signatures.public_key(key))
        ).encode()
        statement = make_statement(closure, {name: Digest.of(content) for name, content in files.items()})
        signature = sign_as(site, trust, Hand(person), statement.to_bytes(), Namespace.EVIDENCE, "statement.json")
        return _write(site, folder, closure, files, statement.to_bytes(), signature)


def ending_of(history: History, change: Change) -> Ending:
    """How a change ended, from its journal and the hosts that it left behind."""
    taken_back = history.last(Event.ROLLBACK_FINISHED, Event.STUCK_HOSTS_EXCEPTED)
    if taken_back is not None:
        in_part = taken_back.event is Event.STUCK_HOSTS_EXCEPTED
        return Ending.ROLLED_BACK_IN_PART if in_part else Ending.ROLLED_BACK
    return Ending.COMPLETED_IN_PART if change.left_behind else Ending.COMPLETED


def _write_last_entry(site: Site, journal: Journal, plan: Plan, person: str) -> None:
    history = journal.history()
    if history.state is State.CLOSED:
        return
    if not may(history.state, Event.CHANGE_CLOSED):
        raise Refused("change-not-in-state", state=history.state, event=Event.CHANGE_CLOSED, legal="-")
    check_paid(site, journal, plan)
    history = journal.history()
    ending = ending_of(history, view(history, plan))
    journal.write(
        Event.CHANGE_CLOSED,
        {"ending": ending.value, "trust_version": site.trust.load().version},
        at=site.clock(),
        actor=person,
    )


def _closure(site: Site, plan: Plan, history: History, trust: Trust) -> Closure:
    change, last = view(history, plan), history.entries[-1]
    return Closure(
        format=CLOSURE_FORMAT,
        site=plan.site,
        repository=plan.repository,
        change=plan.change,
        kind=plan.kind,
        system=plan.release.system,
        version=plan.release.version,
        plan=plan.digest,
        journal=history.head,
        entries=len(history.entries),
        ending=ending_of(history, change),
        hosts={outcome.value: count for outcome, count in sorted(change.counts.items())},
        trust_version=trust.version,
        closed=last.at,
        closed_by=PersonId(last.actor),
        upgrader=__version__,
    )


def _evidence(site: Site, change: str, history: History) -> dict[str, bytes]:
    """Every file of the bundle but the closure and the report, by its name in it."""
    snapshot = site.mirror.refresh()
    folder = repository.change_folder(change)
    started = history.of(Event.CHANGE_REQUESTED)[0].data
    release = repository.release_folder(started["system"], started["version"])
    files = {_name(blob.path, folder): blob.content for blob in snapshot.files(folder)}
    files |= {"release/" + blob.path.rsplit("/", 1)[-1]: blob.content for blob in snapshot.files(release)}
    files |= _known_bad(site, history)
    files |= {f"trust/{path.name}": path.read_bytes() for path in site.trust.files()}
    files["journal.jsonl"] = b"".join(entry.to_line() for entry in history.entries)
    files |= _runs(site, change)
    return files


def _name(path: str, folder: str) -> str:
    name = path.removeprefix(f"{folder}/")
    return name if name in ("plan.json", "request.yml") else f"records/{name}"


def _known_bad(site: Site, history: History) -> Mapping[str, bytes]:
    """What the gate knew to be bad when it last said yes, with the signatures, and nothing that came later."""
    authorized = history.last(Event.PLAN_AUTHORIZED)
    known = site.mirror.at(authorized.data["commit"]).files(FOLDER) if authorized else ()
    return {blob.path: blob.content for blob in known}


def _runs(site: Site, change: str) -> Mapping[str, bytes]:
    """Ansible's own words of every run, without the paths of this controller."""
    folder = site.runs_folder(change)
    paths: Iterable[Path] = sorted(folder.glob("*/stdout")) if folder.is_dir() else []
    here = str(site.state).encode()
    return {f"runs/{path.parent.name}.txt": path.read_bytes().replace(here, b"<state>") for path in paths}


def _write(
    site: Site, folder: Path, closure: Closure, files: Mapping[str, bytes], statement: bytes, signature: bytes
) -> Closed:
    folder.mkdir(parents=True, exist_ok=True)
    bundle, report = folder / f"{closure.change}.evidence.tar", folder / f"{closure.change}.report.html"
    digest = site.bundles.write_bundle(bundle, files, statement, signature, secrets=site.secrets.known())
    report.write_bytes(files["report.html"])
    return Closed(closure, bundle, report, digest)
