"""Inspect: look at systems, databases and interface services outside of any change, as far as the hospital allowed it.

`inspection.yml` on the protected branch says what is looked at; people of the hospital sign exactly that, for exactly
these hosts. Nothing is changed on a host, and no host is contacted that nobody allowed.
"""

import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from upgrader.domain.approval.authorization import Signed
from upgrader.domain.approval.record import InspectionRecord, Namespace, record_name, write_record
from upgrader.domain.approval.trust import Row, Trust, unfilled
from upgrader.domain.digest import Digest
from upgrader.domain.errors import BadInput, PreflightFailed, Refused
from upgrader.domain.hospital.inspection import (
    InspectionLog,
    Item,
    Round,
    Sighting,
    Target,
    find_risks,
    read_log,
    targets_digest,
)
from upgrader.domain.names import PersonId, RoleId
from upgrader.flow import repository
from upgrader.flow.approval.authorize import inspection_records
from upgrader.flow.identity import Hand, acting_person, sign_as
from upgrader.flow.site import Site
from upgrader.ports import InventoryHost, ProbedHost, Snapshot, Tree

FILE = "inspection.yml"
LONGEST_LEAVE = timedelta(days=366)
STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """All that inspection.yml asks for, on the hosts of the inventory beside it; `hosts` by the pattern of an item."""

    file: Digest
    items: Sequence[Item]
    hosts: dict[str, Sequence[InventoryHost]]
    tree: Tree
    snapshot: Snapshot

    @property
    def targets(self) -> Sequence[Target]:
        return [
            Target(
                round=item.round,
                system=item.system,
                probe=item.probe.name,
                host=host.name,  # type: ignore[arg-type]
                address=host.address,
                port=host.port,
                user=host.user,
                host_key=host.host_key,
                facts=host.parameters,
            )
            for item in self.items
            for host in self.hosts[item.hosts]
        ]

    @property
    def names(self) -> Sequence[str]:
        return sorted({host.name for hosts in self.hosts.values() for host in hosts})


@contextmanager
def agenda(site: Site) -> Iterator[Agenda]:
    """What the tip of the branch asks for. Raises BadInput: no inspection.yml, mistakes in it, a pattern of no host."""
    snapshot = site.mirror.refresh()
    content = snapshot.read(FILE)
    if content is None:
        raise BadInput("inspection-missing", file=FILE)
    items = site.documents.read_inspection(content, FILE)
    with site.export(snapshot) as tree:
        hosts = {item.hosts: site.inventory.resolve(tree.path, item.hosts) for item in items}
        if empty := [pattern for pattern, found in hosts.items() if not found]:
            raise BadInput("inspection-without-host", file=FILE, hosts=empty[0])
        yield Agenda(file=Digest.of(content), items=items, hosts=hosts, tree=tree, snapshot=snapshot)


def allow(site: Site, asked: Agenda, role: RoleId | None, expires: datetime, reason: str) -> InspectionRecord:
    """Sign that exactly this may be looked at until `expires`; commit the record and push it.

    Raises Refused: `inspection-without-rule`, `role-not-held`, `inspection-leave-too-long`.
    """
    person, trust = acting_person(site), site.trust.load()
    if not site.clock() < expires <= site.clock() + LONGEST_LEAVE:
        raise Refused("inspection-leave-too-long", expected=LONGEST_LEAVE.days, found=expires)
    record = InspectionRecord(
        format=InspectionRecord.FORMAT,
        site=trust.site,
        repository=trust.repository.id,
        file=asked.file,
        targets=targets_digest(asked.targets),
        hosts=" ".join(asked.names),
        person=person,
        role=_role(trust, person, role),
        issued=site.clock(),
        expires=expires,
        nonce=secrets.token_hex(16),
        reason=reason,
    )
    content, path = write_record(record), f"{repository.INSPECTIONS}/{record_name(record)}"
    signature = sign_as(site, trust, Hand(person, record.role), content, Namespace.INSPECTION, path)
    message = f"inspection allowed by {person} as {record.role}"
    site.clone.pull()
    repository.publish(site, {path: content, f"{path}.sig": signature}, message)
    return record


def check_allowed(site: Site, asked: Agenda) -> tuple[PersonId, ...]:
    """Who allowed exactly this, by the rule of the trust file. Raises Refused `inspection-not-allowed`, saying why."""
    trust = site.trust.load()
    site.trust.check_current(trust, site.clock())
    rows = _rows(trust)
    signed = inspection_records(site, trust, asked.snapshot)
    counted = [record for record in map(_untampered, signed) if record and _holds(site, trust, record, asked)]
    holders: dict[PersonId, frozenset[RoleId]] = {}
    for record in counted:
        holders[record.person] = holders.get(record.person, frozenset()) | {record.role}
    if missing := unfilled(rows, holders):
        raise Refused(
            "inspection-not-allowed",
            missing=", ".join(f"{row.role} {row.count}" for row in missing),
            changed=_changed(signed, asked),
        )
    return tuple(sorted(holders))


def inspect(site: Site, round: Round, *, as_baseline: bool) -> tuple[InspectionLog, Path]:
    """Look at everything of one round, compare with the baseline, and keep the log.

    1. what is asked for?   2. did the hospital allow exactly that?   3. look   4. judge   5. keep
    Raises what `agenda` and `check_allowed` raise before any host is contacted.
    """
    actor = acting_person(site)
    with agenda(site) as asked:
        items = [item for item in asked.items if item.round is round]
        if not items:
            raise BadInput("inspection-round-empty", file=FILE, round=round)
        people, began = check_allowed(site, asked), site.clock()
        sightings = tuple(_look(site, asked, items))
        baseline = latest_baseline(site, round)
        log = InspectionLog(
            format=InspectionLog.FORMAT,
            site=site.id,
            round=round,
            began=began,
            ended=site.clock(),
            actor=actor,
            file=asked.file,
            targets=targets_digest(asked.targets),
            authorized=people,
            sightings=sightings,
            risks=find_risks(items, sightings, baseline),
            baseline=as_baseline,
            compared=baseline.began if baseline else None,
        )
    return log, _keep(site, log)


def logs(site: Site, round: Round) -> Sequence[Path]:
    """The kept logs of a round, oldest first."""
    return sorted((site.state / "inspections" / round).glob("*.json"))


def latest_baseline(site: Site, round: Round) -> InspectionLog | None:
    """The newest log that a person made the baseline; None where nobody did. Raises Integrity for a damaged log."""
    for path in reversed(logs(site, round)):
        log = read_log(path.read_bytes(), path.name)
        if log.baseline:
            return log
    return None


def _look(site: Site, asked: Agenda, items: Sequence[Item]) -> Iterator[Sighting]:
    """Every probe once on each of its hosts. Two systems may name their probes alike: they are asked apart."""
    prober = site.prober(asked.tree)
    try:
        for item in items:
            once = replace(item.probe, count=1, failures_allowed=0)
            hosts = [_probed(host) for host in asked.hosts[item.hosts]]
            seen = {found.host: found for found in prober.measure_all([once], hosts)}
            for host in asked.hosts[item.hosts]:
                found = seen[host.name]
                yield Sighting.of(
                    item.system,
                    host.name,  # type: ignore[arg-type]
                    item.probe.name,
                    found.at,
                    found.reading,
                    found.detail,
                )
    finally:
        prober.close()


def _probed(host: InventoryHost) -> ProbedHost:
    facts = {"address": host.address, "root": host.root, **host.parameters}
    return ProbedHost(name=host.name, address=host.address, port=host.port, user=host.user, facts=facts)


def _rows(trust: Trust) -> tuple[Row, ...]:
    if trust.inspection is None:
        raise Refused("inspection-without-rule")
    return trust.inspection


def _role(trust: Trust, person_id: PersonId, chosen: RoleId | None) -> RoleId:
    person = trust.person(person_id)
    wanted = [row.role for row in _rows(trust)]
    held = [role for role in wanted if person is not None and person.active and role in person.roles]
    if not held or (chosen is not None and chosen not in held):
        raise Refused("role-not-held", person=person_id, role=chosen if held else ", ".join(wanted), file="-")
    return chosen or held[0]


def _untampered(signed: Signed[InspectionRecord]) -> InspectionRecord | None:
    """A record that may count; None for one that does not any more. Raises Refused for a forged one."""
    if signed.fault is not None:
        if signed.fault.tampered:
            raise Refused(signed.fault.code, **{**signed.fault.fields, "file": signed.file})
        return None
    return signed.record


def _holds(site: Site, trust: Trust, record: InspectionRecord, asked: Agenda) -> bool:
    person = trust.person(record.person)
    return (
        (record.site, record.repository) == (trust.site, trust.repository.id)
        and (record.file, record.targets) == (asked.file, targets_digest(asked.targets))
        and record.issued <= site.clock() < record.expires
        and person is not None
        and person.active
        and record.role in person.roles
    )


def _changed(signed: Sequence[Signed[InspectionRecord]], asked: Agenda) -> str:
    """What is not as it was when the last leave was given: the file, hosts by name, or what is known of a host."""
    records = sorted((one.record for one in signed if one.record), key=lambda record: record.issued)
    if not records:
        return "-"
    last, now = records[-1], set(asked.names)
    before = set(last.hosts.split())
    told = [f"+{name}" for name in sorted(now - before)] + [f"-{name}" for name in sorted(before - now)]
    if last.file != asked.file:
        told.append(FILE)
    elif not told and last.targets != targets_digest(asked.targets):
        told.append("inventory")
    return " ".join(told) or "-"


def _keep(site: Site, log: InspectionLog) -> Path:
    """Write a log under its time, whole or not at all; one that is there is never written over."""
    folder = site.state / "inspections" / log.round
    place = folder / f"{log.began.strftime(STAMP)}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, fresh = tempfile.mkstemp(dir=folder, prefix=".incoming-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(log.to_bytes())
            os.fsync(file.fileno())
        os.link(fresh, place)
        Path(fresh).unlink()
    except OSError as error:
        raise PreflightFailed("inspection-log-not-written", file=place, reason=error.strerror) from error
    return place
