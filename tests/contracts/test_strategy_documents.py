"""release.yml of each strategy: what it says becomes a value, and what does not go together is told at its place."""

import pytest

from upgrader.adapters.documents import read_release
from upgrader.domain.digest import Digest
from upgrader.domain.errors import BadInput
from upgrader.domain.release import FilesTerms, HeldPackages, PackageTerms, ReplacedFile, UnfinishedPackages

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
