"""What `--json` prints: one object per answer, with its format and version in `format`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from upgrader.domain import plain
from upgrader.domain.approval.authorization import Standing
from upgrader.domain.approval.record import PaperRecord, Record
from upgrader.domain.approval.trust import Row
from upgrader.domain.changes.change import Change
from upgrader.domain.changes.demand import Deadline
from upgrader.domain.changes.plan import Plan
from upgrader.domain.errors import ExitCode
from upgrader.flow.closing.soak import Soaked
from upgrader.flow.planning.request import Requested
from upgrader.flow.releases.draft import Drafted, Sealed
from upgrader.flow.releases.stage import Staged
from upgrader.flow.watching.pending import Pending
from upgrader.render.deadline import deadline_json

Json = Mapping[str, Any]


def staged_json(staged: Staged) -> Json:
    return {
        "format": "upgrader.staged/1",
        "system": staged.release.system,
        "version": staged.release.version,
        "files": staged.files,
        "bytes": staged.size,
        "signed_by": staged.signed_by,
        "was_there": staged.was_there,
        "packager": staged.release.packager,
        "newest": staged.newest,
        "builds": [
            {"file": build.file, "sha256": build.sha256.hex, **plain.to_plain(staged.seen[build.file])}
            for build in staged.release.builds
        ],
    }


def drafted_json(drafted: Drafted) -> Json:
    return {
        "format": "upgrader.drafted/1",
        "file": str(drafted.file),
        "system": drafted.proposal.system,
        "version": drafted.proposal.version,
        "strategy": drafted.proposal.strategy,
        "as": drafted.previous,
        "todos": drafted.todos,
    }


def sealed_json(sealed: Sealed) -> Json:
    return {
        "format": "upgrader.sealed/1",
        "folder": str(sealed.folder),
        "system": sealed.release.system,
        "version": sealed.release.version,
        "signed_by": sealed.signed_by,
    }


def requested_json(requested: Requested) -> Json:
    return {"format": "upgrader.requested/1", "change": requested.request.change, "file": requested.file}


def requested_joint_json(asked: Sequence[Requested]) -> Json:
    changes = [
        {
            "change": one.request.change,
            "system": one.request.system,
            "version": one.request.version,
            "only": one.request.only,
            "file": one.file,
        }
        for one in asked
    ]
    return {"format": "upgrader.requested-joint/1", "changes": changes}


def plain_record(record: Record) -> dict[str, Any]:
    """The fields of a record, as its text is filled in."""
    fields: dict[str, Any] = plain.to_plain(record)
    return fields


def record_json(record: Record) -> Json:
    return {"format": "upgrader.recorded/1", "record": plain_record(record)}


def plan_json(plan: Plan) -> Json:
    return {"format": "upgrader.planned/1", "digest": plan.digest.hex, "plan": plain.to_plain(plan)}


def standing_json(standing: Standing) -> Json:
    return {
        "format": "upgrader.approvals/1",
        "change": standing.change,
        "plan": standing.plan.hex,
        "may_run": standing.is_complete,
        "counted": [
            {"file": s.file, "person": s.record.person, "role": s.record.role, "attested_by": _custodian(s.record)}
            for s in standing.counted
            if s.record
        ],
        "left_out": [
            {"file": file, "code": fault.code, "fields": dict(fault.fields), "refuses_all": fault.tampered}
            for file, fault in standing.left_out
        ],
        "rejected_by": list(standing.rejected_by),
        "missing": [{"role": row.role, "count": row.count} for row in standing.missing],
        "people_missing": standing.people_missing,
        "tests_missing": list(standing.tests_missing),
    }


def _custodian(record: Record) -> str | None:
    """Who attested a word on paper; None for one given with a key."""
    return record.custodian if isinstance(record, PaperRecord) else None


def change_json(name: str, change: Change, *, exit_code: ExitCode) -> Json:
    return {
        "format": "upgrader.change/1",
        "change": name,
        "state": change.state,
        "exit_code": int(exit_code),
        "plan": change.plan_digest,
        "stopped_because": change.stopped_because,
        "reasons": list(change.reasons),
        "counts": {outcome.value: count for outcome, count in change.counts.items()},
        "hosts": [plain.to_plain(host) for host in change.hosts.values()],
        "waves": [plain.to_plain(wave) for wave in change.waves.values()],
    }


def changes_json(changes: Mapping[str, Change], due: Mapping[str, Deadline]) -> Json:
    listed = [
        {
            "change": name,
            "state": one.state,
            "counts": {o.value: count for o, count in one.counts.items()},
            "deadline": deadline_json(due.get(name)),
        }
        for name, one in changes.items()
    ]
    return {"format": "upgrader.changes/1", "changes": listed}


def pending_json(found: Iterable[Pending]) -> Json:
    listed = [
        {
            "change": one.change,
            "host": one.host,
            "outcome": one.outcome,
            "current": one.current,
            "exception": plain.to_plain(one.exception) if one.exception else None,
            "overdue": one.overdue,
            "why": one.detail,
            "last_seen": plain.to_plain(one.last_seen) if one.last_seen else None,
        }
        for one in found
    ]
    return {"format": "upgrader.pending/1", "pending": listed}


def soaked_json(name: str, soaked: Soaked) -> Json:
    return {
        "format": "upgrader.soaked/1",
        "change": name,
        "state": soaked.change.state,
        "verdict": soaked.verdict,
        "reasons": list(soaked.reasons),
        "seconds_left": soaked.seconds_left,
        "exit_code": int(soaked.exit_code),
    }


def rows(missing: Iterable[Row]) -> str:
    """Rows of a rule in one line: `information-department 1, owning-department 1`."""
    return ", ".join(f"{row.role} {row.count}" for row in missing)
