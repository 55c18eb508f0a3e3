"""What people read on the terminal: lines and small tables, in their language."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from textwrap import wrap
from typing import Any
from zoneinfo import ZoneInfo

from upgrader.domain.approval.authorization import Standing
from upgrader.domain.approval.record import PaperRecord
from upgrader.domain.approval.trust import Trust
from upgrader.domain.changes.change import Change, HostState
from upgrader.domain.changes.demand import Deadline
from upgrader.domain.changes.late import Late
from upgrader.domain.changes.plan import UNKNOWN, Plan, Wave
from upgrader.domain.changes.playbook import HostOutcome
from upgrader.domain.hospital.calendar import Answer
from upgrader.domain.releases.build_facts import BuildFacts
from upgrader.domain.releases.release import Build
from upgrader.flow.closing.soak import Soaked
from upgrader.flow.releases.stage import Staged
from upgrader.flow.watching.pending import Pending
from upgrader.language import Texts
from upgrader.render.correction import statements
from upgrader.render.database import database_lines
from upgrader.render.deadline import deadline

Lines = Sequence[Any]
GOOD = frozenset({HostOutcome.UPGRADED, HostOutcome.UNCHANGED})
MARKS = {
    HostOutcome.UPGRADED: "✓",
    HostOutcome.UNCHANGED: "✓",
    HostOutcome.ROLLED_BACK: "↩",
    HostOutcome.NOT_RUN: "·",
}
MOST_HOSTS = 40
MOST_REASONS = 10
WIDTH = 72  # a Chinese character is two columns wide


def staged(staged: Staged, texts: Texts) -> Lines:
    release = staged.release
    return [
        texts("staged.head", name=release.name, files=staged.files, size=size(staged.size), vendor=release.vendor),
        _signed_line(staged, texts),
        f"  ✓ {texts('staged.whole')}",
        f"  ✓ {texts('staged.follows', follows=_versions(release.follows, texts))}",
        f"  {release.summary[texts.language]}",
        *[line for build in release.builds for line in _build_lines(build, staged.seen[build.file], texts)],
        *([f"  ! {texts('staged.older', newest=staged.newest)}"] if staged.newest else []),
        *([f"  = {texts('staged.was-there')}"] if staged.was_there else []),
    ]


def _signed_line(staged: Staged, texts: Texts) -> str:
    if staged.release.packager is None:
        return f"  ✓ {texts('staged.signed', fingerprint=staged.signed_by)}"
    return f"  ! {texts('staged.repackaged', person=staged.release.packager, fingerprint=staged.signed_by)}"


def _build_lines(build: Build, facts: BuildFacts, texts: Texts) -> Iterator[str]:
    told = texts("staged.build", file=build.file, form=facts.kind, files=facts.files, size=size(facts.total_bytes))
    yield f"  {told}"
    if facts.says:
        yield f"    {'   '.join(f'{name} {value}' for name, value in facts.says.items())[:76]}"
    for signature in facts.signatures:
        parts = [texts(f"signature.{signature.state}"), signature.signer, signature.signed_at, signature.detail]
        yield f"    {texts(f'scheme.{signature.scheme}')}: {', '.join(part for part in parts if part)}"


def plan(plan: Plan, texts: Texts) -> Lines:
    """The plan as people sign it: what, where, in which order, when, how long, and what they should know."""
    old = sorted({host.installed for host in plan.hosts if host.installed != plan.release.version})
    return [
        texts(
            "plan.head" if plan.release.correction is None else "plan.head-correction",
            change=plan.change,
            system=plan.release.system,
            old=_versions(old, texts),
            new=plan.release.version,
            digest=plan.digest.short,
            revision=plan.revision,
        ),
        f"  {texts('plan.reason')}: {plan.reason}",
        f"  {texts('plan.requester')}: {plan.requester}   {texts('plan.kind')}: {texts(f'kind.{plan.kind}')}",
        *[_wave_line(wave, plan, texts) for wave in plan.waves],
        *(statements(plan.release.correction, texts) if plan.release.correction else ()),
        *(database_lines(plan.release.database, texts) if plan.release.database else ()),
        *([f"  {texts(f'work.{code}', **told)}" for code, told in plan.release.work.told] if plan.release.work else ()),
        f"  {texts('plan.window')}: {local(plan.window.opens, plan.window.zone)} → "
        f"{local(plan.window.closes, plan.window.zone)} ({plan.window.zone})",
        *([f"  {_late_line(plan.late, texts)}"] if plan.late else []),
        f"  {texts('plan.downtime', seconds=plan.release.downtime_seconds)}",
        f"  {texts('plan.soak', seconds=plan.soak.seconds, then=texts(f'unstable.{plan.soak.when_unstable}'))}",
        f"  {texts('plan.stop', wave=plan.thresholds.failed_in_wave, all=plan.thresholds.failed_in_all)}",
        f"  {texts('plan.probes')}: {', '.join(probe.name for probe in plan.probes)}",
        *_affected_lines(plan, texts),
        *[f"  ! {number} {texts(f'note.{note.code}', **note.fields)}" for number, note in enumerate(plan.notes, 1)],
    ]


def _affected_lines(plan: Plan, texts: Texts) -> Iterator[str]:
    """The systems that stand on this one, where the inventory tells; no line is wider than the screen."""
    if plan.affects is None:
        return
    if not plan.affects:
        yield f"  {texts('plan.affects-none')}"
        return
    told = texts("plan.affects", count=len(plan.affects), systems=", ".join(plan.affects))
    yield from wrap(told, WIDTH, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)


def _late_line(late: Late, texts: Texts) -> str:
    hours, until = f"{late.starts}-{late.ends}", local(late.until, late.zone)
    return texts("plan.late", hours=hours, until=until, share=late.absent_at_most)


def foreseen(answer: Answer, texts: Texts) -> Lines:
    """What the calendar has against a plan's window, as a hint; nothing when nothing is in the way."""
    frozen = [texts("calendar.plan-frozen", rule=rule.name[texts.language]) for rule in answer.frozen_by]
    closed = [
        texts("calendar.plan-closed", group=texts("calendar.everything") if group == "*" else group)
        for group in answer.closed
    ]
    return [f"  ! {line}" for line in (*frozen, *closed)]


def standing(standing: Standing, plan: Plan, trust: Trust, texts: Texts) -> Lines:
    """Who signed, who is missing, what was refused and why, and whether the change may run."""
    lines = [texts("approvals.head", change=standing.change, digest=standing.plan.short, release=plan.release_name)]
    for signed in standing.counted:
        if signed.record is not None:
            person = trust.person(signed.record.person)
            name = person.name[texts.language] if person else signed.record.person
            lines.append(f"  ✓ {texts('approvals.signed', name=name, role=signed.record.role)}")
            if isinstance(signed.record, PaperRecord):
                lines.append(f"      {texts('approvals.on-paper', custodian=signed.record.custodian)}")
    if standing.paper_alone and standing.counted:
        lines.append(f"  … {texts('approvals.paper-alone')}")
    lines += [f"  ✗ {texts('approvals.rejected', person=person)}" for person in standing.rejected_by]
    lines += [f"  … {texts('approvals.missing', role=row.role, count=row.count)}" for row in standing.missing]
    lines += [f"  … {texts('approvals.test', test=texts(f'test.{test}'))}" for test in standing.tests_missing]
    if standing.people_missing and not standing.missing:
        lines.append(f"  … {texts('approvals.people', count=standing.people_missing)}")
    for file, fault in standing.left_out:
        told = texts(f"error.{fault.code}.what", **{**fault.fields, "file": file.rsplit("/", 1)[-1]})
        lines.append(f"  ✗ {told}")
    lines.append(texts("approvals.may" if standing.is_complete else "approvals.may-not"))
    return lines


def change(name: str, change: Change, texts: Texts, *, because: str = "") -> Lines:
    """One change: its state, why it stopped, and what every host ended as."""
    told = [f"{texts(f'outcome.{outcome}')} {count}" for outcome, count in sorted(change.counts.items())]
    lines: list[Any] = [
        texts("change.head", change=name, state=texts(f"state.{change.state}"), counts=" · ".join(told))
    ]
    if because:
        lines.append(f"  {texts('change.stopped', because=because)}")
    lines += [f"  ✗ {reason}" for reason in change.reasons[:MOST_REASONS]]
    if change.hosts:
        lines.append(_hosts_table(list(change.hosts.values()), texts))
    return lines


def changes(changes: Mapping[str, Change], due: Mapping[str, Deadline], texts: Texts) -> Lines:
    """All changes, a line each, and one more for those that somebody waits for by a day."""
    if not changes:
        return [texts("change.none")]
    lines = []
    for name, one in changes.items():
        lines.append(f"{name}  {texts(f'state.{one.state}')}")
        if name in due:
            lines.append(f"    {deadline(due[name], texts)}")
    return lines


def pending(found: Sequence[Pending], zone: str, texts: Texts) -> Lines:
    """Every host that was left behind: in which change, who answers for it, until when, and why."""
    if not found:
        return [texts("pending.none")]
    lines = []
    for one in found:
        exception = one.exception
        owner = texts("pending.owned", owner=exception.owner, due=local(exception.due, zone)) if exception else ""
        mark = "✗" if one.overdue or exception is None else "…"
        said = owner if exception else texts("pending.unowned")
        late = f"  {texts('pending.overdue')}" if one.overdue else ""
        lines.append(f"  {mark} {one.host}  {one.change}  {texts(f'outcome.{one.outcome}')}  {said}{late}")
        if exception:
            lines.append(f"      {exception.reason}")
        seen = texts("pending.last-seen", at=local(one.last_seen, zone)) if one.last_seen else ""
        if why := "  ".join(part for part in (one.detail, seen) if part):
            lines.append(f"      {why}"[:80])
    return lines


def soaked(name: str, soaked: Soaked, texts: Texts) -> Lines:
    if soaked.verdict is None and soaked.change.stopped_because:
        head = texts("soak.aborted", change=name, because=soaked.change.stopped_because)
    elif soaked.verdict is None:
        head = texts("soak.going-on", change=name, seconds=soaked.seconds_left)
    else:
        head = texts("soak.over", change=name, verdict=texts(f"verdict.{soaked.verdict}"))
    return [head, *[f"  ✗ {reason}" for reason in soaked.reasons[:20]]]


def size(count: int) -> str:
    """Bytes for people: `48.2 MB` (decimal, as vendors write it)."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def local(moment: datetime, zone: str) -> str:
    """An instant on the hospital's clock: `2026-11-21 23:00`."""
    return moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def _versions(versions: Sequence[str], texts: Texts) -> str:
    named = {"": texts("version.nothing"), UNKNOWN: texts("version.unknown")}
    return ", ".join(named.get(version, version) for version in versions) or "-"


def _wave_line(wave: Wave, plan: Plan, texts: Texts) -> str:
    count = len(wave.hosts)
    shown = ", ".join(wave.hosts[:4]) + (" …" if count > 4 else "")
    kind = texts("wave.canary" if wave.name == "canary" else "wave.wave")
    return f"  {texts('plan.wave', number=wave.number, kind=kind, count=count)}  {shown}"


def _hosts_table(hosts: Sequence[HostState], texts: Texts) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=True, header_style="dim", padding=(0, 1))
    for column in ("host", "wave", "outcome", "version", "downtime", "detail"):
        table.add_column(texts(f"column.{column}"), overflow="fold", no_wrap=column != "detail")
    ordered = sorted(hosts, key=lambda host: (host.outcome in GOOD, host.wave, host.name))
    for host in ordered[:MOST_HOSTS]:
        down = f"{host.downtime_ms / 1000:.1f} s" if host.downtime_ms else ""
        outcome = f"{MARKS.get(host.outcome, '✗')} {texts(f'outcome.{host.outcome}')}"
        table.add_row(host.name, str(host.wave), outcome, _versions([host.current], texts), down, host.detail[:60])
    if len(ordered) > MOST_HOSTS:
        table.add_row(texts("change.more-hosts", count=len(ordered) - MOST_HOSTS))
    return table
