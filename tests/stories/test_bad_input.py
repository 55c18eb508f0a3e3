"""What people get wrong at the keyboard and in their files: told in words, all at once, nothing half done."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stories.drops import DropToBe
from upgrader.lab.hospital import ENGINEER, PEOPLE, TESTER, Answer, Hospital
from upgrader.lab.releases import SYSTEM

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.xdist_group("bad-input")]

RELEASE = "3.5.10"
NOBODYS = "CHG-2020-0001"
LANGUAGES = ("zh", "en")
NOT_LOOKED_AT = frozenset({".git", "mirror.git", "cache", "locks"})
CHINESE = re.compile(r"[\u4e00-\u9fff]")
ASK = ("request", SYSTEM, RELEASE, "--reason", "defect 2291", "--window", "now → +4h")


@pytest.fixture(scope="module")
def change(hospital: Hospital) -> str:
    """A change that was asked for and never planned."""
    hospital.upgrader(ENGINEER, "stage", str(hospital.drop.release(RELEASE)))
    asked: str = hospital.upgrader(ENGINEER, "--json", *ASK).json()["change"]
    for person in PEOPLE:
        hospital.git(person, "pull", "--quiet")
    return asked


@dataclass
class Watched:
    """A hospital in which nothing may have changed when the story is over: no file, no commit, no line in a journal."""

    hospital: Hospital
    before: Mapping[str, bytes] = field(default_factory=dict)

    def mark(self) -> None:
        self.before = self._everything()

    def is_unchanged(self) -> None:
        after = self._everything()
        assert sorted(after) == sorted(self.before)
        assert {name for name in after if after[name] != self.before[name]} == set()

    def _everything(self) -> dict[str, bytes]:
        """Every file of the remote, of each person's work tree and of the state."""
        folders = (self.hospital.remote, self.hospital.directory / "clones", self.hospital.state)
        files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in files if not NOT_LOOKED_AT & set(path.parts)}


@pytest.fixture
def watched(hospital: Hospital, change: str) -> Iterator[Watched]:
    watched = Watched(hospital)
    watched.mark()
    yield watched
    watched.is_unchanged()


def typed(hospital: Hospital, *words: str, folder: Path | None = None, **environment: str) -> Answer:
    """Type words into a shell that knows nothing of the hospital but where its state is."""
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("UPGRADER", "GIT", "LANG", "LC_"))
    }
    given = {"UPGRADER_STATE": str(hospital.state), **environment}
    command = [sys.executable, "-m", "upgrader", *words]
    done = subprocess.run(
        command,
        cwd=folder or hospital.clone(ENGINEER),
        env={**plain, **given},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    return Answer(tuple(command), done.returncode, done.stdout, done.stderr)


def in_both_languages(hospital: Hospital, person: str, *words: str) -> dict[str, Answer]:
    return {lang: hospital.upgrader(person, "--lang", lang, *words, check=False) for lang in LANGUAGES}


def is_told(answers: Mapping[str, Answer], code: int, *words: str) -> None:
    """Each language says it in its own words, with every one of `words`, what to do, and no traceback."""
    for language, answer in answers.items():
        assert answer.code == code, answer.err
        assert "Traceback" not in answer.err
        assert [word for word in words if word not in answer.err] == [], answer.err
        assert bool(CHINESE.search(answer.err)) == (language == "zh"), answer.err


# Files that people write: every mistake at once, each with its place


def place_of(text: str, mark: str) -> str:
    """Where something stands in a text, as `line:column`. A `|` in the mark parts what is before it from it."""
    before = text[: text.index(mark.replace("|", "")) + max(0, mark.find("|"))]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


BAD_REQUEST = """\
change: CHG-2026-0001
kind: urgent
system: Exam Scheduling
version: "3.5.10"
reason: ""
requester: li.na
hosts: "; reboot"
window: {opens: 2026-11-22 03:00:00, closes: 2026-11-21 23:00:00, zone: Asia/Shanghai}
waves: {canaries: 1, sise: 25}
waves: {canaries: 1, size: 0}
soak: {duration: 5 parsecs, interval: 2s, when_unstable: hold}
"""
REQUEST_MARKS = (
    "urgent",
    "Exam Scheduling",
    '""',
    '"; reboot"',
    "2026-11-21 23",
    "waves: {canaries: 1, size",
    "5 parsecs",
)


def test_every_mistake_in_a_request_is_told_at_once(hospital: Hospital, change: str) -> None:
    file = f"approvals/{change}/request.yml"
    before = (hospital.clone(ENGINEER) / file).read_text(encoding="utf-8")
    try:
        _push(hospital, file, BAD_REQUEST.replace("CHG-2026-0001", change))
        watched = Watched(hospital)
        watched.mark()

        answers = in_both_languages(hospital, ENGINEER, "plan", change)

        places = [f"{file}:{place_of(BAD_REQUEST, mark)}" for mark in REQUEST_MARKS]
        is_told(answers, 2, "document-invalid", *places)
        watched.is_unchanged()
    finally:
        _push(hospital, file, before)


def test_a_request_that_was_not_pushed_is_not_planned(hospital: Hospital, change: str) -> None:
    path = hospital.clone(ENGINEER) / "approvals" / change / "request.yml"
    before = path.read_bytes()
    path.write_bytes(before + b"# one more thought\n")
    watched = Watched(hospital)
    watched.mark()

    answers = in_both_languages(hospital, ENGINEER, "plan", change)

    watched.is_unchanged()
    path.write_bytes(before)
    is_told(answers, 2, "request-not-pushed", change)


def test_every_mistake_in_a_vendors_manifest_is_told_at_once(watched: Watched, tmp_path: Path) -> None:
    drop = DropToBe.copy_of(watched.hospital.drop, RELEASE, tmp_path)
    drop.replace("strategy: archive", "strategy: magic")
    drop.replace("downtime: 20s", "downtime: soon")
    drop.replace("data: keep #", "dada: keep #")
    drop.replace("keep: 2", "keep: yes")
    drop.replace("thresholds: {failed_in_wave: 0", "thresholds: {failed_in_wave: -1")
    drop.sign()
    text = drop.manifest.read_text(encoding="utf-8")
    marks = ("magic", "soon", "dada", "keep: |yes", "failed_in_wave: |-1")

    answers = in_both_languages(watched.hospital, ENGINEER, "stage", str(drop.folder))

    is_told(answers, 2, "document-invalid", *(f"release.yml:{place_of(text, mark)}" for mark in marks))


@pytest.mark.parametrize(
    ("edits", "marks"),
    [
        (
            {'"people": 2': '"people": 0', '"branch": "main"': '"branch": "ma in"', "336": "100000"},
            ('"people": |0', '"ma in"', "100000"),
        ),
        (
            {'"people": 2': '"people": 1', '"role": "department-head"': '"role": "gardener"', "zhao.lei": "li.na"},
            ('"people": |1', '"role": |"gardener"', '"id": |"li.na",\n      "name": {\n        "zh": "赵磊'),
        ),
    ],
    ids=["values", "rules that would protect nobody"],
)
def test_every_mistake_in_a_policy_is_told_at_once(
    edits: Mapping[str, str], marks: tuple[str, ...], watched: Watched, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yml"
    text = watched.hospital.policy()
    for old, new in edits.items():
        assert old in text
        text = text.replace(old, new)
    policy.write_text(text, encoding="utf-8")
    root = ("--root-key", str(watched.hospital.root_key))

    answers = in_both_languages(watched.hospital, ENGINEER, "trust", "update", "--policy", str(policy), *root)

    is_told(answers, 2, "document-invalid", *(f"policy.yml:{place_of(text, mark)}" for mark in marks))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"site: Renmin Hospital\nforks: 0\n", ["upgrader.yml:1:7", "upgrader.yml:2:8", "hospital", "time_zone"]),
        (b"", ["upgrader.yml"]),
        (b"\xff\xfe\x00", ["upgrader.yml"]),
        (b"site: [\n", ["upgrader.yml:2:1"]),
        (b"site: &a [*a]\n", ["upgrader.yml:1"]),
        (b"- a list\n", ["upgrader.yml:1:1"]),
        ("site：renmin\n".encode(), ["upgrader.yml:1"]),
        (b"a: " * 2000 + b"\n", ["upgrader.yml"]),
    ],
    ids=["mistakes", "empty", "not a text", "cut off", "an alias", "a list", "a full-width colon", "nested madly"],
)
def test_settings_that_are_wrong_are_told_by_every_verb(
    content: bytes, words: list[str], hospital: Hospital, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "upgrader.yml").write_bytes(content)

    answers = {lang: typed(hospital, "--lang", lang, "status", folder=site) for lang in LANGUAGES}

    is_told(answers, 2, "document-invalid", *words)
    assert [path.name for path in site.iterdir()] == ["upgrader.yml"]


# The command line

USAGE: list[tuple[str, tuple[str, ...], str]] = [
    ("no such verb", ("upgrade",), "upgrade"),
    ("no such option", ("apply", NOBODYS, "--force"), "--force"),
    ("no change named", ("apply",), "CHANGE"),
    ("a change that is none", ("apply", "CHG-1"), "CHG-1"),
    ("a change that is a path", ("apply", "../../etc"), "../../etc"),
    ("a system that is none", ("request", "LIS!", RELEASE, *ASK[3:]), "LIS!"),
    ("a version that is none", ("request", SYSTEM, "-1", *ASK[3:]), "-1"),
    ("no window", ASK[:5], "--window"),
    ("a window without an end", (*ASK[:5], "--window", "Sat 23:00"), "Sat 23:00"),
    ("a window on no day", (*ASK[:5], "--window", "Blursday 23:00 → Sun 03:00"), "Blursday 23:00"),
    ("a window at no time", (*ASK[:5], "--window", "Sat 25:00 → Sun 03:00"), "Sat 25:00"),
    ("a window that ends first", (*ASK[:5], "--window", "2026-11-22 03:00 → 2026-11-21 23:00"), "2026-11-21 23:00"),
    ("a window without end", (*ASK[:5], "--window", "now → +999999999d"), "999999999d"),
    ("a window longer than three days", (*ASK[:5], "--window", "now → +96h"), "72h"),
    ("a window that is over", (*ASK[:5], "--window", "2020-01-01 23:00 → 2020-01-02 03:00"), "2020-01-0"),
    ("a duration that is none", (*ASK, "--soak", "5 parsecs"), "5 parsecs"),
    ("a duration without end", (*ASK, "--soak", "999999999999d"), "999999999999d"),
    ("no duration at all", (*ASK, "--soak", "0s"), "0s"),
    ("an interval longer than the soak", (*ASK, "--soak", "1m", "--soak-interval", "2m"), "2m"),
    ("waves of nobody", (*ASK, "--wave-size", "0"), "0"),
    ("hosts that are a command", (*ASK, "--hosts", "; reboot"), "; reboot"),
    ("no hosts", (*ASK, "--hosts", ""), "hosts"),
    ("a kind that is none", (*ASK, "--kind", "urgent"), "urgent"),
    ("no reason", (*ASK[:4], "", *ASK[5:]), "reason"),
    ("a reason that hides something", (*ASK[:4], "harmless \u202e gnihtyna", *ASK[5:]), "U+202E"),
    ("a reason of two lines", (*ASK[:4], "one\ntwo", *ASK[5:]), "one line"),
    ("a release that nobody staged", ("request", SYSTEM, "8.8.8", *ASK[3:]), "8.8.8"),
    ("a test of what nobody staged", ("record", "site-test", SYSTEM, "8.8.8", "--cases", "1 of 1"), "8.8.8"),
    ("a plan for a change that is not there", ("plan", NOBODYS), NOBODYS),
    ("a signature for a change that is not there", ("sign", NOBODYS, "--yes"), NOBODYS),
    ("the approvals of a change that is not there", ("approvals", NOBODYS), NOBODYS),
    ("a change that is not there", ("apply", NOBODYS), NOBODYS),
    ("the state of a change that is not there", ("status", NOBODYS), NOBODYS),
    ("a look at a change that is not there", ("watch", NOBODYS), NOBODYS),
    ("a soak of a change that is not there", ("soak", NOBODYS), NOBODYS),
    ("the way back of a change that is not there", ("rollback", NOBODYS, "--reason", "so"), NOBODYS),
    ("an acceptance of a change that is not there", ("accept", NOBODYS, "--yes"), NOBODYS),
    ("the end of a change that is not there", ("close", NOBODYS), NOBODYS),
    ("no more of a change that is not there", ("cancel", NOBODYS, "--reason", "so"), NOBODYS),
    ("a drop that is not there", ("stage", "/nonexistent"), "/nonexistent"),
    ("a drop that is a file", ("stage", "/etc/hostname"), "hostname"),
    (
        "a policy that is not there",
        ("trust", "update", "--policy", "/nonexistent", "--root-key", "/etc/hostname"),
        "/non",
    ),
    ("a bundle that is not there", ("evidence", "verify", "/nonexistent"), "/nonexistent"),
    ("a bundle that is none", ("evidence", "verify", "/etc/hostname"), "evidence-damaged"),
    ("a language that we do not speak", ("--lang", "fr", "status"), "fr"),
    ("a person that is none", ("--as", "Li Na", "status"), "Li Na"),
    ("a new site where one is", ("init", ".", "--name", "x", "--hospital", "医院", "x"), "folder-not-empty"),
    (
        "a new site in no time zone",
        ("init", "x", "--name", "x", "--hospital", "医院", "x", "--time-zone", "Mars"),
        "Mars",
    ),
]


@pytest.mark.parametrize(("words", "names"), [row[1:] for row in USAGE], ids=[row[0] for row in USAGE])
def test_the_command_line_says_what_is_wrong_with(words: tuple[str, ...], names: str, watched: Watched) -> None:
    answer = watched.hospital.upgrader(ENGINEER, *words, check=False)

    assert "Traceback" not in answer.err
    assert answer.code in (2, 10, 13), answer.err
    assert names in answer.err


# The person and the place


def test_outside_of_a_site_one_is_told_how_to_get_there(hospital: Hospital, tmp_path: Path) -> None:
    answers = {lang: typed(hospital, "--lang", lang, "status", folder=tmp_path) for lang in LANGUAGES}

    is_told(answers, 14, "site-not-found", str(tmp_path), "upgrader init")
    assert list(tmp_path.iterdir()) == []


def test_a_site_without_git_is_no_site(hospital: Hospital, tmp_path: Path) -> None:
    shutil.copy(hospital.clone(ENGINEER) / "upgrader.yml", tmp_path)

    answers = {lang: typed(hospital, "--lang", lang, "status", folder=tmp_path) for lang in LANGUAGES}

    is_told(answers, 14, "not-a-repository", str(tmp_path))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), "person-not-named"),
        (("--as", TESTER), "key-not-named"),
        (("--as", TESTER, "--key", "/nonexistent"), "key-not-found"),
        (("--as", TESTER, "--key", "/etc/hostname"), "signing-failed"),
    ],
    ids=["nobody is named", "no key is named", "the key is not there", "the key is no key"],
)
def test_who_can_not_sign_is_told_why(words: tuple[str, ...], code: str, watched: Watched, change: str) -> None:
    record = ("record", "vendor-test", SYSTEM, RELEASE, "--cases", "12 of 12")
    place = watched.hospital.clone(TESTER)

    answers = {lang: typed(watched.hospital, "--lang", lang, *words, *record, folder=place) for lang in LANGUAGES}

    is_told(answers, 14, code)


def test_a_repository_that_is_away_is_named(hospital: Hospital, change: str) -> None:
    away = hospital.remote.with_name("away.git")
    hospital.remote.rename(away)
    try:
        is_told(in_both_languages(hospital, ENGINEER, "approvals", change), 14, str(hospital.remote))
        is_told(in_both_languages(hospital, ENGINEER, "sign", change, "--yes"), 14, str(hospital.remote))
    finally:
        away.rename(hospital.remote)


def test_a_controller_without_trust_is_told_how_to_begin(watched: Watched, tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    answers = {lang: typed(watched.hospital, "--lang", lang, *ASK, UPGRADER_STATE=state) for lang in LANGUAGES}

    is_told(answers, 10, "trust-missing", state, "upgrader trust init")


def _push(hospital: Hospital, file: str, text: str) -> None:
    (hospital.clone(ENGINEER) / file).write_text(text, encoding="utf-8")
    hospital.git(ENGINEER, "commit", "--quiet", "--all", "--message", "by hand")
    hospital.git(ENGINEER, "push", "--quiet", "origin", "HEAD:main")
