"""Report: what a reader wants to know of a closed change, gathered from its plan, its journal and its records."""

from collections.abc import Iterable, Mapping
from contextlib import suppress

from upgrader.domain import plain
from upgrader.domain.approval.record import (
    AcceptanceRecord,
    ApprovalRecord,
    DebtRecord,
    Decision,
    PaperRecord,
    Record,
    TestRecord,
    TestStage,
    hand_of,
    kind_of_file,
    read_any_record,
)
from upgrader.domain.approval.trust import Trust
from upgrader.domain.changes.change import Change, HostState, view
from upgrader.domain.changes.journal import Entry, History
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import Plan
from upgrader.domain.changes.playbook import HostOutcome
from upgrader.domain.changes.request import ChangeWindow
from upgrader.domain.changes.verdict import Place, Verdict
from upgrader.domain.errors import Refused
from upgrader.domain.papers.evidence import Closure
from upgrader.domain.papers.report import (
    Deed,
    LeftBehind,
    ReportedEntry,
    ReportedHost,
    ReportedProbe,
    ReportedRollback,
    ReportedSeal,
    ReportedWave,
    ReportView,
    Signer,
)
from upgrader.domain.releases.probe import Probe, ProbeKind
from upgrader.flow.site import Site

GOOD = frozenset({HostOutcome.UPGRADED, HostOutcome.UNCHANGED})
DEEDS = {
    Decision.APPROVE: Deed.APPROVED,
    Decision.REJECT: Deed.REJECTED,
    Decision.WITHDRAW: Deed.WITHDREW,
    TestStage.VENDOR: Deed.VENDOR_TESTED,
    TestStage.SITE: Deed.SITE_TESTED,
}


def make_report_view(
    site: Site,
    plan: Plan,
    history: History,
    trust: Trust,
    closure: Closure,
    files: Mapping[str, bytes],
    sealing_key: str,
) -> ReportView:
    """Gather the report. `files` are those of the bundle, by name; `sealing_key` is the closer's public key."""
    change = view(history, plan)
    versions = sorted({host.installed for host in plan.hosts if host.installed != plan.release.version})
    vendor = trust.vendor(plan.release.vendor)
    acts = history.of(Event.WAVE_STARTED, Event.HOST_REPORTED, Event.ROLLBACK_FINISHED, Event.ROLLBACK_INCOMPLETE)
    return ReportView(
        hospital=site.hospital,
        change=plan.change,
        kind=plan.kind,
        system=plan.release.system,
        system_name={"zh": plan.release.system, "en": plan.release.system},
        from_versions=tuple(versions),
        to_version=plan.release.version,
        vendor=vendor.name if vendor else _both(plan.release.vendor),
        reason=plan.reason,
        requester=_name(trust, plan.requester),
        window=ChangeWindow(plan.window.opens, plan.window.closes, plan.window.zone),
        started=acts[0].at if acts else None,
        finished=acts[-1].at if acts else None,
        closed=closure.closed,
        closed_by=_name(trust, closure.closed_by),
        state=history.state,
        ending=closure.ending,
        signers=tuple(sorted(_signers(site, trust, files), key=lambda signer: (signer.at, signer.record))),
        waves=tuple(_waves(plan, change)),
        probes=tuple(_probes(plan, history)),
        soak_seconds=plan.soak.seconds,
        measurements=sum(e.data["measurements"] for e in history.of(Event.WAVE_JUDGED, Event.SOAK_MEASURED)),
        rollback=_rollback(history, change, trust),
        left_behind=tuple(_left_behind(change, trust)),
        timeline=tuple(_timeline(history.entries)),
        plan=plan.digest,
        manifest=plan.release.manifest,
        builds=plan.release.builds,
        journal=closure.journal,
        entries=closure.entries,
        trust_version=closure.trust_version,
        versions=plan.versions,
        seal=ReportedSeal(
            bundle=f"{plan.change}.evidence.tar",
            sealed_by=closure.closed_by,
            fingerprint=site.signatures.fingerprint(sealing_key),
            root_fingerprints=(str(site.trust.fingerprint()),),
        ),
        written=closure.closed,
    )


def _both(text: str) -> Mapping[str, str]:
    return {"zh": text, "en": text}


def _name(trust: Trust, id: str) -> Mapping[str, str]:
    person = trust.person(id)
    return person.name if person else _both(id)


def _signers(site: Site, trust: Trust, files: Mapping[str, bytes]) -> Iterable[Signer]:
    """Everybody whose signed record lies in the bundle. Records that can't be read are not shown as signatures."""
    for path, content in files.items():
        if kind_of_file(path) is not None:
            with suppress(Refused):
                yield _signer(site, trust, read_any_record(content, path), path)


def _signer(site: Site, trust: Trust, record: Record, path: str) -> Signer:
    match record:
        case ApprovalRecord():
            deed = DEEDS[record.decision]
        case TestRecord():
            deed = DEEDS[record.stage]
        case AcceptanceRecord():
            deed = Deed.ACCEPTED
        case DebtRecord():
            deed = Deed.ANSWERED
    person = trust.person(hand_of(record))
    key = person.keys[0].public if person and person.keys else ""
    return Signer(
        person=record.person,
        name=_name(trust, record.person),
        role=record.role,
        deed=deed,
        at=record.issued,
        fingerprint=site.signatures.fingerprint(key) if key else "",
        reason=record.reason,
        record=path,
        custodian=_name(trust, record.custodian) if isinstance(record, PaperRecord) else None,
    )


def _waves(plan: Plan, change: Change) -> Iterable[ReportedWave]:
    for wave in plan.waves:
        state = change.waves[wave.number]
        yield ReportedWave(
            number=wave.number,
            name=wave.name,
            started=state.started,
            finished=state.finished,
            verdict=Verdict(state.verdict) if state.verdict else None,
            hosts=tuple(_host(plan, change.hosts[name]) for name in wave.hosts),
        )


def _host(plan: Plan, state: HostState) -> ReportedHost:
    planned = plan.host(state.name)
    return ReportedHost(
        name=state.name,
        address=planned.address,
        outcome=state.outcome,
        from_version=planned.installed,
        current=state.current,
        downtime_ms=state.downtime_ms or None,
        detail=state.detail,
    )


def _probes(plan: Plan, history: History) -> Iterable[ReportedProbe]:
    """Every probe with what it saw after the waves, host by host."""
    places: dict[str, list[Place]] = {probe.name: [] for probe in plan.probes}
    for entry in history.of(Event.WAVE_JUDGED):
        for value in entry.data["places"]:
            place = plain.from_plain(Place, value)
            places[place.probe].append(place)
    for probe in plan.probes:
        seen = places[probe.name]
        yield ReportedProbe(
            name=probe.name,
            kind=probe.kind,
            question=question(probe),
            login=probe.login,
            verdict=_worst([place.verdict for place in seen]),
            places=tuple(seen),
        )


def question(probe: Probe) -> str:
    """What a probe asks, in one line."""
    expected = [str(part) for part in (probe.expect_status, probe.expect_text) if part is not None]
    match probe.kind:
        case ProbeKind.HTTP:
            asked = f"{probe.method or 'GET'} {probe.url}"
        case ProbeKind.TCP:
            asked = f"tcp {probe.address}:{probe.port}"
        case ProbeKind.COMMAND:
            asked = str(probe.run)
    return " → ".join([asked, *([" ".join(expected)] if expected else [])])


def _worst(verdicts: Iterable[Verdict]) -> Verdict:
    found = set(verdicts)
    worst_first = (Verdict.UNSTABLE, Verdict.INCONCLUSIVE, Verdict.STABLE)
    return next((verdict for verdict in worst_first if verdict in found), Verdict.INCONCLUSIVE)


def _rollback(history: History, change: Change, trust: Trust) -> ReportedRollback | None:
    started = history.last(Event.ROLLBACK_STARTED)
    if started is None:
        return None
    finished = history.last(Event.ROLLBACK_FINISHED, Event.ROLLBACK_INCOMPLETE)
    return ReportedRollback(
        because=started.data["because"],
        decided_by=started.actor,
        started=started.at,
        finished=finished.at if finished else None,
        restored=tuple(h.name for h in change.hosts.values() if h.outcome is HostOutcome.ROLLED_BACK),
        not_restored=tuple(host.name for host in change.not_restored),
    )


def _left_behind(change: Change, trust: Trust) -> Iterable[LeftBehind]:
    """The hosts that are not as they should be, and who answers for each: nobody, while nobody was named."""
    for host in change.left_behind:
        exception = change.exceptions.get(host.name)
        yield LeftBehind(
            host=host.name,
            outcome=host.outcome,
            owner=_name(trust, exception.owner) if exception else {"zh": "—", "en": "—"},
            due=f"{exception.due:%Y-%m-%d}" if exception else "—",
            reason=(exception and exception.reason) or host.detail,
        )


def _timeline(entries: Iterable[Entry]) -> Iterable[ReportedEntry]:
    for entry in entries:
        well = entry.event is Event.HOST_REPORTED and HostOutcome(entry.data["outcome"]) in GOOD
        if not well:
            facts = {key: _shown(value) for key, value in entry.data.items() if _is_fact(key, value)}
            yield ReportedEntry(seq=entry.seq, at=entry.at, actor=entry.actor, event=entry.event, facts=facts)


def _is_fact(key: str, value: object) -> bool:
    return key not in ("places", "fields") and value not in ("", [], {}, 0)


def _shown(value: object) -> str:
    if isinstance(value, list):
        shown = ", ".join(str(item) for item in value[:8])
        return shown + (f" … ({len(value)})" if len(value) > 8 else "")
    return str(value)[:200]
