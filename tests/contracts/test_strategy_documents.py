"""release.yml of each strategy: what it says becomes a value, and what does not go together is told at its place."""

import pytest

from upgrader.adapters.documents import read_release
from upgrader.domain.digest import Digest
from upgrader.domain.errors import BadInput
from upgrader.domain.names import FileName
from upgrader.domain.releases.database import (
    DatabaseTerms,
    DataPromise,
    MainTable,
    Migration,
    Others,
    Product,
    RowsPromise,
    Way,
)
from upgrader.domain.releases.release import (
    NO_SERVICE,
    FilesTerms,
    HeldPackages,
    PackageTerms,
    ReplacedFile,
    UnfinishedPackages,
)

HEAD = """\
system: hl7-gateway
version: 2.1.0-1
vendor: lanxin-health
released: 2026-10-12
summary: {zh: 新增接口, en: more interfaces}
follows: ["2.0.*"]
downtime: 20s
data: keep
health: {command: usr/bin/hl7-health --quick, timeout: 20s}
keep: 2
probes: [{name: port, kind: tcp, address: h, port: 1, interval: 1s, count: 2, failures_allowed: 0, timeout: 3s}]
thresholds: {failed_in_wave: 0, failed_in_all: 0, unreachable_in_wave: 1}
parameters: {result_timeout: 60, banner: ""}
"""
PACKAGE = f"""{HEAD}\
strategy: package
builds:
  - {{file: hl7-gateway_2.1.0-1_amd64.deb, sha256: {"a" * 64}, size: 123}}
  - {{file: libhl7_1.4_all.deb, sha256: {"b" * 64}, size: 12}}
service: {{name: hl7-gateway, settle: 3s}}
package: {{name: hl7-gateway, held: lift, unfinished: repair, limit: 5m, lock_wait: 2m, restore: [var/lib/hl7]}}
"""
FILES = f"""{HEAD}\
strategy: files
builds: [{{file: hl7-gateway-2.1.0-1.tar.gz, sha256: {"a" * 64}, size: 123}}]
service: {{name: hl7-gateway, script: bin/service, settle: 3s}}
files:
  target: /srv/hl7
  version: VERSION
  replaces:
    bin/report: {"c" * 64}
    web/new.html: new
"""


def test_a_client_in_packages_may_have_nothing_to_start_and_is_looked_at_all_the_same() -> None:
    client = PACKAGE.replace("service: {name: hl7-gateway, settle: 3s}\n", "")

    assert read_release(client.encode(), "release.yml").service == NO_SERVICE
    with pytest.raises(BadInput) as refused:
        read_release(client.replace("package: {name: hl7-gateway", "package: {name: libhl7").encode(), "release.yml")
    assert "package-not-among-builds" in str(refused.value.problems)
    with pytest.raises(BadInput):
        read_release(FILES.replace("service: {name: hl7-gateway, script: bin/service, settle: 3s}\n", "").encode(), "f")


def test_packages_are_read() -> None:
    release = read_release(PACKAGE.encode(), "release.yml")

    assert release.package == PackageTerms(
        name="hl7-gateway",
        held=HeldPackages.LIFT,
        unfinished=UnfinishedPackages.REPAIR,
        restore=("var/lib/hl7",),
        limit_seconds=300,
        lock_seconds=120,
    )
    assert [build.file for build in release.builds] == ["hl7-gateway_2.1.0-1_amd64.deb", "libhl7_1.4_all.deb"]
    assert release.parameters == {"result_timeout": "60", "banner": ""}
    assert (release.service.unit, release.service.script, release.files) == ("", "", None)


def test_a_set_of_files_is_read() -> None:
    release = read_release(FILES.encode(), "release.yml")

    replaced = (ReplacedFile("bin/report", Digest("c" * 64)), ReplacedFile("web/new.html", None))
    assert release.files == FilesTerms("/srv/hl7", "VERSION", replaced)
    assert release.package is None


def test_files_go_into_the_installed_version_when_no_target_is_named() -> None:
    text = FILES[: FILES.index("files:\n")] + "files: {}\n"

    assert read_release(text.encode(), "release.yml").files == FilesTerms("", "", ())


@pytest.mark.parametrize(
    ("document", "good", "bad", "place", "code"),
    [
        (PACKAGE, "gateway_2.1.0-1_amd64", "gateway-2.1.0-1", "16:12", "wrong-form"),
        (PACKAGE, "gateway_2.1.0-1_amd64", "gateway_2.1.0-2_amd64", "19:17", "package-not-among-builds"),
        (PACKAGE, "package: {name: hl7-gateway", "package: {name: libhl7", "19:17", "package-not-among-builds"),
        (PACKAGE, "held: lift", "held: maybe", "19:36", "wrong-value"),
        (PACKAGE, "limit: 5m", "limit: 2h", "19:69", "wrong-value"),
        (PACKAGE, "[var/lib/hl7]", "[/var/lib/hl7]", "19:98", "path-not-allowed"),
        (PACKAGE, "[var/lib/hl7]", "[../hl7]", "19:98", "path-not-allowed"),
        (PACKAGE, "settle: 3s}", "unit: x.service, settle: 3s}", "18:36", "not-for-this-strategy"),
        (PACKAGE, "\npackage: {", "\nfiles: {}\npackage: {", "19:8", "not-for-this-strategy"),
        (PACKAGE, "\npackage: {", "\nfiles: {", "19:9", "unknown-key"),
        (PACKAGE, "_all.deb", "_all.tar.gz", "17:12", "build-kind-not-for-strategy"),
        (PACKAGE, "result_timeout", "result.timeout", "13:14", "wrong-form"),
        (PACKAGE, "result_timeout", "home", "13:14", "wrong-value"),
        (FILES, "/srv/hl7", "srv/hl7", "18:11", "wrong-form"),
        (FILES, "/srv/hl7", "/srv/../etc", "18:11", "wrong-form"),
        (FILES, "/srv/hl7", "/", "18:11", "wrong-form"),
        (FILES, "  version: VERSION\n", "", "18:3", "missing-key"),
        (FILES, "  target: /srv/hl7\n", "", "18:12", "not-for-this-strategy"),
        (FILES, "web/new.html: new", "web/new.html: old", "22:19", "wrong-form"),
        (FILES, "web/new.html", "../new.html", "22:5", "path-not-allowed"),
    ],
)
def test_what_does_not_go_together_is_told_at_its_place(
    document: str, good: str, bad: str, place: str, code: str
) -> None:
    assert document.count(good) == 1

    with pytest.raises(BadInput) as caught:
        read_release(document.replace(good, bad).encode(), "release.yml")

    assert (place, code) in [(f"{p.line}:{p.column}", p.code) for p in caught.value.problems]


DATABASE = f"""{HEAD.replace("data: keep", "data: restore")}\
strategy: database
builds:
  - {{file: hl7-gateway-2.1.0-1.tar.gz, sha256: {"a" * 64}, size: 123}}
  - {{file: 010-unit.sql, sha256: {"b" * 64}, size: 12}}
  - {{file: 020-index.sql, sha256: {"c" * 64}, size: 2000000}}
service: {{name: hl7-gateway, unit: etc/hl7-gateway.service, script: bin/service, settle: 3s}}
database:
  product: postgresql
  name: lis
  tables: [{{name: public.result, probe: port}}, {{name: public.message, rows: any}}]
  migrations:
    - {{sql: 010-unit.sql}}
    - {{command: bin/migrate --all}}
    - {{sql: 020-index.sql, transaction: false}}
  others: refuse
  lock_timeout: 5s
  statement_timeout: 10m
  limit: 2h
"""
ALONE = DATABASE.replace(f"  - {{file: hl7-gateway-2.1.0-1.tar.gz, sha256: {'a' * 64}, size: 123}}\n", "").replace(
    "    - {command: bin/migrate --all}\n", ""
)


def test_a_database_and_its_migrations_are_read() -> None:
    release = read_release(DATABASE.encode(), "release.yml")

    assert release.database == DatabaseTerms(
        product=Product.POSTGRESQL,
        name="lis",
        promise=DataPromise.RESTORE,
        tables=(
            MainTable("public.result", RowsPromise.SAME, "port"),
            MainTable("public.message", RowsPromise.ANY, ""),
        ),
        migrations=(
            Migration(Way.WHOLE, "", FileName("010-unit.sql")),
            Migration(Way.WHOLE, "bin/migrate --all"),
            Migration(Way.EACH, "", FileName("020-index.sql")),
        ),
        others=Others.REFUSE,
        lock_seconds=5,
        statement_seconds=600,
        limit_seconds=7200,
    )
    assert [build.file for build in release.shown] == ["010-unit.sql"]  # the large one is known by its digest alone
    assert release.database.tables_without_probe(release.probes) == ("public.message",)


def test_migrations_need_no_program() -> None:
    lines = [line for line in ALONE.splitlines() if not line.startswith(("service:", "health:"))]

    release = read_release("\n".join(lines).encode(), "release.yml")

    assert (release.service.name, release.health.command) == ("", "")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param(DATABASE.replace("data: restore", "data: keep"), "wrong-value", id="data stay, and are changed"),
        pytest.param(PACKAGE.replace("data: keep", "data: irreversible"), "wrong-value", id="nothing is changed"),
        pytest.param(DATABASE.replace("{sql: 010", "{sql: 011"), "not-among-builds", id="no such file"),
        pytest.param(DATABASE.replace("    - {sql: 010-unit.sql}\n", ""), "not-a-migration", id="never runs"),
        pytest.param(DATABASE.replace("probe: port", "probe: rows"), "probe-unknown", id="no such probe"),
        pytest.param(ALONE, "no-program-among-builds", id="a service without a program"),
        pytest.param(DATABASE.replace("- {command:", "- {sql: 020-index.sql, command:"), "missing-key", id="both"),
        pytest.param(DATABASE.replace("strategy: database", "strategy: files"), "not-for-this-strategy", id="files"),
        pytest.param(DATABASE.replace("unit: etc/hl7-gateway.service, ", ""), "missing-key", id="no unit"),
    ],
)
def test_what_does_not_go_together_with_a_database_is_told(text: str, code: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_release(text.encode(), "release.yml")

    assert code in [problem.code for problem in refused.value.problems]
