"""Every text that the code asks for is there, in both languages, and no text is there that nobody asks for.

The code is read as syntax trees: literal keys and error codes are collected where they stand, keys made of a closed
set's values are listed in FAMILIES.
"""

import ast
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import upgrader
from upgrader.adapters.programs import QUESTIONS
from upgrader.cli import VERBS, build, click_texts
from upgrader.cli.entry import run_command
from upgrader.domain.approval.record import Decision, Result, TestStage
from upgrader.domain.changes.demand import DemandKind
from upgrader.domain.changes.forecast import Ground
from upgrader.domain.changes.joint import Half
from upgrader.domain.changes.joint_step import JointStep
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.notification import Topic
from upgrader.domain.changes.particulars import ChangeClass, ChangeType, ProtectionLevel, Risk
from upgrader.domain.changes.playbook import HostOutcome
from upgrader.domain.changes.request import Kind, WhenUnstable
from upgrader.domain.changes.schedule import Duty
from upgrader.domain.changes.verdict import Reading, Verdict
from upgrader.domain.errors import BadInput, Problem, Refused
from upgrader.domain.hospital.inspection import Concern, Round
from upgrader.domain.hospital.system import Criticality
from upgrader.domain.names import ChangeId, HostName, PersonId, RoleId, SiteId, SystemId, Version
from upgrader.domain.papers.evidence import Ending
from upgrader.domain.papers.form import Asked, Block, Field, Missing
from upgrader.domain.releases.build_facts import SignatureScheme, SignatureState
from upgrader.domain.releases.database import DataPromise
from upgrader.flow.closing.audit import Part
from upgrader.flow.watching.host_state import Match
from upgrader.language import Language, Texts, catalogue

SOURCE = Path(upgrader.__file__).parent
WIDTH = 80
FIELD = re.compile(r"\{(\w+)(?:![rs])?\}")
CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
# What is the same in every language: commands, commands in running text, fields, click's own fields.
COMMAND = re.compile(r"^(upgrader|chmod) .*$|`[^`]*`|\{[^}]*\}")

# Calls whose first argument is a key, and where else a code stands.
ASKING = frozenset({"texts", "_texts", "say", "next", "has"})
ERRORS = frozenset(
    {
        "BadInput",
        "Ended",
        "Fault",
        "Integrity",
        "LabFailed",
        "Locked",
        "OutsideWindow",
        "PlaybookFailed",
        "PreflightFailed",
        "Refused",
        "UpgraderError",
        "_fetch",  # git_clone gives its codes to these two, which raise
        "_told",
    }
)
PROBLEMS = frozenset({"Finding", "KeyFault", "Problem", "_at_key", "_problem", "_unreadable", "problem_at", "wrong"})
DASHED = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
KEY = re.compile(r"[a-z]+(\.[a-z0-9_-]+)+")

TOLD_EVENTS = (
    Event.PRESTAGE_STARTED,
    Event.HOST_PRESTAGED,
    Event.DEBT_OPENED,
    Event.APPLY_STARTED,
    Event.WAVE_STARTED,
    Event.HOST_REPORTED,
    Event.WAVE_FINISHED,
    Event.WAVE_JUDGED,
    Event.RETRY_STARTED,
    Event.RETRY_JUDGED,
    Event.LATE_ROLLBACK_STARTED,
    Event.SOAK_STARTED,
    Event.SOAK_MEASURED,
    Event.PAUSE_MEASURED,
    Event.FOUND_STABLE,
    Event.FOUND_UNSTABLE,
    Event.FOUND_INCONCLUSIVE,
    Event.ROLLBACK_STARTED,
    Event.ROLLBACK_FINISHED,
    Event.ROLLBACK_INCOMPLETE,
)
TRUST_CHANGES = (
    *(f"person-{what}" for what in ("added", "removed", "left", "returned", "changed")),
    *(f"vendor-{what}" for what in ("added", "removed", "changed")),
    *(f"key-{what}" for what in ("enrolled", "proven", "revoked", "changed", "removed")),
    *(
        f"{what}-changed"
        for what in ("rules", "roles", "root", "repository", "paper", "inspection", "expires", "known-bad")
    ),
    "role-given",
    "role-taken",
)
FAMILIES: Mapping[str, Iterable[str]] = {
    "ask": Decision,
    "audit.part": Part,
    "because": [
        "wave-reached-nobody",
        "too-many-failed-in-wave",
        "too-many-failed-in-all",
        "too-many-unreachable",
        "wave-unstable",
        "wave-inconclusive",
        "soak-unstable",
        "paused-unstable",
        "asked",
    ],
    "column": ["host", "wave", "outcome", "version", "downtime", "detail"],
    "criticality": Criticality,
    "demand": DemandKind,
    "debt": ["open", "overdue", "paid"],
    "decision": Decision,
    "doctor": [f"program-{name}" for name in QUESTIONS]
    + ["state", "person", "key", "trust", "repository", "inventory", "notifiers", "systems"],
    "ending": Ending,
    "event": [event.name.lower() for event in TOLD_EVENTS],
    "ground": Ground,
    "match": list(Match),
    "fact": [event.replace(" ", "-") for event in Event],
    "half": Half,
    "inspection.concern": Concern,
    "inspection.reading": Reading,
    "inspection.round": Round,
    "inspection.title": Round,
    "inspection.sheet": ["began", "ended", "actor", "authorized", "compared", "engineer", "hospital"],
    "cli.inspect": Round,
    "form.block": Block,
    "form.field": Field,
    "form.missing": [Missing.ASKED, Missing.TESTED],
    "notify": Topic,
    "work": ["job-defer", "job-fail", "interface", "interface-replay"],
    "form.phrase": [
        *("affected", "notice-owners", "stands-in"),
        *("job-defer", "job-fail", "interface", "interface-replay"),
        *("waves-take", "way-back-takes"),
        *("downgrade", "more-statements", "rows", "rows-kept"),
        *(
            "accepted",
            "build",
            "canary",
            "config",
            "downtime",
            "found",
            "hosts",
            "kept",
            "migrations",
            "more-waves",
            "no-point-of-no-return",
            "no-return",
            "no-sm3",
            "none",
        ),
        *(
            "not-required",
            "number",
            "outcome",
            "probes",
            "restore-point",
            "soak",
            "stops",
            "takes-itself-back",
            "time",
            "times",
        ),
        *("versions", "wave", "window"),
        *(f"change-class-{value}" for value in ChangeClass),
        *(f"change-type-{value}" for value in ChangeType),
        *(f"data-{value}" for value in DataPromise),
        *(f"protection-level-{value}" for value in ProtectionLevel),
        *(f"risk-{value}" for value in Risk),
        *(f"test-{value}" for value in Result),
        *(f"unstable-{value}" for value in WhenUnstable),
    ],
    "form.place": Asked,
    "kind": Kind,
    "next.after": State,
    "next.joint": JointStep,
    "note": ["no-login-probe", "hosts-silent", "hosts-done", "downgrade", "repackaged", "joint"]
    + [f"default-{what}{site}" for what in ("changed", "added", "gone") for site in ("", "-site-stays")]
    + ["defaults-unknown", "no-return", "others-ended", "tables-without-probe"],
    "database": [DataPromise.RESTORE, DataPromise.IRREVERSIBLE],
    "outcome": HostOutcome,
    "result": Result,
    "scheme": SignatureScheme,
    "signature": SignatureState,
    "role": ["people"],
    "serve": [
        *("began", "waits", "ended", "unreadable", "broken", "over", "expired", "debt-overdue"),
        *("nobody-told", "waits-for"),
        *("last-look", "busy", "silent", "never"),
    ],
    "serve.begun": [Duty.GO_ON, Duty.GO_BACK, Duty.PULL_BACK],
    "serve.refused": Duty,
    "state": State,
    "test": TestStage,
    "trust.change": TRUST_CHANGES,
    "unstable": WhenUnstable,
    "verdict": Verdict,
}


@cache
def trees() -> Mapping[str, ast.Module]:
    return {
        str(path.relative_to(SOURCE)): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
        if not path.is_relative_to(SOURCE / "language")
    }


def calls(names: Iterable[str]) -> Iterator[ast.Call]:
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in names:
                yield node


def literals(node: ast.expr | None) -> Iterator[str]:
    """The texts that an argument may be: a literal, or either arm of a choice."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from literals(body)
            yield from literals(orelse)
        case _:
            pass


def asked_keys() -> set[str]:
    """Keys given to a call that asks for a text, or chosen into a name first; the lab gives the last part alone."""
    asked = {key for call in calls(ASKING) for argument in call.args for key in literals(argument)}
    asked |= {key for choice in choices() for key in literals(choice)}
    of_the_lab = {code for call in calls({"progress"}) for argument in call.args for code in literals(argument)}
    tables = {key.partition(".")[0] for key in catalogue(Language.EN)}
    named = {key for key in asked if KEY.fullmatch(key) and key.partition(".")[0] in tables}
    return named | {f"progress.{code}" for code in of_the_lab if "." not in code}


def choices() -> Iterator[ast.IfExp]:
    return (node for tree in trees().values() for node in ast.walk(tree) if isinstance(node, ast.IfExp))


def error_codes() -> set[str]:
    return {code for call in calls(ERRORS) if call.args for code in literals(call.args[0])}


def problem_codes() -> set[str]:
    """Codes given to the calls in PROBLEMS, and those that `_code_and_fields` gives back."""
    codes = {code for call in calls(PROBLEMS) for argument in call.args[:4] for code in literals(argument)}
    for node in ast.walk(trees()["adapters/documents/models.py"]):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            codes.update(literals(node.value.elts[0]))
    return {code for code in codes if DASHED.fullmatch(code)}


def family_keys() -> set[str]:
    return {f"{family}.{value}" for family, values in FAMILIES.items() for value in values} | {
        f"cli.{verb}.short" for verb in VERBS
    }


def argument_codes() -> set[str]:
    """Codes of arguments that do not fit: given to Unfit, and one for each kind of name that is typed."""
    names = (SystemId, Version, ChangeId, PersonId, RoleId, SiteId, HostName)
    return {code for call in calls({"Unfit"}) for code in literals(call.args[0])} | {
        kind.__name__.lower() for kind in names
    }


def fields(text: str) -> set[str]:
    return set(FIELD.findall(text))


@pytest.fixture(params=list(Language), ids=str)
def texts(request: pytest.FixtureRequest) -> Texts:
    return Texts(request.param)


def test_both_languages_hold_the_same_keys_with_the_same_fields() -> None:
    en, zh = catalogue(Language.EN), catalogue(Language.ZH)

    assert set(en) == set(zh)
    assert {key: fields(en[key]) for key in en} == {key: fields(zh[key]) for key in zh}


def test_no_text_is_empty(texts: Texts) -> None:
    assert [key for key, text in catalogue(texts.language).items() if not text.strip()] == []


def test_every_key_that_the_code_asks_for_has_a_text(texts: Texts) -> None:
    assert sorted(asked_keys() - set(catalogue(texts.language))) == []


def test_every_error_says_what_is_wrong_and_what_to_do(texts: Texts) -> None:
    wanted = {f"error.{code}.{part}" for code in error_codes() for part in ("what", "todo")}

    assert sorted(wanted - set(catalogue(texts.language))) == []


def test_every_problem_of_a_written_file_has_a_text(texts: Texts) -> None:
    wanted = {f"problem.{code}.what" for code in problem_codes()}

    assert sorted(wanted - set(catalogue(texts.language))) == []


def test_every_argument_that_does_not_fit_has_a_text(texts: Texts) -> None:
    assert sorted({f"argument.{code}" for code in argument_codes()} - set(catalogue(texts.language))) == []


def test_every_value_of_a_closed_set_has_a_text(texts: Texts) -> None:
    assert sorted(family_keys() - set(catalogue(texts.language))) == []


def test_no_text_is_left_that_nobody_asks_for() -> None:
    used = asked_keys() | family_keys()
    used |= {f"error.{code}.{part}" for code in error_codes() for part in ("what", "todo")}
    used |= {f"problem.{code}.{part}" for code in problem_codes() for part in ("what", "todo")}
    used |= {key for call in calls({"progress"}) for key in literals(call.args[0])}

    used |= {f"argument.{code}" for code in argument_codes()}

    left = {key for key in catalogue(Language.EN) if not key.startswith("click.")} - used

    assert sorted(left) == []


def test_every_field_of_an_error_text_is_given_where_the_error_is_raised() -> None:
    """Where the fields are spelled out; `**fields` is left to the tests of that place."""
    missing = []
    for call in calls(ERRORS - {"Fault", "_fetch", "_told"}):
        given = {keyword.arg for keyword in call.keywords}
        for code in literals(call.args[0]):
            added = {"file"} if code.startswith(("archive-", "package-")) else set()  # `refusing_damage` names it
            if None not in given:
                wanted = {
                    f for part in ("what", "todo") for f in fields(catalogue(Language.EN)[f"error.{code}.{part}"])
                }
                missing += [(code, field) for field in sorted(wanted - given - added)]

    assert missing == []


def test_english_texts_hold_no_chinese_and_chinese_texts_do() -> None:
    en, zh = catalogue(Language.EN), catalogue(Language.ZH)
    same = {key for key in en if en[key] == zh[key] and not re.search(r"[A-Za-z]", COMMAND.sub("", en[key]))}

    assert [key for key, text in en.items() if CHINESE.search(text)] == []
    assert [key for key, text in zh.items() if key not in same and not CHINESE.search(text)] == []


def test_the_words_of_click_are_those_that_click_says() -> None:
    said = {
        node.value
        for module in click_texts.MODULES
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    en = {key.removeprefix("click."): text for key, text in catalogue(Language.EN).items() if key.startswith("click.")}

    assert sorted(set(en) - said) == []
    assert all(key == text for key, text in en.items())


def test_help_fits_the_screen_in_both_languages(texts: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    _speak_for_now(texts, monkeypatch)
    command = build(texts)
    too_wide = [
        (" ".join(arguments), line)
        for arguments in _helps(command, [])
        for line in CliRunner().invoke(command, [*arguments, "--help"], terminal_width=WIDTH).output.splitlines()
        if _columns(line) > WIDTH
    ]

    assert too_wide == []


def test_help_in_chinese_says_no_english_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = Texts(Language.ZH)
    _speak_for_now(texts, monkeypatch)

    shown = CliRunner().invoke(build(texts), ["request", "--help"], terminal_width=WIDTH).output

    assert "用法:" in shown
    assert "显示帮助" in shown
    assert "Usage" not in shown
    assert "Show this message" not in shown


@pytest.mark.parametrize(
    "typed", [["status", "nonsense"], ["status", "--nonsense"], ["nonsense"], ["plan"]], ids=" ".join
)
def test_what_was_typed_wrongly_is_told_in_the_readers_language_and_to_programs(
    typed: list[str], texts: Texts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _speak_for_now(texts, monkeypatch)

    assert run_command(build(texts), texts, ["--json", *typed]) == 2

    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert (answer["format"], answer["code"], answer["exit_code"]) == ("upgrader.error/1", "usage", 2)
    assert answer["message"] in said.err
    assert bool(CHINESE.search(answer["message"])) is (texts.language is Language.ZH)


def test_values_of_closed_sets_are_shown_in_words() -> None:
    error = Refused("change-not-in-state", state=State.ROLLING_BACK, event=Event.CHANGE_ACCEPTED, legal="-")

    assert "rolling back" in Texts(Language.EN).of_error(error)
    assert "回退中" in Texts(Language.ZH).of_error(error)
    assert "变更验收" in Texts(Language.ZH).of_error(error)


def test_what_a_person_adds_to_a_code_stays_as_they_wrote_it() -> None:
    told = Texts(Language.ZH)("event.rollback_started", because="asked: reports, and labels, print twice")

    assert told.endswith("人工要求回退: reports, and labels, print twice")


def test_a_problem_is_told_with_its_place_and_its_key(texts: Texts) -> None:
    """`key` is a field of most problems, and also the name of the first argument of Texts."""
    problem = Problem("request.yml", 4, 3, "missing-key", (("key", "window.opens"),))

    told = texts.of_error(BadInput("document-invalid", [problem], file="request.yml", count=1))

    assert "request.yml:4:3: " in told
    assert "window.opens" in told


def test_a_list_is_told_in_one_line(texts: Texts) -> None:
    told = texts("event.rollback_incomplete", hosts=[f"host-{number:02}" for number in range(1, 13)])

    assert "host-01, host-02" in told
    assert told.endswith("…")
    assert "host-12" not in told


def _speak_for_now(texts: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let click speak this language until the test is over."""
    for module in click_texts.MODULES:
        for name in ("_", "ngettext"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, getattr(module, name))
    click_texts.speak(texts)


def _helps(command: click.Command, before: list[str]) -> Iterator[list[str]]:
    yield before
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from _helps(inner, [*before, name])


def _columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


def _name(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def test_roles_are_shown_by_the_names_that_the_hospital_gave_them() -> None:
    texts = Texts(Language.ZH)
    texts.learn("role", lambda: {"department-head": "信息科主任"})

    told = texts("error.approvals-missing.what", change="C", plan="p", missing="department-head 1, owner 2", fell="-")

    assert "信息科主任 1, owner 2" in told  # a role without a name keeps its id
