"""Record a test: the vendor's test department or the on-site engineer signs the result for one exact release."""

import secrets
from dataclasses import dataclass

from upgrader.domain.approval.record import Namespace, Result, TestRecord, TestStage, record_name, write_record
from upgrader.domain.approval.trust import TESTERS, Person, Trust
from upgrader.domain.digest import Digest
from upgrader.domain.errors import BadInput, Refused
from upgrader.domain.names import RoleId, SystemId, Version
from upgrader.flow import repository
from upgrader.flow.identity import Hand, acting_person, sign_as
from upgrader.flow.releases.stage import MANIFEST
from upgrader.flow.site import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """What was tested, and how it went. `cases` is a short text such as `12 of 12`."""

    __test__ = False

    stage: TestStage
    system: SystemId
    version: Version
    result: Result
    cases: str
    reason: str


def record_test(site: Site, tested: TestResult) -> TestRecord:
    """Sign a test result and put it beside the release. Raises BadInput when the release was never staged."""
    person_id = acting_person(site)
    site.clone.pull()
    folder = repository.release_folder(tested.system, tested.version)
    manifest = site.clone.root / folder / MANIFEST
    if not manifest.exists():
        raise BadInput("release-not-staged", release=f"{tested.system} {tested.version}", file=f"{folder}/{MANIFEST}")
    trust = site.trust.load()
    record = TestRecord(
        format=TestRecord.FORMAT,
        site=trust.site,
        stage=tested.stage,
        system=tested.system,
        version=tested.version,
        release=Digest.of(manifest.read_bytes()),
        result=tested.result,
        cases=tested.cases,
        person=person_id,
        role=_testing_role(trust, trust.person(person_id), tested.stage, person_id),
        issued=site.clock(),
        nonce=secrets.token_hex(16),
        reason=tested.reason,
    )
    content = write_record(record)
    path = f"{folder}/{record_name(record)}"
    signature = sign_as(site, trust, Hand(person_id, record.role), content, Namespace.TEST_RECORD, path)
    repository.publish(
        site,
        {path: content, f"{path}.sig": signature},
        f"{tested.stage} of {tested.system} {tested.version}: {tested.result}",
    )
    return record


def _testing_role(trust: Trust, person: Person | None, stage: TestStage, person_id: str) -> RoleId:
    """The role in which this person may record this test: one of the tester's own organisation."""
    wanted = TESTERS[stage]
    roles = person.roles if person is not None and person.active else ()
    for role in roles:
        if trust.organisation_of(role) is wanted:
            return role
    raise Refused("role-not-held", person=person_id, role=f"{wanted} ({stage})", file="-")
