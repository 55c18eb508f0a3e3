"""One request for several systems, and one over several versions: in order, each watched, and all the way back."""

import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from upgrader.domain.digest import Digest
from upgrader.domain.hospital.system import group_of
from upgrader.domain.names import SystemId
from upgrader.lab.archive import pack
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION, OWNER, TESTER, Answer, Start
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.keys import RELEASE_NAMESPACE, sign
from upgrader.lab.night import CLOSED_DOOR, GOOD, INSTALLED, Night, offer, prepare
from upgrader.lab.programs import missing_programs

pytestmark = pytest.mark.lab

MISSING = missing_programs(("sshd", "ssh", "ssh-keygen", "git"))
NURSING, MOBILE, PICC = SystemId("nursing-information"), SystemId("mobile-nursing"), SystemId("picc")
WINDOW = "2031-03-01 22:00 → 2031-03-02 01:00"
NEWEST = "3.5.11"  # follows 3.5 alone
THIRD_LINK = "3.5.12"  # follows only that


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, warm: Start) -> Iterator[Night]:
    """Two systems that stand on a third one; the new release of one of them lets nobody in."""
    if MISSING:
        pytest.skip(f"NO LAB: {', '.join(MISSING)} is not installed; run tools/system-packages as root")
    directory = tmp_path_factory.mktemp("joint")
    with temporary_lab(directory / "lab", hosts=3) as lab:
        night = prepare(directory / "hospital", lab, [NURSING, MOBILE, PICC], warm)
        for system, version in ((NURSING, GOOD), (MOBILE, CLOSED_DOOR), (PICC, GOOD)):
            stage(night, system, version)
        yield night


def typed(night: Night, person: str, *words: str, check: bool = True) -> Answer:
    return night.hospital.upgrader(person, "--json", "--lang", "en", *words, check=check)


def stage(night: Night, system: str, version: str) -> None:
    typed(night, ENGINEER, "stage", str(night.hospital.drop.directory / f"{system}-{version}"))
    typed(night, TESTER, "record", "vendor-test", system, version, "--cases", "48 of 48")
    typed(night, ENGINEER, "record", "site-test", system, version, "--cases", "12 of 12")


def requested(night: Night, *words: str) -> list[str]:
    soak = ("--soak", "2s", "--soak-interval", "1s")
    asked = typed(night, ENGINEER, "request", *words, "--reason", "one night", "--window", "now → +2h", *soak)
    return [one["change"] for one in asked.json()["changes"]]


def signed(night: Night, *words: str) -> list[str]:
    changes = requested(night, *words)
    planned = typed(night, ENGINEER, "plan", changes[-1], "--together").json()["plans"]
    assert [one["plan"]["change"] for one in planned] == changes
    typed(night, INFORMATION, "sign", changes[0], "--yes")  # one by itself: what is typed next goes on after it
    for person, before in ((INFORMATION, 1), (HEAD, 0)):
        told = typed(night, person, "sign", changes[-1], "--together", "--yes").json()["changes"]
        assert [(one["change"], one["plan"]) for one in told] == [(p["plan"]["change"], p["digest"]) for p in planned]
        assert [one["record"] is None for one in told] == [n < before for n in range(len(changes))]
    return changes


def state_of(night: Night, change: str) -> str:
    state: str = typed(night, ENGINEER, "status", change).json()["state"]
    return state


def cancel(night: Night, *changes: str) -> None:
    for change in changes:
        typed(night, ENGINEER, "cancel", change, "--reason", "end of the test")


def test_when_the_second_of_two_fails_both_go_back_in_reverse_order(night: Night) -> None:
    first, second = signed(night, MOBILE, CLOSED_DOOR, NURSING, GOOD)
    plan = json.loads((night.hospital.clone(ENGINEER) / "approvals" / second / "plan.json").read_text())
    assert [part["system"] for part in plan["joint"]] == [NURSING, MOBILE]  # what the other one stands on comes first
    applied = typed(night, ENGINEER, "apply", second, check=False)

    assert applied.code == 30, applied.err
    assert (state_of(night, first), state_of(night, second)) == ("rolled-back", "rolled-back")
    assert (night.runs(NURSING), night.runs(MOBILE)) == (INSTALLED, INSTALLED)
    back = [when(night, change, '"rollback finished"') for change in (second, first)]
    assert back == sorted(back)
    for change in (first, second):
        assert typed(night, ENGINEER, "audit", change).code == 0


def when(night: Night, change: str, event: str) -> str:
    lines = (night.hospital.state / "changes" / change / "journal.jsonl").read_text().splitlines()
    (at,) = [json.loads(line)["at"] for line in lines if event in line]
    return str(at)


def test_the_second_does_not_begin_before_the_first_is_stable_and_is_taken_back_alone_by_a_person(night: Night) -> None:
    first, second = signed(night, PICC, GOOD, NURSING, GOOD)
    typed(night, ENGINEER, "plan", first)  # nothing new: the same plan

    applied = typed(night, ENGINEER, "apply", second)
    assert applied.code == 0, applied.err
    assert (state_of(night, first), state_of(night, second)) == ("stable", "stable")
    assert (night.runs(NURSING), night.runs(PICC)) == (GOOD, GOOD)
    assert when(night, first, '"found stable"') <= when(night, second, '"apply started"')

    typed(night, ENGINEER, "rollback", second, "--reason", "the clinic wants to wait")
    assert typed(night, ENGINEER, "apply", second, check=False).code == 30  # how it ended, and nothing more
    assert (state_of(night, first), state_of(night, second)) == ("stable", "rolled-back")
    assert (night.runs(NURSING), night.runs(PICC)) == (GOOD, INSTALLED)

    taken = typed(night, ENGINEER, "rollback", first, "--reason", "the ward can't print")
    assert taken.json()["state"] == "rolled-back"
    assert (night.runs(NURSING), night.runs(PICC)) == (INSTALLED, INSTALLED)


def test_a_jump_is_a_chain_of_changes_and_goes_back_over_all_of_it(night: Night) -> None:
    another_release(night)
    stage(night, MOBILE, GOOD)
    stage(night, MOBILE, NEWEST)
    first, second = signed(night, MOBILE, NEWEST, "--from", INSTALLED)
    alone = typed(night, ENGINEER, "request", MOBILE, NEWEST, "--reason", "jump", "--window", "now → +2h").json()
    refused = typed(night, ENGINEER, "plan", alone["change"], check=False)
    assert refused.json()["code"] == "release-may-not-follow"
    cancel(night, alone["change"])

    repack(night, MOBILE, GOOD, THIRD_LINK, f'follows: ["{INSTALLED}"]', f'follows: ["{NEWEST}"]')
    stage(night, MOBILE, THIRD_LINK)
    longer = requested(night, MOBILE, THIRD_LINK, "--from", INSTALLED)  # planned while all hosts run the oldest
    plans = typed(night, ENGINEER, "plan", longer[0], "--together").json()["plans"]
    assert [plan["plan"]["hosts"][0]["installed"] for plan in plans] == [INSTALLED, GOOD, NEWEST]
    cancel(night, *longer)

    applied = typed(night, ENGINEER, "apply", second)
    assert applied.code == 0, applied.err
    assert night.runs(MOBILE) == NEWEST
    assert state_of(night, first) == "stable"

    typed(night, ENGINEER, "rollback", first, "--reason", "end of the test")
    assert night.runs(MOBILE) == INSTALLED
    assert (state_of(night, first), state_of(night, second)) == ("rolled-back", "rolled-back")
    assert when(night, second, '"rollback finished"') <= when(night, first, '"rollback started"')


def test_versions_that_are_not_declared_to_go_together_are_refused(night: Night) -> None:
    declare(night, PICC, "3.6.0", f'works_with: {{{NURSING}: ["3.5.*"]}}\n')
    stage(night, PICC, "3.6.0")
    typed(night, ENGINEER, "systems", NURSING, "--ask")
    alone = typed(night, ENGINEER, "request", PICC, "3.6.0", "--reason", "alone", "--window", "now → +2h").json()
    refused = typed(night, ENGINEER, "plan", alone["change"], check=False)
    first, second = requested(night, PICC, "3.6.0", NURSING, GOOD)
    before_its_turn = typed(night, ENGINEER, "plan", second, check=False)
    together = [typed(night, ENGINEER, "plan", change, check=False) for change in (first, second)]

    assert (refused.code, refused.json()["code"]) == (10, "works-with-not")
    assert before_its_turn.json()["code"] == "joint-not-planned"
    assert [planned.code for planned in together] == [0, 0]
    cancel(night, alone["change"], first, second)


@pytest.mark.parametrize("what_was_left", ["a commit that was not pushed", "half of the files"])
def test_a_request_that_was_cut_short_goes_on_with_its_numbers(night: Night, what_was_left: str) -> None:
    asked = ("request", MOBILE, CLOSED_DOOR, NURSING, GOOD, "--reason", what_was_left, "--window", WINDOW)
    hook = night.hospital.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    cut = typed(night, ENGINEER, *asked, check=False)
    hook.unlink()
    clone = night.hospital.clone(ENGINEER)
    written = sorted(file.parent.name for file in clone.glob("approvals/*/request.yml"))[-2:]
    if what_was_left == "half of the files":
        subprocess.run(["git", "-C", str(clone), "reset", "--quiet", "--mixed", "HEAD~1"], check=True)
        shutil.rmtree(clone / "approvals" / written[1])

    again = [one["change"] for one in typed(night, ENGINEER, *asked).json()["changes"]]

    assert cut.json()["code"] == "push-failed"
    assert again == written
    assert [state_of(night, change) for change in again] == ["requested", "requested"]
    cancel(night, *again)
    new = [one["change"] for one in typed(night, ENGINEER, *asked).json()["changes"]]
    assert not {*new} & {*again}  # what was cancelled is over: this is asked for anew
    cancel(night, *new)


def test_workstations_get_a_change_of_their_own_behind_the_servers_of_all_systems(night: Night) -> None:
    """The workstation of one system, which is the other one's server here: only asked for and planned, not upgraded."""
    file = night.hospital.clone(ENGINEER) / "inventory" / "systems.yml"
    before = file.read_text()
    inventory = json.loads(before)
    station = {night.hosts[PICC].name: {"upgrader_kind": "workstation"}}
    inventory["all"]["children"][group_of(NURSING)]["hosts"] |= station
    commit(night, file, json.dumps(inventory), "a workstation")

    asked = typed(
        night, ENGINEER, "request", NURSING, GOOD, MOBILE, CLOSED_DOOR, "--reason", "servers first", "--window", WINDOW
    ).json()["changes"]
    plan = typed(night, ENGINEER, "plan", asked[0]["change"]).json()["plan"]

    told = [(one["system"], one["only"]) for one in asked]
    assert told == [(NURSING, "servers"), (MOBILE, None), (NURSING, "workstations")]
    assert [host["name"] for host in plan["hosts"]] == [night.hosts[NURSING].name]
    assert [part.get("only") for part in plan["joint"]] == ["servers", None, "workstations"]
    cancel(night, *(one["change"] for one in asked))
    commit(night, file, before, "as it was")


def commit(night: Night, file: Path, text: str, message: str) -> None:
    night.hospital.git(ENGINEER, "pull", "--ff-only")
    file.write_text(text)
    night.hospital.git(ENGINEER, "commit", "--all", "-m", message)
    night.hospital.git(ENGINEER, "push")


def test_all_changes_of_a_request_are_printed_accepted_and_closed_with_one_command_each(
    night: Night, tmp_path: Path
) -> None:
    changes = first, second = signed(night, PICC, GOOD, NURSING, GOOD)
    forms = typed(night, ENGINEER, "form", second, "--together", "--docx", f"{tmp_path}/{{change}}.docx").json()[
        "forms"
    ]
    one_file = typed(night, ENGINEER, "form", first, "--together", "--docx", f"{tmp_path}/all.docx", check=False)
    assert [form["files"] for form in forms] == [[f"{tmp_path}/{change}.docx"] for change in changes]
    assert len({form["code"] for form in forms}) == 2
    assert one_file.code == 2

    typed(night, ENGINEER, "apply", first)
    typed(night, ENGINEER, "soak", first)
    assert states(night, first) == {first: "stable", second: "planned"}
    for verb in ("accept", "close"):  # a word on all of them is not given for one that has not run
        too_early = typed(night, OWNER, verb, first, "--together", *(["--yes"] * (verb == "accept")), check=False)
        assert (too_early.code, too_early.json()["code"]) == (10, "joint-not-over")

    typed(night, ENGINEER, "apply", second)
    accepted = typed(night, OWNER, "accept", second, "--together", "--yes").json()["changes"]
    assert [one["change"] for one in accepted] == changes
    assert states(night, second) == {first: "accepted", second: "accepted"}
    for _ in range(2):  # closed again, it writes the papers again
        closed = typed(night, ENGINEER, "close", first, "--together", "--to", str(tmp_path)).json()["changes"]
        assert [one["change"] for one in closed] == changes
    assert all((tmp_path / f"{change}.evidence.tar").is_file() for change in changes)
    shown = night.hospital.upgrader(ENGINEER, "--lang", "en", "status", second).out
    assert f"✓ {second}  {PICC} {GOOD}  closed  (this one)" in shown
    assert "all changes of this request are over" in shown


def states(night: Night, change: str) -> dict[str, str]:
    """What `status` of any one of them says of all."""
    return {one["change"]: one["state"] for one in typed(night, ENGINEER, "status", change).json()["joint"]}


def another_release(night: Night) -> None:
    """The good release once more under a newer number, which only it may precede."""
    offer(night.hospital.drop, MOBILE, GOOD)
    repack(night, MOBILE, GOOD, NEWEST, f'follows: ["{INSTALLED}"]', 'follows: ["3.5.*"]')


def declare(night: Night, system: str, version: str, text: str) -> None:
    repack(night, system, GOOD, version, "probes:", f"{text}probes:")


def repack(night: Night, system: str, version: str, newer: str, old: str, new: str) -> None:
    drop = night.hospital.drop
    folder = drop.directory / f"{system}-{newer}"
    shutil.copytree(drop.directory / f"{system}-{version}", folder)
    archive = folder / f"{system}-{version}.tar.gz"
    before = archive.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(before)) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}  # type: ignore[union-attr]
    files["VERSION"] = f"{newer}\n".encode()
    after = pack(files, date(2026, 11, 20))
    archive.unlink()
    (folder / f"{system}-{newer}.tar.gz").write_bytes(after)
    manifest = folder / "release.yml"
    text = (
        manifest.read_text().replace(_sum(before), _sum(after)).replace(f"size: {len(before)}", f"size: {len(after)}")
    )
    assert old in text
    manifest.write_text(text.replace(old, new, 1).replace(version, newer))
    sums = folder / "SHA256SUMS"
    listed = sorted(path for path in folder.iterdir() if not path.name.startswith("SHA256SUMS"))
    sums.write_text("".join(f"{_sum(path.read_bytes())}  {path.name}\n" for path in listed))
    Path(f"{sums}.sig").unlink()
    sign(sums, drop.vendor_key, RELEASE_NAMESPACE)


def _sum(content: bytes) -> str:
    return Digest.of(content).hex
