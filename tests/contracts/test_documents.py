"""What people write: every mistake is found at its line and column, all at once, and what we write reads back."""

import base64
import contextlib
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upgrader.adapters.documents import (
    Language,
    Settings,
    read_duration,
    read_policy,
    read_public_key,
    read_release,
    read_request,
    read_settings,
    write_duration,
    write_request,
    write_settings,
)
from upgrader.adapters.documents.policy_example import PolicyExample, policy_example
from upgrader.domain.approval.trust import Organisation, Repository, Role, Trust, read_trust
from upgrader.domain.changes.request import ChangeWindow, Kind, Request, Soak, WaveSizes, WhenUnstable
from upgrader.domain.errors import BadInput, ExitCode
from upgrader.domain.names import ChangeId, PersonId, SiteId, SystemId, Version
from upgrader.domain.releases.database import DataPromise

ISSUED = datetime(2026, 11, 22, 8, tzinfo=UTC)


def ed25519(number: int) -> str:
    """A well-formed public key; nobody holds the other half."""
    parts = (b"ssh-ed25519", bytes([number]) * 32)
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


ZHANG, WANG, CHEN, VENDOR, ROOT, SPARE = (ed25519(number) for number in range(1, 7))

RELEASE = f"""\
system: exam-scheduling
version: 3.5.10
vendor: lanxin-health
released: 2026-10-12
summary: {{zh: 修复重复预约, en: mends double bookings}}
follows: ["3.1.9", "3.4.*", ""]
strategy: archive
downtime: 20s
data: keep
builds: [{{file: exam-scheduling-3.5.10.tar.gz, sha256: {"a" * 64}, size: 123}}]
documents: [{{file: RELEASE-NOTES.md, sha256: {"b" * 64}, size: 1}}]
service: {{name: exam-scheduling, unit: etc/exam-scheduling.service, script: bin/service, settle: 2s}}
health: {{command: bin/health, timeout: 20s}}
config: [{{from: etc/radicale.conf.in, to: etc/radicale.conf}}]
keep: 2
probes:
  - {{name: port, kind: tcp, address: "{{address}}", port: "{{port}}", interval: 1s, count: 2, failures_allowed: 0,
     timeout: 3s}}
  - name: ordinary log-in
    kind: http
    login: true
    method: PROPFIND
    url: "http://{{address}}:{{port}}/probe/"
    user: probe
    headers: {{Depth: "0"}}
    expect_status: 207
    interval: 1s
    count: 2
    failures_allowed: 0
    timeout: 5s
  - name: version file
    kind: command
    run: "cat {{root}}/current/VERSION"
    expect_text: 3.5.10
    interval: 1s
    count: 1
    failures_allowed: 0
    timeout: 5s
thresholds: {{failed_in_wave: 0, failed_in_all: 0, unreachable_in_wave: 1}}
"""

REQUEST = """\
change: CHG-2026-0142
kind: normal
system: exam-scheduling
version: 1.10
reason: 缺陷 2291：号源重复预约
requester: li.na
hosts: exam_scheduling:!offline
window:
  opens: 2026-11-21 23:00
  closes: 2026-11-22 03:00
  zone: Asia/Shanghai
waves: {canaries: 1, size: 5}
soak: {duration: 30m, interval: 1m, when_unstable: hold}
"""

POLICY = f"""\
site: renmin-hospital
repository: {{id: renmin-hospital, url: /srv/git/site.git, branch: main}}
expires: 2027-11-22
root: {{threshold: 1, keys: ["{ROOT} root"]}}
roles: {{information-department: hospital, department-head: hospital, owning-department: hospital, vendor-test: vendor}}
people:
  - id: zhang.wei
    name: {{zh: 张伟, en: Zhang Wei}}
    organisation: hospital
    roles: [information-department]
    keys: ["{ZHANG} zhang.wei@desk"]
  - id: wang.fang
    name: {{zh: 王芳, en: Wang Fang}}
    organisation: hospital
    roles: [department-head]
    keys: [{{public: "{WANG}", valid_from: 2026-12-01, revoked: "2027-01-31T12:00:00Z"}}]
  - id: chen.jing
    name: {{zh: 陈静, en: Chen Jing}}
    organisation: hospital
    roles: [owning-department]
    keys: ["{CHEN}"]
vendors:
  - {{id: lanxin-health, name: {{zh: 蓝信医疗, en: Lanxin Health}}, systems: [exam-scheduling], keys: ["{VENDOR}"]}}
rules:
  normal:
    approvals: [{{role: information-department, count: 1}}, {{role: department-head, count: 1}}]
    people: 2
    tests: [vendor-test, site-test]
    acceptance: [{{role: owning-department, count: 1}}]
    approval_hours: 336
"""

PAPER = "paper: {custodian: information-department, roles: "

SETTINGS = """\
site: renmin-hospital
hospital: {zh: 人民医院, en: People's Hospital}
time_zone: Asia/Shanghai
language: zh
change_prefix: CHG
"""


def policy(content: bytes, file: str) -> Trust:
    return read_policy(content, file, version=1, issued=ISSUED)


GOOD: dict[str, tuple[str, Callable[[bytes, str], object]]] = {
    "release.yml": (RELEASE, read_release),
    "request.yml": (REQUEST, read_request),
    "policy.yml": (POLICY, policy),
    "upgrader.yml": (SETTINGS, read_settings),
}


def problems_of(file: str, content: bytes) -> list[tuple[str, str]]:
    with pytest.raises(BadInput) as caught:
        GOOD[file][1](content, file)
    assert caught.value.code == "document-invalid"
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.fields == {"file": file, "count": str(len(caught.value.problems))}
    return [(f"{problem.line}:{problem.column}", problem.code) for problem in caught.value.problems]


# file, what stands in the good document, what somebody wrote instead, where it is told, and as what
BAD = [
    # the form of the file
    ("request.yml", "kind: normal", "kind: 'normal", "2:7", "yaml-syntax"),
    ("request.yml", "kind: normal", "kind: normal: really", "2:13", "yaml-syntax"),
    ("request.yml", "  opens:", " opens:", "10:9", "yaml-syntax"),
    ("request.yml", "kind: normal", "kind：normal", "2:5", "full-width-colon"),
    ("request.yml", "waves: {canaries:", "waves: {canaries：", "12:17", "full-width-colon"),
    ("request.yml", "window:\n  opens:", "window:\n  closes: x\n  opens:", "11:3", "duplicate-key"),
    ("request.yml", "kind: normal", "kind: normal\nkind: emergency", "3:1", "duplicate-key"),
    ("request.yml", "kind: normal", 'kind: normal\n"kind": emergency', "3:1", "duplicate-key"),
    ("request.yml", "li.na\n", "&who li.na\n", "6:12", "alias-not-allowed"),
    ("request.yml", "li.na\n", "*who\n", "6:12", "alias-not-allowed"),
    ("request.yml", "waves: {", "waves: {<<: {size: 1}, ", "12:9", "merge-key-not-allowed"),
    ("request.yml", "version: 1.10", "version: !!float 1.10", "4:10", "tag-not-allowed"),
    ("request.yml", "kind: normal", "kind: !!python/name:os.system normal", "2:7", "tag-not-allowed"),
    ("request.yml", "change:", "%YAML 1.1\n---\nchange:", "1:1", "tag-not-allowed"),
    ("request.yml", "hold}\n", "hold}\n---\nkind: emergency\n", "14:1", "several-documents"),
    ("request.yml", "change:", "\ufeffchange:", "1:1", "byte-order-mark"),
    ("request.yml", "li.na\n", "li.\u200bna\n", "6:15", "hidden-character"),
    ("request.yml", "号源", "号\u202e源", "5:18", "hidden-character"),
    ("request.yml", "号源", "号\u2028源", "5:18", "hidden-character"),
    ("request.yml", "号源", "号\x85源", "5:18", "hidden-character"),
    ("request.yml", "kind: normal", "kind: normal # \u2066", "2:16", "hidden-character"),
    ("request.yml", "kind: normal", 'kind: "nor\\u200bmal"', "2:7", "hidden-character"),
    ("request.yml", "kind: normal", "kind:\tnormal", "2:6", "tab-not-allowed"),
    ("request.yml", "reason: 缺陷", "reason: |\n  缺陷", "5:9", "one-line-only"),
    ("request.yml", "waves: {", "waves: {" + "a: {" * 12 + "}" * 12 + ", ", "12:49", "too-deep"),
    # the keys
    ("request.yml", "kind: normal\n", "", "1:1", "missing-key"),
    ("request.yml", "  zone: Asia/Shanghai\n", "", "9:3", "missing-key"),
    ("request.yml", "kind: normal", "kind: normal\nforce: true", "3:1", "unknown-key"),
    ("request.yml", "size: 5", "sizes: 5, size: 5", "12:22", "unknown-key"),
    ("request.yml", "kind: normal", "? [kind]\n: normal\nkind: normal", "2:3", "wrong-type"),
    ("request.yml", "kind: normal", "kind:", "2:6", "empty-not-allowed"),
    ("request.yml", "kind: normal", "kind: null", "2:7", "empty-not-allowed"),
    ("request.yml", "缺陷 2291：号源重复预约", '" "', "5:9", "empty-not-allowed"),
    ("request.yml", "kind: normal", "kind: [normal]", "2:7", "wrong-type"),
    ("request.yml", "waves: {canaries: 1, size: 5}", "waves: 1", "12:8", "wrong-type"),
    ("request.yml", "waves: {canaries: 1, size: 5}", "waves:", "12:7", "empty-not-allowed"),
    # the values of a request
    ("request.yml", "CHG-2026-0142", "CHG-26-142", "1:9", "wrong-form"),
    ("request.yml", "kind: normal", "kind: no", "2:7", "wrong-value"),
    ("request.yml", "li.na", "李娜", "6:12", "wrong-form"),
    ("request.yml", "exam_scheduling:!offline", "-oProxyCommand=touch", "7:8", "wrong-form"),
    ("request.yml", "exam_scheduling:!offline", '"exam {{x}}"', "7:8", "wrong-form"),
    ("request.yml", "2026-11-21 23:00", "2026-11-31 23:00", "9:10", "wrong-form"),
    ("request.yml", "2026-11-21 23:00", "Saturday 23:00", "9:10", "wrong-form"),
    ("request.yml", "2026-11-21 23:00", "1026-11-21 23:00", "9:10", "wrong-value"),
    ("request.yml", "2026-11-22 03:00", "2026-11-21 23:00", "10:11", "closes-before-opens"),
    ("request.yml", "2026-11-22 03:00", "2026-11-25 03:00", "10:11", "window-too-long"),
    ("request.yml", "Asia/Shanghai", "Asia/Peking", "11:9", "time-zone-unknown"),
    ("request.yml", "Asia/Shanghai", "../../etc/passwd", "11:9", "time-zone-unknown"),
    ("request.yml", "size: 5", "size: 0", "12:28", "wrong-value"),
    ("request.yml", "size: 5", "size: 010", "12:28", "wrong-type"),
    ("request.yml", "size: 5", "size: 5.0", "12:28", "wrong-type"),
    ("request.yml", "30m", "30 minutes", "13:18", "wrong-form"),
    ("request.yml", "30m", "15d", "13:18", "wrong-value"),
    ("request.yml", "interval: 1m", "interval: 31m", "13:33", "wrong-value"),
    ("request.yml", "hold", "pray", "13:52", "wrong-value"),
    ("request.yml", "缺陷 2291", "缺" * 1001, "5:9", "text-too-long"),
    # a release
    ("release.yml", "zh: 修复", "zh: '{{ 修复 }}'", "5:25", "yaml-syntax"),
    ("release.yml", "archive", "'{{ archive }}'", "7:12", "template-mark"),
    ("release.yml", "archive", "archive # {% raw %}", "7:21", "template-mark"),
    ("release.yml", "archive", '"\\x7b\\x7barchive"', "7:11", "template-mark"),
    ("release.yml", "archive", "'{#'", "7:12", "template-mark"),
    ("release.yml", "3.5.10\nvendor", "3.5.10 beta\nvendor", "2:10", "wrong-form"),
    ("release.yml", "2026-10-12", "12.10.2026", "4:11", "wrong-form"),
    ("release.yml", ", en: mends double bookings", "", "5:10", "missing-key"),
    ("release.yml", '["3.1.9", "3.4.*", ""]', "[]", "6:10", "empty-not-allowed"),
    ("release.yml", '["3.1.9", "3.4.*", ""]', '["*"]', "6:11", "wrong-form"),
    ("release.yml", '["3.1.9", "3.4.*", ""]', "[3.1.9, 3.1.9]", "6:10", "duplicate-value"),
    ("release.yml", '["3.1.9", "3.4.*", ""]', "3.1.9", "6:10", "wrong-type"),
    ("release.yml", '["3.1.9", "3.4.*", ""]', "[3.1.9, ~]", "6:18", "empty-not-allowed"),
    ("release.yml", "strategy: archive", "strategy: magic", "7:11", "wrong-value"),
    ("release.yml", "downtime: 20s", "downtime: 20", "8:11", "wrong-form"),
    ("release.yml", "a" * 64, "a" * 63, "10:56", "wrong-form"),
    ("release.yml", "size: 123", "size: 0x7b", "10:128", "wrong-type"),
    ("release.yml", "file: exam", "file: ../exam", "10:17", "wrong-form"),
    ("release.yml", "file: RELEASE-NOTES.md", "file: SHA256SUMS", "11:20", "name-reserved"),
    ("release.yml", "file: RELEASE-NOTES.md", "file: Exam-scheduling-3.5.10.tar.gz", "11:20", "duplicate-value"),
    ("release.yml", "script: bin/service", "script: ../bin/service", "12:77", "path-not-allowed"),
    ("release.yml", "script: bin/service", "script: /bin/sh", "12:77", "path-not-allowed"),
    ("release.yml", "bin/health", "bin/health; reboot", "13:19", "path-not-allowed"),
    ("release.yml", "bin/health", "bin/health --x $(reboot)", "13:19", "wrong-form"),
    ("release.yml", "to: etc/", "to: etc//", "14:43", "path-not-allowed"),
    ("release.yml", "kind: tcp", "kind: icmp", "17:24", "wrong-value"),
    ("release.yml", "kind: tcp, ", "", "17:5", "missing-key"),
    ("release.yml", "count: 2, ", "count: 2, run: ls, ", "17:91", "unknown-key"),
    ("release.yml", '"{address}", port', '"{an address}", port', "17:38", "wrong-form"),
    ("release.yml", 'port: "{port}", i', "port: 70000, i", "17:57", "wrong-value"),
    ("release.yml", "name: version file", "name: Port", "31:11", "duplicate-value"),
    ("release.yml", "    user: probe\n", "", "19:5", "login-without-user"),
    ("release.yml", "Depth:", "Authorization:", "25:15", "secret-not-allowed"),
    ("release.yml", "http://{address}", "http://admin:pass@{address}", "23:10", "wrong-form"),
    ("release.yml", "login: true", "login: yes", "21:12", "wrong-value"),
    ("release.yml", "expect_status: 207", "expect_status: 700", "26:20", "wrong-value"),
    ("release.yml", "cat {root}", "awk '{print $1}'", "33:10", "placeholder-not-allowed"),
    ("release.yml", "count: 1\n    failures_allowed: 0", "count: 1\n    failures_allowed: 1", "37:23", "wrong-value"),
    ("release.yml", "failed_in_wave: 0", "failed_in_wave: 3", "39:48", "wrong-value"),
    (
        "release.yml",
        "builds: [",
        f"builds: [{{file: b.tar, sha256: {'a' * 64}, size: 1}}, ",
        "10:108",
        "one-build-only",
    ),
    ("release.yml", ".tar.gz", ".deb", "10:17", "build-kind-not-for-strategy"),
    ("release.yml", "strategy: archive", "strategy: windows", "10:17", "build-kind-not-for-strategy"),
    ("release.yml", "vendor: lanxin-health", "vendor: lanxin-health\npackager: Li Na", "4:11", "wrong-form"),
    # a policy
    ("policy.yml", "id: lanxin-health, ", "id: lanxin-health, packagers: [nobody], ", "23:3", "policy-weak"),
    ("policy.yml", "id: lanxin-health, ", "id: lanxin-health, packagers: [zhang.wei], ", "23:3", "policy-weak"),
    (
        "policy.yml",
        "id: lanxin-health, ",
        "id: lanxin-health, servers: [{address: s, host_key: 'MD5:aa'}], ",
        "23:58",
        "wrong-form",
    ),
    ("policy.yml", "hospital, department-head: hospital", "hospital, department-head: clinic", "5:60", "wrong-value"),
    (
        "policy.yml",
        "{information-department: hospital",
        "{Information: vendor, information-department: hospital",
        "5:9",
        "wrong-form",
    ),
    ("policy.yml", "[information-department]\n", "[information-department, vendor-test]\n", "10:37", "role-of-others"),
    ("policy.yml", "[department-head]", "[director]", "15:13", "role-unknown"),
    ("policy.yml", WANG, ZHANG, "16:12", "key-held-twice"),
    ("policy.yml", VENDOR, CHEN, "23:97", "key-held-twice"),
    ("policy.yml", ZHANG, ZHANG[:-8], "11:12", "key-damaged"),
    ("policy.yml", ZHANG, "ssh-dss AAAAB3NzaC1kc3MAAACBAP", "11:12", "key-type-not-allowed"),
    ("policy.yml", ZHANG, 'command=\\"x\\" ' + ZHANG, "11:12", "key-type-not-allowed"),
    ("policy.yml", "id: wang.fang", "id: zhang.wei", "12:9", "duplicate-value"),
    ("policy.yml", "valid_from: 2026-12-01", "valid_from: 2027-12-01", "16:12", "key-never-valid"),
    ("policy.yml", "threshold: 1", "threshold: 2", "4:19", "wrong-value"),
    ("policy.yml", "expires: 2027-11-22", "expires: 2026-11-22", "3:10", "wrong-value"),
    ("policy.yml", "url: /srv/git/site.git", "url: ext::sh -c reboot", "2:40", "wrong-form"),
    ("policy.yml", "  normal:", "  urgent:", "25:3", "wrong-value"),
    ("policy.yml", "people: 2", "people: 1", "27:13", "wrong-value"),
    ("policy.yml", "count: 1}, {", "count: 2}, {", "26:16", "rows-unfilled"),
    ("policy.yml", "[{role: owning-department, count: 1}]", "[]", "29:17", "empty-not-allowed"),
    ("policy.yml", "role: owning-department", "role: owner", "29:25", "role-unknown"),
    ("policy.yml", "approval_hours: 336", "approval_hours: 337", "30:21", "wrong-value"),
    (
        "policy.yml",
        "rules:\n",
        "paper: {custodian: keeper, roles: [department-head]}\nrules:\n",
        "24:20",
        "role-unknown",
    ),
    ("policy.yml", "rules:\n", f"{PAPER}[vendor-test]}}\nrules:\n", "24:52", "role-of-others"),
    ("policy.yml", "rules:\n", f"{PAPER}[information-department]}}\nrules:\n", "24:52", "duplicate-value"),
    ("policy.yml", "rules:\n", f"{PAPER}[]}}\nrules:\n", "24:51", "empty-not-allowed"),
    (
        "policy.yml",
        "information-department, count: 1}, {role: department-head",
        "vendor-test, count: 1}, {role: vendor-test",
        "26:16",
        "hospital-not-asked",
    ),
    # the settings
    ("upgrader.yml", "time_zone: Asia/Shanghai", "time_zone: Beijing", "3:12", "time-zone-unknown"),
    ("upgrader.yml", "language: zh", "language: de", "4:11", "wrong-value"),
    ("upgrader.yml", "change_prefix: CHG", "change_prefix: chg", "5:16", "wrong-form"),
    ("upgrader.yml", "change_prefix: CHG", "change_prefix: CHG\nforks: 501", "6:8", "wrong-value"),
    ("upgrader.yml", "change_prefix: CHG", "change_prefix: CHG\nfork: 5", "6:1", "unknown-key"),
]


@pytest.mark.parametrize(
    ("file", "good", "bad", "place", "code"), BAD, ids=[f"{row[0]}-{row[4]}-{n}" for n, row in enumerate(BAD)]
)
def test_a_mistake_is_told_at_its_place(file: str, good: str, bad: str, place: str, code: str) -> None:
    document = GOOD[file][0]
    assert good in document

    told = problems_of(file, document.replace(good, bad, 1).encode())

    assert (place, code) in told


@pytest.mark.parametrize(
    ("content", "place", "code"),
    [
        (b"", "0:0", "file-empty"),
        (b"# nothing but a comment\n", "0:0", "file-empty"),
        (b"- a\n- b\n", "1:1", "wrong-type"),
        ("change: CHG\nreason: 缺陷\n".encode("gbk"), "2:1", "not-utf-8"),
        ("kind: normal\n".encode("utf-16"), "1:1", "not-utf-8"),
        (b"a" * (256 * 1024 + 1), "0:0", "file-too-large"),
        (b"[" * 200_000, "1:13", "too-deep"),
    ],
    ids=["empty", "comment", "list", "gbk", "utf-16", "large", "deep"],
)
def test_a_file_that_is_no_document_is_told_as_such(content: bytes, place: str, code: str) -> None:
    told = problems_of("request.yml", content)

    assert told == [(place, code)]


@pytest.mark.parametrize("file", GOOD)
def test_the_good_documents_are_good(file: str) -> None:
    document, read = GOOD[file]

    assert read(document.encode(), file) == read(document.replace("\n", "\r\n").encode(), file)


def test_every_problem_is_told_at_once_in_the_order_of_the_file() -> None:
    bad = RELEASE.replace("vendor:", "vender:").replace("zh: 修", "zh：修").replace("keep: 2", "keep:")
    bad = bad.replace("kind: tcp", "kind: udp").replace("unreachable_in_wave: 1", "unreachable_in_wave: -1")

    assert problems_of("release.yml", bad.encode()) == [
        ("1:1", "missing-key"),
        ("3:1", "unknown-key"),
        ("5:10", "missing-key"),
        ("5:13", "full-width-colon"),
        ("15:6", "empty-not-allowed"),
        ("17:24", "wrong-value"),
        ("39:72", "wrong-type"),
    ]


def test_an_unknown_key_is_told_what_it_looks_like() -> None:
    with pytest.raises(BadInput) as caught:
        read_request(REQUEST.replace("requester:", "requestor:").encode(), "request.yml")

    fields = [dict(problem.fields) for problem in caught.value.problems if problem.code == "unknown-key"]
    assert fields == [{"key": "requestor", "suggestion": "requester"}]


def test_scalars_stay_what_the_person_wrote() -> None:
    request = read_request(REQUEST.replace("li.na", "no").encode(), "request.yml")
    release = read_release(RELEASE.encode(), "release.yml")

    assert (request.version, request.requester) == ("1.10", "no")
    assert (release.follows, release.data, release.downtime_seconds) == (("3.1.9", "3.4.*", ""), DataPromise.KEEP, 20)
    assert release.probes[1].headers == {"Depth": "0"}
    assert release.probes[2].expect_text == "3.5.10"
    assert all(type(value) is str for value in (release.released, release.service.unit, request.reason))


def test_wall_time_becomes_utc() -> None:
    window = read_request(REQUEST.encode(), "request.yml").window

    assert window == ChangeWindow(
        datetime(2026, 11, 21, 15, tzinfo=UTC), datetime(2026, 11, 21, 19, tzinfo=UTC), "Asia/Shanghai"
    )


@pytest.mark.parametrize(
    ("opens", "code"),
    [("2026-03-29 02:30", "time-does-not-exist"), ("2026-10-25 02:30", "time-is-ambiguous")],
)
def test_a_time_that_clocks_skip_or_show_twice_is_refused(opens: str, code: str) -> None:
    closes = opens.replace("02:30", "05:00")
    bad = REQUEST.replace("2026-11-21 23:00", opens).replace("2026-11-22 03:00", closes)

    told = problems_of("request.yml", bad.replace("Asia/Shanghai", "Europe/Berlin").encode())

    assert told == [("9:10", code)]


def test_a_window_over_the_change_of_clocks_is_as_long_as_it_really_is() -> None:
    text = REQUEST.replace("2026-11-21 23:00", "2026-10-25 01:00").replace("2026-11-22 03:00", "2026-10-25 04:00")

    window = read_request(text.replace("Asia/Shanghai", "Europe/Berlin").encode(), "request.yml").window

    assert window.closes - window.opens == timedelta(hours=4)


def test_a_policy_becomes_a_trust_that_the_gate_reads_back() -> None:
    trust = read_policy(POLICY.encode(), "policy.yml", version=7, issued=ISSUED)

    assert read_trust(trust.to_bytes(), "trust.7.json") == trust
    assert (trust.version, trust.issued, trust.expires) == (7, ISSUED, datetime(2027, 11, 22, tzinfo=UTC))
    zhang, wang, _ = trust.people
    assert zhang.keys[0].public == ZHANG
    assert (zhang.keys[0].valid_from, zhang.keys[0].valid_until) == (ISSUED, trust.expires)
    assert wang.keys[0].revoked == datetime(2027, 1, 31, 12, tzinfo=UTC)
    assert trust.roles["vendor-test"] == Role(
        name={"zh": "vendor-test", "en": "vendor-test"}, organisation=Organisation.VENDOR
    )


def test_the_example_of_a_policy_is_good_once_its_gaps_are_filled() -> None:
    names = ("zhang.wei", "wang.fang", "chen.jing", "li.na", "zhao.lei", "lanxin-health")
    keys = {name: ed25519(number) for number, name in enumerate(names, 10)}
    repository = Repository("renmin-hospital", "/srv/git/site.git", "main")
    example = PolicyExample(
        site=SiteId("renmin-hospital"),
        repository=repository,
        expires=date(2027, 11, 22),
        root_keys=[ROOT],
        keys=keys,
    )
    empty = PolicyExample(site=example.site, repository=repository, expires=example.expires, root_keys=[], keys={})

    assert len(read_policy(policy_example(example).encode(), "p", version=1, issued=ISSUED).people) == 5
    assert [code for _, code in problems_of("policy.yml", policy_example(empty).encode())] == ["key-damaged"] * 7


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["-t", "ed25519"], None),
        (["-t", "ecdsa", "-b", "256"], None),
        (["-t", "ecdsa", "-b", "384"], None),
        (["-t", "ecdsa", "-b", "521"], None),
        (["-t", "rsa", "-b", "3072"], None),
        (["-t", "rsa", "-b", "2048"], "key-too-short"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else value,
)
def test_keys_that_ssh_keygen_makes_are_taken_apart(arguments: list[str], fault: str | None, tmp_path: Path) -> None:
    command = ["ssh-keygen", "-q", "-N", "", "-C", "who ever", *arguments, "-f", str(tmp_path / "key")]
    subprocess.run(command, check=True, timeout=60)
    written = (tmp_path / "key.pub").read_text()

    found = read_public_key(written)

    assert found == " ".join(written.split()[:2]) if isinstance(found, str) else found.code == fault
    assert isinstance(found, str) == (fault is None)


ZONES = ("Asia/Shanghai", "Asia/Urumqi", "Europe/Berlin", "America/New_York", "UTC", "Asia/Kathmandu")
seen_characters = st.characters(blacklist_categories=("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


@st.composite
def windows(draw: st.DrawFn) -> ChangeWindow:
    zone = draw(st.sampled_from(ZONES))
    start = draw(st.datetimes(datetime(2001, 1, 1), datetime(2198, 1, 1)))
    opens = start.replace(microsecond=0, tzinfo=UTC)
    closes = opens + timedelta(seconds=draw(st.integers(1, 72 * 3600)))
    return ChangeWindow(opens, closes, zone)


def is_shown_once(moment: datetime, zone: str) -> bool:
    wall = moment.astimezone(ZoneInfo(zone))
    return wall.utcoffset() == wall.replace(fold=1 - wall.fold).utcoffset()


seen_texts = st.text(seen_characters, min_size=1, max_size=200).filter(lambda text: bool(text.strip()))


@st.composite
def requests(draw: st.DrawFn) -> Request:
    duration = draw(st.integers(1, 14 * 86_400))
    return Request(
        change=ChangeId(draw(st.from_regex(ChangeId.pattern, fullmatch=True))),
        kind=draw(st.sampled_from(Kind)),
        system=SystemId(draw(st.from_regex(SystemId.pattern, fullmatch=True))),
        version=Version(draw(st.from_regex(Version.pattern, fullmatch=True))),
        reason=draw(seen_texts),
        requester=PersonId(draw(st.from_regex(PersonId.pattern, fullmatch=True))),
        hosts=draw(st.from_regex(r"[A-Za-z0-9_.!,*&:][A-Za-z0-9_.!,*&:-]{0,60}", fullmatch=True)),
        window=draw(windows().filter(lambda w: is_shown_once(w.opens, w.zone) and is_shown_once(w.closes, w.zone))),
        waves=WaveSizes(draw(st.integers(0, 10_000)), draw(st.integers(1, 10_000))),
        soak=Soak(
            timedelta(seconds=duration),
            timedelta(seconds=draw(st.integers(1, min(duration, 86_400)))),
            draw(st.sampled_from(WhenUnstable)),
        ),
        downgrade=draw(st.none() | seen_texts),
    )


@given(requests())
@settings(max_examples=200, deadline=None)
def test_a_request_reads_back_as_it_was_written(request: Request) -> None:
    assert read_request(write_request(request).encode(), "request.yml") == request


@given(
    st.from_regex(SiteId.pattern, fullmatch=True),
    st.text(seen_characters, min_size=1, max_size=60).filter(lambda text: bool(text.strip())),
    st.sampled_from(ZONES),
    st.sampled_from(Language),
    st.integers(1, 500),
)
@settings(max_examples=50, deadline=None)
def test_settings_read_back_as_they_were_written(
    site: str, name: str, zone: str, language: Language, forks: int
) -> None:
    written = Settings(
        site=SiteId(site),
        hospital={"zh": name, "en": name},
        time_zone=zone,
        language=language,
        change_prefix="CHG",
        forks=forks,
    )

    assert read_settings(write_settings(written).encode(), "upgrader.yml") == written


@given(st.integers(0, 10**9))
def test_durations_read_back_as_they_were_written(seconds: int) -> None:
    assert read_duration(write_duration(seconds)) == seconds


def test_a_request_names_the_change_that_it_supersedes() -> None:
    good = read_request(REQUEST.encode(), "request.yml")
    request = replace(good, supersedes=ChangeId("CHG-2026-0007"))

    assert read_request(write_request(request).encode(), "request.yml") == request


def test_a_request_that_could_not_be_read_back_is_not_written() -> None:
    good = read_request(REQUEST.encode(), "request.yml")
    twice = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in Berlin, for the first time
    window = ChangeWindow(twice, twice + timedelta(hours=3), "Europe/Berlin")

    with pytest.raises(BadInput) as caught:
        write_request(Request(**{name: getattr(good, name) for name in good.__slots__} | {"window": window}))

    assert [problem.code for problem in caught.value.problems] == ["time-is-ambiguous"]


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_whatever_bytes_come_only_our_error_leaves(content: bytes) -> None:
    for file, (_, read) in GOOD.items():
        with pytest.raises(BadInput):
            read(content, file)


@given(st.sampled_from(sorted(GOOD)), st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_document_is_refused_or_still_means_something(file: str, data: st.DataObject) -> None:
    document, read = GOOD[file]
    at = data.draw(st.integers(0, len(document)))
    cut = data.draw(st.integers(0, 5))
    damaged = document[:at] + data.draw(st.text("{}[]:,-&*!|>'\"%#@ \n\tä：", max_size=4)) + document[at + cut :]

    with contextlib.suppress(BadInput):  # and no other error
        read(damaged.encode(), file)


def test_every_mistake_of_a_policy_is_told_in_one_round() -> None:
    """Some in single values, some between them, some that need the time: nobody mends a policy twice."""
    bad = POLICY.replace("expires: 2027-11-22", "expires: 2026-01-01")  # over before it begins
    bad = bad.replace(ZHANG, ZHANG[:-8])  # not a whole key
    bad = bad.replace("[department-head]", "[director]")  # nobody knows this role
    bad = bad.replace(VENDOR, CHEN)  # two have one key
    bad = bad.replace("approval_hours: 336", "approval_hours: 999\n    debt_hours: 72")

    assert problems_of("policy.yml", bad.encode()) == [
        ("3:10", "wrong-value"),
        ("11:12", "key-damaged"),
        ("15:13", "role-unknown"),
        ("23:97", "key-held-twice"),
        ("26:16", "rows-unfilled"),
        ("30:21", "wrong-value"),
        ("31:17", "emergency-only"),
    ]


EMERGENCY = """\
  emergency:
    approvals: [{role: department-head, count: 1}]
    people: 1
    tests: []
    acceptance: [{role: owning-department, count: 1}]
    approval_hours: 24
    window_hours: 12
    debt_hours: 72
"""


def test_an_emergency_has_a_short_window_and_a_debt() -> None:
    rule = read_policy((POLICY + EMERGENCY).encode(), "policy.yml", version=1, issued=ISSUED).rules["emergency"]

    assert (rule.approval_hours, rule.window_hours, rule.debt_hours) == (24, 12, 72)


@pytest.mark.parametrize(
    ("good", "bad", "place", "code"),
    [
        ("    debt_hours: 72\n", "", "32:5", "emergency-needs"),
        ("    window_hours: 12\n", "", "32:5", "emergency-needs"),
        ("window_hours: 12", "window_hours: 25", "37:19", "wrong-value"),
        ("approval_hours: 24", "approval_hours: 25", "36:21", "wrong-value"),
        ("debt_hours: 72", "debt_hours: 169", "38:17", "wrong-value"),
        ("  normal:", "  standard:", "32:5", "emergency-needs"),
    ],
)
def test_an_emergency_that_would_be_the_way_round_every_rule(good: str, bad: str, place: str, code: str) -> None:
    document = POLICY + EMERGENCY
    assert good in document

    assert (place, code) in problems_of("policy.yml", document.replace(good, bad, 1).encode())


def test_a_role_has_names_for_people() -> None:
    named = POLICY.replace(
        "department-head: hospital", "department-head: {organisation: hospital, name: {zh: 科主任, en: Head}}"
    )

    role = read_policy(named.encode(), "policy.yml", version=1, issued=ISSUED).roles["department-head"]

    assert role == Role(name={"zh": "科主任", "en": "Head"}, organisation=Organisation.HOSPITAL)
