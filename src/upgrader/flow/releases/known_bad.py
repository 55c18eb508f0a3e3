"""Known-bad: block a release for everybody, lift a block, and refuse what is blocked wherever it would be used.

The records lie on the protected branch, in `known-bad/SYSTEM/`, and stay: one that is taken away from there refuses
everything until it lies there again. The way back to a release is not its use, and is never refused.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from upgrader.domain.approval.authorization import Fault
from upgrader.domain.approval.claim import Claim
from upgrader.domain.approval.record import Namespace
from upgrader.domain.approval.trust import Trust
from upgrader.domain.changes.plan import Plan
from upgrader.domain.digest import Digest
from upgrader.domain.errors import BadInput, Refused
from upgrader.domain.names import PersonId, RoleId, SystemId, Version
from upgrader.domain.releases.known_bad import (
    Given,
    KnownBadRecord,
    Mark,
    Standing,
    Suspect,
    check_not_blocked,
    is_meant,
    known_bad_name,
    read_known_bad,
    spell_builds,
    standing_of,
    write_known_bad,
)
from upgrader.domain.releases.release import Release
from upgrader.flow import repository
from upgrader.flow.identity import Hand, acting_person, sign_as
from upgrader.flow.site import Site
from upgrader.ports import Signatures, Snapshot

FOLDER, MANIFEST = "known-bad", "release.yml"
RECORD = re.compile(r"known-bad/[a-z0-9-]+/(block|unblock)_[a-z0-9.-]+_[a-z0-9-]+_[0-9a-f]{32}\.json")


@dataclass(frozen=True, slots=True)
class Marked:
    """What was signed. `standings` are all blocks of the release after it."""

    records: Sequence[KnownBadRecord]
    standings: Sequence[Standing]


def suspect_of(release: Release, manifest: bytes, *never: PersonId) -> Suspect:
    """A release about to be used; `never` are people who asked for it or vouched for it."""
    excluded = {*never, *([release.packager] if release.packager else [])}
    builds = frozenset(build.sha256 for build in release.builds)
    return Suspect(release.name, Digest.of(manifest), builds, frozenset(excluded))


def suspect_in(plan: Plan) -> Suspect:
    """The release of a signed plan, which binds its manifest and its builds."""
    release, builds = plan.release, frozenset(build.sha256 for build in plan.release.builds)
    never = {plan.requester, *([release.packager] if release.packager else [])}
    return Suspect(f"{release.system} {release.version}", release.manifest, builds, frozenset(never))


def check_not_known_bad(site: Site, trust: Trust, snapshot: Snapshot, suspect: Suspect) -> None:
    """Raises Refused `known-bad` when this commit blocks the release; `known-bad-removed`, `file-not-known` and
    whatever a record is refused for when the folder is not as it must be: then nothing is known to be good.
    """
    check_not_blocked(suspect, read_given(site, trust, snapshot), trust, site.clock())


def check_plan_not_known_bad(
    signatures: Signatures, trust: Trust, files: Mapping[str, bytes], plan: Plan, at: datetime
) -> None:
    """The same for a plan of the past, by the files of `known-bad` as they lay on the branch then."""
    check_not_blocked(suspect_in(plan), given_by(signatures, trust, files, at), trust, at)


def read_given(site: Site, trust: Trust, snapshot: Snapshot) -> Mapping[str, Given]:
    """All records of the commit by file, oldest name first. Raises Refused for a folder that somebody bent."""
    files = {blob.path: blob.content for blob in snapshot.files(FOLDER)}
    gone = site.mirror.removed_records(snapshot.commit, FOLDER)
    if lost := [path for path in gone if RECORD.fullmatch(path) and path not in files]:
        raise Refused("known-bad-removed", file=", ".join(lost))
    return given_by(site.signatures, trust, files, site.clock())


def given_by(signatures: Signatures, trust: Trust, files: Mapping[str, bytes], at: datetime) -> Mapping[str, Given]:
    """The records among the files of `known-bad`, by path, as they stand at a time. Any other file refuses."""
    given = {}
    for path, content in sorted(files.items()):
        if not RECORD.fullmatch(path.removesuffix(".sig")) or path.removesuffix(".sig") not in files:
            raise Refused("file-not-known", change="-", file=path)
        if not path.endswith(".sig"):
            record = read_known_bad(content, path)
            if path != _path(record):
                raise Refused("record-misnamed", file=path, expected=_path(record))
            fault = _signature_fault(signatures, trust, record, content, files.get(f"{path}.sig", b""), at)
            given[path] = Given(path, Digest.of(content), record, fault)
    return given


def block_release(site: Site, system: SystemId, version: Version, reason: str, role: RoleId | None) -> Marked:
    """Sign that a staged release is bad, commit it and push it. From then on it is refused everywhere.

    Raises BadInput for a release that was never staged here, Refused for a person who could not be believed.
    """
    person, trust = acting_person(site), site.trust.load()
    site.clone.pull()
    suspect = _staged(site, system, version)
    record = KnownBadRecord(
        format=KnownBadRecord.FORMAT,
        site=trust.site,
        repository=trust.repository.id,
        mark=Mark.BLOCK,
        system=system,
        version=version,
        release=suspect.manifest,
        builds=spell_builds(suspect.builds),
        person=person,
        role=_role(trust, person, role, None),
        issued=site.clock(),
        nonce=secrets.token_hex(16),
        reason=reason,
    )
    _publish(site, trust, [record])
    return Marked((record,), _standings(site, trust, suspect))


def unblock_release(site: Site, system: SystemId, version: Version, reason: str, role: RoleId | None) -> Marked:
    """Sign that every standing block of a release no longer holds, as far as this person's word goes.

    Raises Refused `unblock-without-rule`, `own-block`, `role-not-held`; `not-known-bad` when nothing blocks it.
    """
    person, trust = acting_person(site), site.trust.load()
    if trust.known_bad is None:
        raise Refused("unblock-without-rule")
    site.clone.pull()
    suspect = _staged(site, system, version)
    blocks = [standing.block for standing in _standings(site, trust, suspect) if not standing.is_lifted]
    if not blocks:
        raise Refused("not-known-bad", release=suspect.name)
    if any(block.record.person == person for block in blocks):
        raise Refused("own-block", release=suspect.name, person=person)
    held = _role(trust, person, role, [row.role for row in trust.known_bad.unblock])
    records = [
        replace(
            block.record,
            mark=Mark.UNBLOCK,
            person=person,
            role=held,
            issued=site.clock(),
            nonce=secrets.token_hex(16),
            reason=reason,
            block=block.digest,
        )
        for block in blocks
    ]
    _publish(site, trust, records)
    return Marked(records, _standings(site, trust, suspect))


def known_bad(site: Site) -> Sequence[Standing]:
    """Every block of the branch, and where each stands. Raises Refused for a folder that somebody bent."""
    trust = site.trust.load()
    given = read_given(site, trust, site.mirror.refresh())
    blocks = [one for one in given.values() if one.record.mark is Mark.BLOCK]
    return [standing_of(block, given.values(), trust, site.clock()) for block in blocks]


def _signature_fault(
    signatures: Signatures, trust: Trust, record: KnownBadRecord, content: bytes, signature: bytes, at: datetime
) -> Fault | None:
    """Why the signature does not hold at that time. A block holds without one, for it can only make less happen."""
    person = trust.person(record.person)
    if person is None:
        return Fault("person-not-active", {"person": record.person})
    claim = Claim(
        content=content,
        signature=signature,
        namespace=Namespace.KNOWN_BAD,
        principal=person.id,
        keys=person.keys,
        file=_path(record),
        proof=trust.proof_of(record.role),
    )
    try:
        signatures.verify(claim, at)
    except Refused as error:
        return Fault(error.code, error.fields)
    return None


def _staged(site: Site, system: SystemId, version: Version) -> Suspect:
    """The release as the person's clone holds it, which was brought to the branch's tip just now."""
    path = f"{repository.release_folder(system, version)}/{MANIFEST}"
    file = site.clone.root / path
    if not file.exists():
        raise BadInput("release-not-staged", release=f"{system} {version}", file=path)
    content = file.read_bytes()
    return suspect_of(site.documents.read_release(content, path), content)


def _standings(site: Site, trust: Trust, suspect: Suspect) -> Sequence[Standing]:
    given = read_given(site, trust, site.mirror.refresh())
    meant = [one for one in given.values() if one.record.mark is Mark.BLOCK and is_meant(one.record, suspect)]
    return [standing_of(block, given.values(), trust, site.clock()) for block in meant]


def _publish(site: Site, trust: Trust, records: Sequence[KnownBadRecord]) -> None:
    files: dict[str, bytes] = {}
    for record in records:
        content, path = write_known_bad(record), _path(record)
        hand = Hand(record.person, record.role)
        files |= {path: content, f"{path}.sig": sign_as(site, trust, hand, content, Namespace.KNOWN_BAD, path)}
    first = records[0]
    repository.publish(site, files, f"{first.mark} {first.system} {first.version}, by {first.person} as {first.role}")


def _path(record: KnownBadRecord) -> str:
    return f"{FOLDER}/{record.system}/{known_bad_name(record)}"


def _role(trust: Trust, person_id: PersonId, chosen: RoleId | None, wanted: Sequence[RoleId] | None) -> RoleId:
    """The role in which this person speaks: any of theirs, or one of `wanted`. Raises Refused, BadInput."""
    person = trust.person(person_id)
    held = [role for role in (person.roles if person and person.active else ()) if wanted is None or role in wanted]
    if not held or (chosen is not None and chosen not in held):
        raise Refused("role-not-held", person=person_id, role=chosen or ", ".join(wanted or ("-",)), file="-")
    if chosen is None and len(held) > 1 and wanted is not None:
        raise BadInput("role-to-choose", person=person_id, roles=", ".join(held))
    return chosen or held[0]
