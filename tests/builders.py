"""Values of one small hospital, whole and well formed: a test says only what is different in its own case."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from upgrader.domain.approval.authorization import Signed
from upgrader.domain.approval.record import (
    ApprovalRecord,
    Decision,
    Result,
    TestRecord,
    TestStage,
    plan_facts,
    record_name,
)
from upgrader.domain.approval.trust import Key, Organisation, Person, Repository, Role, Root, Row, Rule, Trust, Vendor
from upgrader.domain.changes.plan import Materials, Plan, PlannedHost, Versions, make_plan
from upgrader.domain.changes.request import ChangeWindow, Kind, Request, Soak, WaveSizes, WhenUnstable
from upgrader.domain.digest import Digest
from upgrader.domain.names import ChangeId, FileName, HostName, PersonId, RoleId, SiteId, SystemId, Version
from upgrader.domain.releases.database import DataPromise
from upgrader.domain.releases.probe import Probe, ProbeKind
from upgrader.domain.releases.release import (
    Build,
    ConfigFile,
    Health,
    Release,
    Service,
    Strategy,
    Thresholds,
)

CHANGE = ChangeId("CHG-2026-0142")
OPENS = datetime(2026, 11, 21, 15, tzinfo=UTC)
CLOSES = OPENS + timedelta(hours=4)
NOW = OPENS + timedelta(minutes=10)
SIGNED = OPENS - timedelta(days=2)  # when the signers signed
OLD, NEW = "3.1.9", "3.5.10"

INFORMATION, DEPARTMENT = RoleId("information-department"), RoleId("department-head")
VENDOR_TESTER, SITE_ENGINEER = RoleId("vendor-tester"), RoleId("site-engineer")
REQUESTER = PersonId("li.na")  # works in the information department
INFORMATICIAN = PersonId("wang.fang")
HEAD = PersonId("zhao.min")
BOTH = PersonId("chen.jie")  # holds two roles
RETIRED = PersonId("sun.li")  # no longer active
TESTER = PersonId("ma.chao")
ENGINEER = PersonId("liu.yang")
VENDOR = PersonId("kangjian-software")


def make_probe(name: str = "login", **changes: object) -> Probe:
    probe = Probe(
        name=name,
        kind=ProbeKind.HTTP,
        interval_seconds=1,
        count=2,
        failures_allowed=0,
        timeout_seconds=5,
        login=True,
        url="http://{address}:5232/",
        expect_status=200,
    )
    return replace(probe, **changes)  # type: ignore[arg-type] # the test names the fields it means


def make_release(**changes: object) -> Release:
    release = Release(
        system=SystemId("exam-scheduling"),
        version=Version(NEW),
        vendor=VENDOR,
        released="2026-11-10",
        summary={"zh": "排班更快", "en": "faster scheduling"},
        follows=("3.1.*", "3.5.*", ""),
        strategy=Strategy.ARCHIVE,
        data=DataPromise.KEEP,
        downtime_seconds=20,
        builds=(Build(FileName(f"exam-scheduling-{NEW}.tar.gz"), Digest.of(b"build"), 5),),
        documents=(),
        service=Service("exam-scheduling", "etc/exam-scheduling.service", "bin/service", 2),
        health=Health("bin/health", 20),
        config=(ConfigFile("etc/app.conf.in", "etc/app.conf"),),
        parameters={},
        keep=2,
        probes=(make_probe(),),
        thresholds=Thresholds(failed_in_wave=0, failed_in_all=0, unreachable_in_wave=1),
    )
    return replace(release, **changes)  # type: ignore[arg-type]


def make_request(**changes: object) -> Request:
    request = Request(
        change=CHANGE,
        kind=Kind.NORMAL,
        system=SystemId("exam-scheduling"),
        version=Version(NEW),
        reason="slow on Monday mornings",
        requester=REQUESTER,
        hosts="exam_scheduling",
        window=ChangeWindow(OPENS, CLOSES, "Asia/Shanghai"),
        waves=WaveSizes(canaries=1, size=2),
        soak=Soak(timedelta(hours=12), timedelta(minutes=30), WhenUnstable.HOLD),
    )
    return replace(request, **changes)  # type: ignore[arg-type]


def make_host(number: int, installed: str = OLD) -> PlannedHost:
    return PlannedHost(
        name=HostName(f"host-{number:02d}"),
        address=f"127.0.1.{number}",
        port=22,
        user="root",
        host_key="ssh-ed25519 AAAAC3",
        installed=installed,
        parameters={"root": "/opt", "port": "5232"},
    )


def make_materials(**changes: object) -> Materials:
    materials = Materials(
        site=SiteId("renmin-hospital"),
        repository="renmin-hospital/upgrades",
        revision=1,
        request=make_request(),
        request_digest=Digest.of(b"request"),
        release=make_release(),
        manifest=Digest.of(b"manifest"),
        checksums=Digest.of(b"checksums"),
        signature=Digest.of(b"signature"),
        tests=(Digest.of(b"test"),),
        tree=Digest.of(b"tree"),
        hosts=[make_host(number) for number in range(1, 6)],
        versions=Versions("0.1.0", "2.19.0", "3.11.7"),
    )
    return replace(materials, **changes)  # type: ignore[arg-type]


def plan_of(**changes: object) -> Plan:
    return make_plan(make_materials(**changes))


def make_key(owner: str) -> Key:
    return Key(
        public=f"ssh-ed25519 {owner.replace('.', '')} {owner}",
        valid_from=SIGNED - timedelta(days=300),
        valid_until=SIGNED + timedelta(days=300),
    )


def make_person(id: PersonId, organisation: Organisation, *roles: RoleId, active: bool = True) -> Person:
    return Person(
        id=id,
        name={"zh": "某人", "en": id},
        organisation=organisation,
        active=active,
        roles=roles,
        keys=(make_key(id),),
    )


def make_role(zh: str, en: str, organisation: Organisation) -> Role:
    return Role(name={"zh": zh, "en": en}, organisation=organisation)


def make_rule(**changes: object) -> Rule:
    rule = Rule(
        approvals=(Row(INFORMATION, 1), Row(DEPARTMENT, 1)),
        people=2,
        tests=(TestStage.VENDOR, TestStage.SITE),
        acceptance=(Row(DEPARTMENT, 1),),
        approval_hours=14 * 24,
    )
    return replace(rule, **changes)  # type: ignore[arg-type]


def make_emergency(**changes: object) -> Rule:
    """Less before, the rest within three days."""
    few = {"approvals": (Row(DEPARTMENT, 1),), "people": 1, "tests": (), "approval_hours": 24}
    return make_rule(**{**few, "window_hours": 12, "debt_hours": 72, **changes})


def make_trust(**changes: object) -> Trust:
    hospital, roles = Organisation.HOSPITAL, (INFORMATION, DEPARTMENT)
    trust = Trust(
        format="upgrader.trust/1",
        site=SiteId("renmin-hospital"),
        version=1,
        repository=Repository("renmin-hospital/upgrades", "ssh://git@127.0.0.1/upgrades.git", "main"),
        issued=SIGNED - timedelta(days=30),
        expires=SIGNED + timedelta(days=300),
        root=Root(1, ("ssh-ed25519 root",)),
        roles={
            INFORMATION: make_role("信息科", "information department", hospital),
            DEPARTMENT: make_role("科主任", "department head", hospital),
            VENDOR_TESTER: make_role("公司测试部", "vendor's test department", Organisation.VENDOR),
            SITE_ENGINEER: make_role("驻场工程师", "on-site engineer", Organisation.MAINTENANCE),
        },
        people=(
            make_person(REQUESTER, hospital, INFORMATION),
            make_person(INFORMATICIAN, hospital, INFORMATION),
            make_person(HEAD, hospital, DEPARTMENT),
            make_person(BOTH, hospital, *roles),
            make_person(RETIRED, hospital, *roles, active=False),
            make_person(TESTER, Organisation.VENDOR, VENDOR_TESTER),
            make_person(ENGINEER, Organisation.MAINTENANCE, SITE_ENGINEER),
        ),
        vendors=(
            Vendor(
                id=VENDOR, name={"zh": "康健", "en": "Kangjian"}, systems=("exam-scheduling",), keys=(make_key(VENDOR),)
            ),
        ),
        rules={Kind.NORMAL.value: make_rule()},
    )
    return replace(trust, **changes)  # type: ignore[arg-type]


def make_approval(plan: Plan, person: str, role: str, /, **changes: object) -> ApprovalRecord:
    facts = plan_facts(plan)
    record = ApprovalRecord(
        format=ApprovalRecord.FORMAT,
        site=plan.site,
        repository=plan.repository,
        change=plan.change,
        revision=str(plan.revision),
        plan=plan.digest,
        decision=Decision.APPROVE,
        person=PersonId(person),
        role=RoleId(role),
        issued=SIGNED,
        expires=CLOSES,
        nonce=Digest.of(f"{person} {role}".encode()).hex[:32],
        reason="read and agreed",
        release=facts.release,
        hosts=facts.hosts,
        window=facts.window,
        downtime=facts.downtime,
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def make_test(plan: Plan, stage: TestStage, /, **changes: object) -> TestRecord:
    person, role = (TESTER, VENDOR_TESTER) if stage is TestStage.VENDOR else (ENGINEER, SITE_ENGINEER)
    record = TestRecord(
        format=TestRecord.FORMAT,
        site=plan.site,
        stage=stage,
        system=plan.release.system,
        version=plan.release.version,
        release=plan.release.manifest,
        result=Result.PASSED,
        cases="12 of 12",
        person=person,
        role=role,
        issued=SIGNED - timedelta(days=1),
        nonce=Digest.of(stage.encode()).hex[:32],
        reason="as in the test plan",
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def signed_approval(record: ApprovalRecord) -> Signed[ApprovalRecord]:
    return Signed(record_name(record), record)


def signed_tests(plan: Plan, stages: Iterable[TestStage] = tuple(TestStage)) -> list[Signed[TestRecord]]:
    return [Signed(record_name(record), record) for record in (make_test(plan, stage) for stage in stages)]


def enough_approvals(plan: Plan) -> Sequence[Signed[ApprovalRecord]]:
    """Exactly what the rule of `make_trust` asks for."""
    return [
        signed_approval(make_approval(plan, INFORMATICIAN, INFORMATION)),
        signed_approval(make_approval(plan, HEAD, DEPARTMENT)),
    ]
