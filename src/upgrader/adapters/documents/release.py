"""release.yml: what the vendor says of one release, and how it becomes a Release."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from upgrader.adapters.documents.correction import CorrectionModel, correction_findings
from upgrader.adapters.documents.database import DatabaseModel, database_findings, promise_findings
from upgrader.adapters.documents.fields import (
    DAY,
    Bilingual,
    Day,
    File,
    Flag,
    Inside,
    InsideCommand,
    Label,
    PersonText,
    Sha256,
    System,
    VendorText,
    VersionText,
)
from upgrader.adapters.documents.models import (
    Finding,
    Model,
    at_least_one,
    chosen_by,
    no_two_alike,
    reads,
    repeated,
    written_as,
)
from upgrader.adapters.documents.reading import read_document
from upgrader.adapters.documents.strategy import FilesModel, PackageModel, strategy_findings
from upgrader.adapters.documents.values import matching, one_of, prose, seconds, text, whole, wrong
from upgrader.adapters.documents.work import InterfaceModel, JobModel, work_of
from upgrader.adapters.documents.yaml_nodes import Text, describe
from upgrader.domain.releases.build_kind import BuildKind, kind_of_name
from upgrader.domain.releases.database import DataPromise
from upgrader.domain.releases.probe import Probe, ProbeKind
from upgrader.domain.releases.release import (
    CONSUMED,
    NO_HEALTH,
    NO_SERVICE,
    Build,
    Busy,
    ConfigFile,
    Health,
    Release,
    Service,
    Strategy,
    Takes,
    Thresholds,
    WhenBusy,
)

RESERVED = frozenset({"release.yml", "sha256sums", "sha256sums.sig"})
OWN_PARAMETERS = frozenset({"root", "home", "shared", "version", "system"})  # the host fills these in
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})
FOLLOWS = re.compile(r"[0-9A-Za-z.+~_*?-]*[0-9A-Za-z][0-9A-Za-z.+~_*?-]*")
PLACEHOLDER = re.compile(r"\{[a-z][a-z0-9_]*\}")
LARGEST_BUILD = 64 * 1024**3


def read_release(content: bytes, file: str) -> Release:
    """Read a vendor's release.yml. Raises BadInput `document-invalid` with everything that is wrong with it."""
    return read_document(_Release, content, file, template_marks_allowed=False).model.to_domain()


def _predecessor(node: object) -> str:
    """A version, a pattern of versions, or "" for a host that has nothing yet; never a pattern that fits everything."""
    if isinstance(node, Text) and node == "" and node.written:
        return ""
    found = text(node)
    if len(found) > 64 or not FOLLOWS.fullmatch(found):
        raise wrong("wrong-form", expected='"3.1.9", "3.4.*", ""', found=describe(found))
    return found


def _beside(node: object) -> str:
    """A version of another system, or a pattern of versions."""
    found = _predecessor(node)
    if not found:
        raise wrong("wrong-form", expected='"5.1", "5.*"', found='""')
    return found


def _with_placeholders(node: object) -> str:
    """A text of a probe: whatever stands in braces is the name of a fact or of a site parameter."""
    found = text(node)
    if len(found) > 1000:
        raise wrong("text-too-long", expected=1000, found=len(found))
    if re.search(r"[{}]", PLACEHOLDER.sub("", found)):
        raise wrong("placeholder-not-allowed", expected="{address}", found=describe(found))
    return found


def _url(node: object) -> str:
    found = _with_placeholders(node)
    if not re.fullmatch(r"https?://[A-Za-z0-9._:{}\[\]-]+(/[!-~]*)?", found):
        raise wrong("wrong-form", expected="http://{address}:{port}/", found=describe(found))
    return found


def _port(node: object) -> str:
    found = _with_placeholders(node)
    return found if PLACEHOLDER.fullmatch(found) else str(whole(1, 65535)(node))


def _header_name(node: object) -> str:
    name: str = matching(r"[A-Za-z][A-Za-z0-9-]{0,60}", "Depth", str)(node)
    if name.lower() in SECRET_HEADERS:
        raise wrong("secret-not-allowed")
    return name


def _parameter_name(node: object) -> str:
    name: str = matching(r"[A-Za-z][A-Za-z0-9_]{0,63}", "result_timeout", str)(node)
    if name in OWN_PARAMETERS:
        raise wrong("wrong-value", expected=f"≠ {' | '.join(sorted(OWN_PARAMETERS))}", found=name)
    return name


def _default(node: object) -> str:
    """A vendor's default: one line, which may be empty when it is written as such."""
    return "" if isinstance(node, Text) and node == "" and node.written else prose(1000)(node)


Probed = Annotated[str, reads(_with_placeholders)]
Allowed = Annotated[int, reads(whole(0, 100_000))]


class _Build(Model):
    file: File
    sha256: Sha256
    size: Annotated[int, reads(whole(1, LARGEST_BUILD))]

    def findings(self) -> Iterator[Finding]:
        if self.file.lower() in RESERVED:
            yield Finding(("file",), "name-reserved", {"found": self.file})

    def to_domain(self) -> Build:
        return Build(self.file, self.sha256, self.size)


class _Service(Model):
    name: Annotated[str, reads(matching(r"[a-z0-9][a-z0-9._-]{0,63}", "exam-scheduling", str))]
    unit: Inside | None = None
    script: Inside | None = None
    settle: Annotated[int, reads(seconds(0, 600))]

    def findings(self) -> Iterator[Finding]:
        if self.unit is not None and not self.unit.endswith(".service"):
            yield Finding(("unit",), "wrong-form", {"expected": f"etc/{self.name}.service", "found": self.unit})

    def to_domain(self) -> Service:
        return Service(self.name, self.unit or "", self.script or "", self.settle)


class _Health(Model):
    command: InsideCommand
    timeout: Annotated[int, reads(seconds(1, 600))]

    def to_domain(self) -> Health:
        return Health(self.command, self.timeout)


class _Config(Model):
    source: Annotated[Inside, written_as("from")]
    target: Annotated[Inside, written_as("to")]


class _Busy(Model):
    command: InsideCommand
    wait: Annotated[int, reads(seconds(1, 600))]
    then: Annotated[WhenBusy, reads(one_of(WhenBusy))] = WhenBusy.DEFER
    notice: InsideCommand | None = None

    def findings(self) -> Iterator[Finding]:
        if self.then is WhenBusy.GO_ON and self.notice is None:  # nobody is cut off without a word
            yield Finding(("then",), "wrong-value", {"expected": "defer, or a notice", "found": self.then})

    def to_domain(self) -> Busy:
        return Busy(self.command, self.wait, self.then, self.notice)


class _Takes(Model):
    """For one host, as the vendor measured it."""

    upgrade: Annotated[int, reads(seconds(1, DAY))]
    rollback: Annotated[int, reads(seconds(1, DAY))]

    def to_domain(self) -> Takes:
        return Takes(self.upgrade, self.rollback)


class _Thresholds(Model):
    failed_in_wave: Allowed
    failed_in_all: Allowed
    unreachable_in_wave: Allowed

    def findings(self) -> Iterator[Finding]:
        if self.failed_in_all < self.failed_in_wave:
            fields = {"expected": f"≥ {self.failed_in_wave}", "found": self.failed_in_all}
            yield Finding(("failed_in_all",), "wrong-value", fields)


class _Probe(Model):
    name: Label
    interval: Annotated[int, reads(seconds(1, 3600))]
    count: Annotated[int, reads(whole(1, 1000))]
    failures_allowed: Allowed
    timeout: Annotated[int, reads(seconds(1, 300))]

    def findings(self) -> Iterator[Finding]:
        if self.failures_allowed >= self.count:
            fields = {"expected": f"0…{self.count - 1}", "found": self.failures_allowed}
            yield Finding(("failures_allowed",), "wrong-value", fields)


class _HttpProbe(_Probe):
    kind: Literal["http"]
    url: Annotated[str, reads(_url)]
    expect_status: Annotated[int, reads(whole(100, 599))]
    expect_text: Probed | None = None
    expect_sha256: Sha256 | None = None
    method: Annotated[str, reads(matching(r"[A-Z]{3,16}", "GET", str))] | None = None
    login: Flag = False
    user: Annotated[str, reads(matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "probe", str))] | None = None
    headers: dict[Annotated[str, reads(_header_name)], Probed] | None = None

    def findings(self) -> Iterator[Finding]:
        yield from super().findings()
        if self.login and self.user is None:
            yield Finding((), "login-without-user", {"key": "user"})
        if self.expect_sha256 is not None and self.expect_text is not None:  # one file is looked at in one way
            yield Finding(("expect_text",), "wrong-value", {"expected": "expect_sha256", "found": "expect_text"})

    def to_domain(self) -> Probe:
        return Probe(
            name=self.name,
            kind=ProbeKind.HTTP,
            interval_seconds=self.interval,
            count=self.count,
            failures_allowed=self.failures_allowed,
            timeout_seconds=self.timeout,
            login=self.login,
            url=self.url,
            method=self.method,
            user=self.user,
            headers=self.headers,
            expect_status=self.expect_status,
            expect_text=self.expect_text,
            expect_sha256=self.expect_sha256,
        )


class _TcpProbe(_Probe):
    kind: Literal["tcp"]
    address: Annotated[str, reads(matching(r"\{[a-z][a-z0-9_]*\}|[A-Za-z0-9.:-]{1,200}", "{address}", str))]
    port: Annotated[str, reads(_port)]

    def to_domain(self) -> Probe:
        return Probe(
            name=self.name,
            kind=ProbeKind.TCP,
            interval_seconds=self.interval,
            count=self.count,
            failures_allowed=self.failures_allowed,
            timeout_seconds=self.timeout,
            address=self.address,
            port=self.port,
        )


class _CommandProbe(_Probe):
    kind: Literal["command"]
    run: Probed
    expect_text: Probed | None = None
    login: Flag = False

    def to_domain(self) -> Probe:
        return Probe(
            name=self.name,
            kind=ProbeKind.COMMAND,
            interval_seconds=self.interval,
            count=self.count,
            failures_allowed=self.failures_allowed,
            timeout_seconds=self.timeout,
            login=self.login,
            run=self.run,
            expect_text=self.expect_text,
        )


AnyProbe = Annotated[_HttpProbe | _TcpProbe | _CommandProbe, chosen_by("kind")]


class _Release(Model):
    system: System
    version: VersionText
    vendor: VendorText
    packager: PersonText | None = None
    released: Day
    summary: Bilingual
    follows: Annotated[tuple[Annotated[str, reads(_predecessor)], ...], at_least_one(), no_two_alike()]
    strategy: Annotated[Strategy, reads(one_of(Strategy))]
    downtime: Annotated[int, reads(seconds(0, DAY))]
    takes: _Takes | None = None
    busy: _Busy | None = None
    interface: InterfaceModel | None = None
    job: JobModel | None = None
    data: Annotated[DataPromise, reads(one_of(DataPromise))]
    builds: Annotated[tuple[_Build, ...], at_least_one()]
    documents: tuple[_Build, ...] = ()
    service: _Service | None = None
    health: _Health | None = None
    config: tuple[_Config, ...] = ()
    parameters: dict[Annotated[str, reads(_parameter_name)], Annotated[str, reads(_default)]] | None = None
    package: PackageModel | None = None
    files: FilesModel | None = None
    keep: Annotated[int, reads(whole(1, 20))] | None = None
    database: DatabaseModel | None = None
    correction: CorrectionModel | None = None
    probes: Annotated[tuple[AnyProbe, ...], at_least_one()]
    thresholds: _Thresholds
    works_with: dict[System, tuple[Annotated[str, reads(_beside)], ...]] | None = None
    clients_first: Flag = False

    def findings(self) -> Iterator[Finding]:
        is_correction = self.strategy is Strategy.DATA_FIX
        yield from promise_findings(is_database=self.strategy is Strategy.DATABASE, promise=self.data)
        if self.strategy is Strategy.DATABASE and self.database is not None:
            yield from database_findings(
                self.database,
                [build.file for build in self.builds],
                [probe.name for probe in self.probes],
                has_service=self.service is not None,
            )
        others: dict[str, object] = {"service": self.service, "health": self.health, "config": self.config}
        others |= {"keep": self.keep, "interface": self.interface, "job": self.job}
        yield from correction_findings(
            is_correction=is_correction,
            correction=self.correction,
            follows=self.follows,
            others=others,
            needed=self._needed,
        )
        if is_correction or "service" not in self._needed or self.service is not None:
            yield from strategy_findings(
                self.strategy,
                self.version,
                [build.file for build in self.builds],
                self.service.unit if self.service else None,
                self.service.script if self.service else None,
                {Strategy.PACKAGE: self.package, Strategy.FILES: self.files, Strategy.DATABASE: self.database},
            )
        for n, build in enumerate(self.builds):
            if kind_of_name(build.file) not in CONSUMED[self.strategy]:
                expected = " | ".join(sorted(CONSUMED[self.strategy]))
                yield Finding(
                    ("builds", n, "file"),
                    "build-kind-not-for-strategy",
                    {"found": build.file, "strategy": self.strategy.value, "expected": expected},
                )
        files = [("builds", n, "file", b.file) for n, b in enumerate(self.builds)]
        files += [("documents", n, "file", b.file) for n, b in enumerate(self.documents)]
        yield from repeated(files)
        yield from repeated(("probes", n, "name", p.name) for n, p in enumerate(self.probes))
        yield from repeated(("config", n, "to", c.target) for n, c in enumerate(self.config))

    @property
    def _needed(self) -> tuple[str, ...]:
        """What a release that is no correction has to say. A client in packages may have nothing to start."""
        if self._is_database_alone:
            return ("keep",)
        return ("health", "keep") if self.strategy is Strategy.PACKAGE else ("service", "health", "keep")

    @property
    def _is_database_alone(self) -> bool:
        """Nothing but migrations: the program is elsewhere."""
        builds = {kind_of_name(build.file) for build in self.builds}
        return self.strategy is Strategy.DATABASE and BuildKind.TAR not in builds

    def to_domain(self) -> Release:
        return Release(
            system=self.system,
            version=self.version,
            vendor=self.vendor,
            released=self.released,
            summary=self.summary.as_mapping(),
            follows=self.follows,
            strategy=self.strategy,
            data=self.data,
            downtime_seconds=self.downtime,
            builds=tuple(build.to_domain() for build in self.builds),
            documents=tuple(document.to_domain() for document in self.documents),
            service=self.service.to_domain() if self.service else NO_SERVICE,
            health=self.health.to_domain() if self.health else NO_HEALTH,
            config=tuple(ConfigFile(config.source, config.target) for config in self.config),
            parameters=dict(self.parameters or {}),
            package=self.package.to_domain() if self.package else None,
            files=self.files.to_domain() if self.files else None,
            keep=self.keep or 1,
            probes=tuple(probe.to_domain() for probe in self.probes),
            thresholds=Thresholds(
                self.thresholds.failed_in_wave,
                self.thresholds.failed_in_all,
                self.thresholds.unreachable_in_wave,
            ),
            correction=self.correction.to_domain() if self.correction else None,
            packager=self.packager,
            takes=self.takes.to_domain() if self.takes else None,
            busy=self.busy.to_domain() if self.busy else None,
            database=self.database.to_domain(self.data) if self.database else None,
            work=work_of(self.interface, self.job),
            works_with=dict(self.works_with or {}),
            clients_first=self.clients_first,
        )
