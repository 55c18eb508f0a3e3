"""The application form (程序变更更新申请单): blocks of fields, each filled, missing with a reason, or left for a pen.

A pure function from what plan, request, release, records and journal say. It decides no rule of the gate.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from upgrader.domain.approval.record import Record, TestRecord, TestStage
from upgrader.domain.approval.trust import Row, Trust
from upgrader.domain.changes.forecast import Outlook
from upgrader.domain.changes.particulars import ChangeClass, ChangeType
from upgrader.domain.changes.plan import UNKNOWN, Plan
from upgrader.domain.changes.request import Kind, Request
from upgrader.domain.hospital.dependency import Graph
from upgrader.domain.names import SystemId
from upgrader.domain.papers.paper import PlanCode
from upgrader.domain.releases.release import Release

MOST_HOSTS, MOST_WAVES, MOST_STATEMENTS = 12, 8, 25


class Block(StrEnum):
    HEAD = "head"
    WHAT = "what"
    HOW = "how"
    TESTS = "tests"
    NOTICE = "notice"
    SIGNATURES = "signatures"
    AFTERWARDS = "afterwards"


class Field(StrEnum):
    """Every field of the form, in its order."""

    NUMBER = "number"
    DATE = "date"
    HOSPITAL = "hospital"
    SYSTEM = "system"
    REQUESTER = "requester"
    PROTECTION = "protection"
    TYPES = "types"
    CLASS = "class"
    VENDOR = "vendor"
    VERSIONS = "versions"
    REASON = "reason"
    CONTENTS = "contents"
    DIGESTS = "digests"
    AFFECTED = "affected"
    DEPARTMENTS = "departments"
    HOSTS = "hosts"
    WINDOW = "window"
    DOWNTIME = "downtime"
    STEPS = "steps"
    BACKUP = "backup"
    ROLLBACK = "rollback"
    DECIDES = "decides"
    REHEARSED = "rehearsed"
    RISK = "risk"
    CONTINGENCY = "contingency"
    VENDOR_TEST = "vendor-test"
    SITE_TEST = "site-test"
    NOTICE = "notice"
    TRAINING = "training"
    CARRIED_OUT = "carried-out"
    TIMES = "times"
    RESULTS = "results"
    VERIFIED = "verified"
    LEFT_BEHIND = "left-behind"
    ACCEPTED = "accepted"
    ARCHIVE = "archive"


BLOCKS: Mapping[Block, tuple[Field, ...]] = {
    Block.HEAD: tuple(Field)[: tuple(Field).index(Field.VERSIONS)],
    Block.WHAT: tuple(Field)[tuple(Field).index(Field.VERSIONS) : tuple(Field).index(Field.WINDOW)],
    Block.HOW: tuple(Field)[tuple(Field).index(Field.WINDOW) : tuple(Field).index(Field.VENDOR_TEST)],
    Block.TESTS: (Field.VENDOR_TEST, Field.SITE_TEST),
    Block.NOTICE: (Field.NOTICE, Field.TRAINING),
    Block.AFTERWARDS: tuple(Field)[tuple(Field).index(Field.CARRIED_OUT) :],
}


class Asked(StrEnum):
    """Who signs such a form by custom; the gate does not count them."""

    REQUESTER = "requester"
    SYSTEM_OWNER = "system-owner"
    TESTER = "tester"
    MEDICAL_AFFAIRS = "medical-affairs"
    NURSING = "nursing"
    FINANCE = "finance"
    MEDICAL_INSURANCE = "medical-insurance"
    DEPUTY_DIRECTOR = "deputy-director"


FUNCTIONAL = (Asked.MEDICAL_AFFAIRS, Asked.NURSING, Asked.FINANCE, Asked.MEDICAL_INSURANCE)


class Missing(StrEnum):
    """Why a field is empty."""

    ASKED = "asked"  # the requester says it, in request.yml
    TESTED = "tested"  # a signed test record says it
    AFTERWARDS = "afterwards"  # the change has not come so far; filled in by the journal, or by hand


Fields = Mapping[str, str | datetime]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text by its code and fields, to be said in the reader's language and on the hospital's clock."""

    code: str
    fields: Fields = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Boxes:
    """All values of a closed set, those that were chosen ticked."""

    family: str
    values: tuple[str, ...]
    chosen: frozenset[str]


Line = str | Phrase | Boxes


@dataclass(frozen=True, slots=True)
class FormField:
    """`ask` is the key under `form:` in request.yml that fills a missing field."""

    key: Field
    lines: tuple[Line, ...]
    missing: Missing | None = None
    ask: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A place for one signature. `signed` is the record that fills it; `needs_key` tells that ink would not count.

    `role` is what the hospital calls it, or None for one of `asked`, whom a hospital asks besides and no rule counts.
    """

    role: str | None
    asked: Asked | None = None
    name: str = ""
    signed: Record | None = None
    needs_key: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    change: str
    code: PlanCode
    made: datetime
    zone: str
    blocks: Mapping[Block, tuple[FormField, ...]]
    places: tuple[Place, ...]

    @property
    def takes_ink(self) -> bool:
        """Whether a place that the rule counts may be signed with a pen."""
        return any(place.role and not place.needs_key for place in self.places)

    @property
    def missing(self) -> tuple[FormField, ...]:
        """What somebody still has to say before people sign; what comes afterwards is not missing yet."""
        fields = [field for block in self.blocks.values() for field in block]
        return tuple(field for field in fields if field.missing in (Missing.ASKED, Missing.TESTED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that is known of a change when its form is made.

    `sm3` has the SM3 sum of each build by file name, where it could be computed. `records` are the approvals that
    count. `afterwards` is what the journal says once something ran.
    """

    language: str
    hospital: str
    made: datetime
    plan: Plan
    request: Request
    release: Release
    trust: Trust
    tests: tuple[TestRecord, ...]
    records: tuple[Record, ...]
    sm3: Mapping[str, str]
    afterwards: Mapping[Field, tuple[Line, ...]]
    systems: Graph = field(default_factory=lambda: Graph({}))  # as described in the inventory
    outlook: Outlook | None = None  # how long it takes, and until when it may begin


def make_form(known: Known) -> Form:
    """Fill every field of every block from what is known."""
    lines = {**_head(known), **_what(known), **_how(known), **_tests(known), **known.afterwards}
    blocks = {block: tuple(_field(key, lines.get(key, ())) for key in keys) for block, keys in BLOCKS.items()}
    plan = known.plan
    return Form(plan.change, PlanCode.of(plan), known.made, plan.window.zone, blocks, tuple(_places(known)))


ASKED: Mapping[Field, str] = {
    Field.PROTECTION: "protection_level",
    Field.TYPES: "types",
    Field.CLASS: "class",
    Field.VENDOR: "vendor_contact",
    Field.AFFECTED: "affected_systems",
    Field.DEPARTMENTS: "departments",
    Field.BACKUP: "backup",
    Field.DECIDES: "rollback_decides",
    Field.REHEARSED: "rehearsed",
    Field.RISK: "risk",
    Field.CONTINGENCY: "contingency",
    Field.NOTICE: "notice",
    Field.TRAINING: "training",
}


def _field(key: Field, lines: tuple[Line | None, ...]) -> FormField:
    """A line that is None is what the requester has not said; the lines that are known stand all the same."""
    there = tuple(line for line in lines if line)
    if there and None not in lines:
        return FormField(key, there)
    if key in BLOCKS[Block.AFTERWARDS]:
        return FormField(key, there, Missing.AFTERWARDS)
    if key in BLOCKS[Block.TESTS]:
        return FormField(key, there, Missing.TESTED)
    return FormField(key, there, Missing.ASKED, ASKED[key])


Lines = Mapping[Field, tuple[Line | None, ...]]


def _head(known: Known) -> Lines:
    plan, said = known.plan, known.request.particulars
    vendor = known.trust.vendor(plan.release.vendor)
    vendor_name = vendor.name[known.language] if vendor else str(plan.release.vendor)
    named = _system(known, plan.release.system)
    system = f"{named} / {said.module}" if said.module else named
    return {
        Field.NUMBER: (Phrase("number", {"change": plan.change, "revision": str(plan.revision)}),),
        Field.DATE: (Phrase("time", {"at": known.made}),),
        Field.HOSPITAL: (known.hospital,),
        Field.SYSTEM: (system,),
        Field.PROTECTION: (_choice("protection-level", said.protection_level),),
        Field.TYPES: (_ticked("change-type", ChangeType, [*said.types, *_type_of(plan.kind)]),),
        Field.CLASS: (_ticked("change-class", ChangeClass, _class_of(plan.kind, said.change_class)),),
        Field.REQUESTER: (name_of(known, plan.requester),),
        Field.VENDOR: (vendor_name, said.vendor_contact),
    }


def _type_of(kind: Kind) -> tuple[ChangeType, ...]:
    """What the kind of a change already says of its type."""
    return {Kind.EMERGENCY: (ChangeType.EMERGENCY,), Kind.DATA_FIX: (ChangeType.DATA,)}.get(kind, ())


def _class_of(kind: Kind, said: ChangeClass | None) -> tuple[ChangeClass, ...]:
    return (ChangeClass.EMERGENCY,) if kind is Kind.EMERGENCY else tuple(filter(None, [said]))


def _what(known: Known) -> Lines:
    plan, said, release = known.plan, known.request.particulars, known.release
    before = sorted({host.installed for host in plan.hosts if host.installed != plan.release.version})
    shown = ", ".join(host.name for host in plan.hosts[:MOST_HOSTS]) + (" …" if len(plan.hosts) > MOST_HOSTS else "")
    sums: list[Line] = []
    for build in plan.release.builds:
        sm3 = known.sm3.get(build.file)
        sums += [str(build.file), f"SHA-256 {build.sha256.hex}", f"SM3 {sm3}" if sm3 else Phrase("no-sm3")]
    files = [Phrase("build", {"file": b.file, "size": _size(b.size)}) for b in plan.release.builds]
    config = [Phrase("config", {"files": ", ".join(file.target for file in plan.release.config)})]
    return {
        Field.VERSIONS: (Phrase("versions", {"old": ", ".join(map(_version, before)), "new": plan.release.version}),),
        Field.REASON: (
            plan.reason,
            *([Phrase("downgrade", {"reason": known.request.downgrade})] if known.request.downgrade else []),
        ),
        Field.CONTENTS: (
            said.contents or release.summary[known.language],
            *files,
            *(config if plan.release.config else []),
            *_data(known),
        ),
        Field.DIGESTS: tuple(sums),
        Field.AFFECTED: _affected(known),
        Field.DEPARTMENTS: (said.departments,),
        Field.HOSTS: (Phrase("hosts", {"count": str(len(plan.hosts)), "hosts": shown}),),
    }


def _system(known: Known, system: SystemId) -> str:
    """What the hospital calls a system, with its id; the id alone where the inventory does not describe it."""
    described = known.systems.systems.get(system)
    return f"{described.name[known.language]} ({system})" if described else str(system)


def _affected(known: Known) -> tuple[Line | None, ...]:
    """What stands on this system, as the plan binds it, and what the requester says of interfaces."""
    affects, said = known.plan.affects, known.request.particulars.affected_systems
    if affects is None:
        return (said,)
    systems = ", ".join(_system(known, one) for one in affects)
    found = Phrase("affected", {"count": str(len(affects)), "systems": systems}) if affects else Phrase("none")
    return (found, *([said] if said else []))


def _owners(known: Known) -> Iterable[Line]:
    """Whose owners have to be told: those of this system, and of what stands on it."""
    if known.plan.affects:
        systems = (known.plan.release.system, *known.plan.affects)
        yield Phrase("notice-owners", {"systems": ", ".join(_system(known, one) for one in systems)})


def _stand_ins(known: Known) -> Iterable[Line]:
    for other in known.systems.stand_ins(known.plan.release.system):
        yield Phrase("stands-in", {"system": _system(known, other)})


def _data(known: Known) -> Iterable[Line]:
    """What becomes of the data; of a correction its rows, and its statements as they will run."""
    correction = known.plan.release.correction
    if correction is None:
        yield Phrase(f"data-{known.release.data}")
        if database := known.plan.release.database:
            yield Phrase("migrations", {"database": database.name, "migrations": database.shown_migrations})
        return
    rows = ", ".join(f"{table.name} {table.rows}" for table in correction.tables)
    yield Phrase("rows", {"database": correction.database, "rows": rows})
    yield from (line for line in correction.statements[:MOST_STATEMENTS] if line.strip())
    if len(correction.statements) > MOST_STATEMENTS:
        yield Phrase("more-statements", {"count": str(len(correction.statements))})


def _how(known: Known) -> Lines:
    plan, said = known.plan, known.request.particulars
    window: Fields = {"opens": plan.window.opens, "closes": plan.window.closes, "zone": plan.window.zone}
    limits = {"wave": str(plan.thresholds.failed_in_wave), "all": str(plan.thresholds.failed_in_all)}
    return {
        Field.WINDOW: (Phrase("window", window),),
        Field.DOWNTIME: (Phrase("downtime", {"seconds": str(plan.release.downtime_seconds)}),),
        Field.STEPS: (
            *(_wave(known, number) for number in range(len(plan.waves))[:MOST_WAVES]),
            *([Phrase("more-waves", {"count": str(len(plan.waves))})] if len(plan.waves) > MOST_WAVES else []),
            *(Phrase(*told) for told in (plan.release.work.told if plan.release.work else ())),
            Phrase("probes", {"probes": ", ".join(probe.name for probe in plan.probes)}),
            *([Phrase(*known.outlook.told_of_waves)] if known.outlook else []),
            Phrase("soak", {"minutes": f"{plan.soak.seconds / 60:g}"}),
        ),
        Field.BACKUP: (*_restore_point(plan), said.backup),
        Field.ROLLBACK: (
            Phrase("stops", limits),
            *([] if plan.release.correction else [Phrase("takes-itself-back", {"seconds": str(plan.confirm_seconds)})]),
            *([Phrase(*known.outlook.told_of_way_back)] if known.outlook else []),
            *([Phrase(plan.release.database.way_back)] if plan.release.database else []),
            Phrase(f"unstable-{plan.soak.when_unstable}"),
            *([said.rollback_trigger] if said.rollback_trigger else []),
        ),
        Field.DECIDES: (said.rollback_decides,),
        Field.REHEARSED: (said.rehearsed,),
        Field.RISK: (_choice("risk", said.risk),),
        Field.CONTINGENCY: (*_stand_ins(known), said.contingency),
        Field.NOTICE: (*_owners(known), said.notice),
        Field.TRAINING: (said.training,),
    }


def _restore_point(plan: Plan) -> Iterable[Line]:
    """By what data and program go back."""
    if plan.release.correction:
        yield Phrase("rows-kept")
    else:
        yield Phrase("kept", {"keep": str(plan.release.keep)})
    if database := plan.release.database:
        yield Phrase("restore-point", {"database": database.name, "tables": database.shown_tables})


def _wave(known: Known, number: int) -> Phrase:
    wave = known.plan.waves[number]
    shown = ", ".join(wave.hosts[:4]) + (" …" if len(wave.hosts) > 4 else "")
    code = "canary" if wave.name == "canary" else "wave"
    return Phrase(code, {"number": str(wave.number), "count": str(len(wave.hosts)), "hosts": shown})


def _tests(known: Known) -> Lines:
    fields = {TestStage.VENDOR: Field.VENDOR_TEST, TestStage.SITE: Field.SITE_TEST}
    wanted = known.trust.rule(known.plan.kind).tests
    lines: dict[Field, tuple[Line | None, ...]] = {
        fields[stage]: (Phrase("not-required"),) for stage in TestStage if stage not in wanted
    }
    for record in sorted(known.tests, key=lambda record: record.issued):
        told: Fields = {"name": name_of(known, record.person), "at": record.issued, "cases": record.cases}
        lines[fields[record.stage]] = (Phrase(f"test-{record.result}", told), *filter(None, [record.reason]))
    return lines


def _places(known: Known) -> Iterable[Place]:
    """The requester, who tested, every place of the rule, then those whom a hospital asks besides."""
    plan, said, trust = known.plan, known.request.particulars, known.trust
    yield Place(None, Asked.REQUESTER, name_of(known, plan.requester))
    yield Place(None, Asked.SYSTEM_OWNER, said.system_owner or "")
    for test in known.tests:
        yield Place(None, Asked.TESTER, name_of(known, test.person), test)
    free = [record for record in known.records if not isinstance(record, TestRecord)]
    for row in trust.rule(plan.kind).approvals:
        for _ in range(row.count):
            signed = next((record for record in free if record.role == row.role), None)
            if signed is not None:
                free.remove(signed)
            yield _place(known, row, signed)
    if said.change_class is ChangeClass.MAJOR:
        for asked in FUNCTIONAL:
            yield Place(None, asked)
    yield Place(None, Asked.DEPUTY_DIRECTOR)


def _place(known: Known, row: Row, signed: Record | None) -> Place:
    on_paper = known.trust.paper is not None and row.role in known.trust.paper.roles
    name = name_of(known, signed.person) if signed else ""
    role = known.trust.roles[row.role].name.get(known.language, row.role)
    return Place(role, None, name, signed, needs_key=not on_paper)


def name_of(known: Known, id: str) -> str:
    person = known.trust.person(id)
    return f"{person.name[known.language]} ({id})" if person else id


def _choice(family: str, value: StrEnum | None) -> Phrase | None:
    return None if value is None else Phrase(f"{family}-{value}")


def _ticked(family: str, values: Iterable[StrEnum], chosen: Iterable[StrEnum]) -> Boxes | None:
    """None when nothing was chosen."""
    ticked = frozenset(map(str, chosen))
    return Boxes(family, tuple(map(str, values)), ticked) if ticked else None


def _version(version: str) -> str:
    return {"": "-", UNKNOWN: "?"}.get(version, version)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
