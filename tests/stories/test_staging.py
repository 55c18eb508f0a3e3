"""A drop's way in, through the real command line: in a zip over HTTPS, without papers, and back to an older release."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.file_servers import ADDRESS, running_web_server
from stories.drops import DropToBe
from stories.hosts import answers, appointment_on, enter_appointment, version_on
from upgrader.lab.cache import default_cache
from upgrader.lab.drop import NOTES
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION, TESTER, Answer, Hospital, Start
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.programs import missing_programs
from upgrader.lab.releases import SYSTEM, VENDOR

OLDER, NEWER, NEXT = "3.1.9", "3.5.10", "3.6.1"
MISSING = missing_programs(("sshd", "ssh", "ssh-keygen", "git"))
ANSWERS = {"zh: TODO": "zh: 改进网页预约界面", "en: TODO": "en: better web page for bookings"}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, warm: Start) -> Iterator[Hospital]:
    """A hospital of one host, which went from 3.1.9 to 3.5.10 and holds an appointment."""
    if MISSING:
        pytest.skip(f"NO LAB: {', '.join(MISSING)} is not installed; run tools/system-packages as root")
    directory = tmp_path_factory.mktemp("hospital")
    with temporary_lab(directory / "lab", hosts=1) as lab:
        hospital = Hospital.build(directory, lab, default_cache() / "lab-drop", start=warm)
        hospital.install_by_hand(OLDER)
        hospital.install_by_hand(NEWER, OLDER)
        enter_appointment(lab.hosts[0])
        yield hospital


def asked(hospital: Hospital, *arguments: str) -> Answer:
    return hospital.upgrader(ENGINEER, "--json", "--lang", "en", *arguments, check=False)


def refusal(answer: Answer, code: str, exit_code: int = 10) -> dict[str, Any]:
    told = answer.json()
    assert (told["code"], answer.code) == (code, exit_code), answer.err
    return told


def test_a_drop_comes_in_a_zip_over_https_and_goes_on_where_the_link_broke(hospital: Hospital, tmp_path: Path) -> None:
    packed = Path(shutil.make_archive(str(tmp_path / "exam"), "zip", hospital.drop.directory, f"{SYSTEM}-{NEWER}"))
    (tmp_path / "web").mkdir()
    with running_web_server(tmp_path / "web") as web:
        web.shelf.files = {"/drops/exam.zip": packed.read_bytes()}
        web.shelf.cuts = [200_000]

        address = f"https://{ADDRESS}:{web.port}/drops/exam.zip"
        answer = asked(hospital, "stage", address, "--ca-file", str(web.authority))

    assert answer.code == 0, answer.err
    assert (answer.json()["version"], answer.json()["builds"][0]["kind"]) == (NEWER, "tar")
    assert "the link broke" in answer.err
    assert "fetching exam.zip: 100 %" in answer.err
    assert [found for _, found in web.shelf.asked] == ["", "bytes=200000-"]
    assert not any((hospital.state / "quarantine").iterdir())


def test_an_older_release_takes_a_declared_way_back_which_everybody_sees(hospital: Hospital) -> None:
    (host,) = hospital.lab.hosts
    hospital.staged(OLDER)
    window = ("--window", "now → +4h", "--soak", "2s", "--soak-interval", "1s")
    silent = hospital.upgrader(ENGINEER, "--json", "request", SYSTEM, OLDER, "--reason", "defect 2402", *window)
    refusal(asked(hospital, "plan", silent.json()["change"]), "older-than-installed")

    reason = "3.5.10 loses reports"
    change = hospital.upgrader(
        *(ENGINEER, "--json", "request", SYSTEM, OLDER, "--reason", "defect 2402", "--downgrade", reason), *window
    ).json()["change"]
    planned = asked(hospital, "plan", change)
    notes = {note["code"]: note["fields"] for note in planned.json()["plan"]["notes"]}
    assert notes["downgrade"] == {"count": "1", "found": NEWER, "version": OLDER, "reason": reason}
    for signer in (INFORMATION, HEAD):
        hospital.upgrader(signer, "sign", change, "--yes")
    applied = asked(hospital, "apply", change)

    assert applied.code == 0, applied.err
    assert version_on(hospital.lab, host) == OLDER
    assert answers(host)
    assert appointment_on(host).endswith(host.name)


def test_a_file_that_a_probe_would_fetch_has_to_come_with_the_release(hospital: Hospital, tmp_path: Path) -> None:
    """The vendor built the handhelds' program once more, and release.yml tells of the one before."""
    told = DropToBe.copy_of(hospital.drop, NEXT, tmp_path)
    told.replace(
        "    expect_status: 200\n    interval", f"    expect_status: 200\n    expect_sha256: {'d' * 64}\n    interval"
    )
    told.sign()

    fields = refusal(asked(hospital, "stage", str(told.folder)), "probe-file-not-delivered")["fields"]

    assert (fields["probe"], fields["found"]) == ("web page", "d" * 64)
    assert not (hospital.clone(ENGINEER) / "releases" / SYSTEM / NEXT).exists()


def test_a_version_that_is_known_otherwise_is_not_taken_again(hospital: Hospital, tmp_path: Path) -> None:
    """Under another spelling, or after somebody pushed other papers and took them back."""
    spelt = DropToBe.copy_of(hospital.drop, NEWER, tmp_path)
    spelt.replace(f'version: "{NEWER}"', f'version: "v{NEWER}"')
    spelt.sign()
    assert refusal(asked(hospital, "stage", str(spelt.folder)), "version-alike")["fields"]["found"] == NEWER

    hospital.git(TESTER, "pull", "--quiet", "--ff-only")
    checksums = hospital.clone(TESTER) / "releases" / SYSTEM / OLDER / "SHA256SUMS"
    signed = checksums.read_bytes()
    for content in (b"0" + signed[1:], signed):
        push(hospital, checksums, content)
    refusal(asked(hospital, "stage", str(hospital.drop.release(OLDER))), "version-was-other")


def push(hospital: Hospital, file: Path, content: bytes) -> None:
    """Somebody who may push changes one file on the protected branch."""
    file.write_bytes(content)
    hospital.git(TESTER, "commit", "--quiet", "--all", "--message", "x")
    hospital.git(TESTER, "push", "--quiet")


def test_notes_that_somebody_changed_on_the_branch_are_found_and_put_right(hospital: Hospital) -> None:
    options = ("--reason", "defect 2404", "--window", "now → +4h")
    change = hospital.upgrader(ENGINEER, "--json", "request", SYSTEM, NEWER, *options).json()["change"]
    hospital.git(TESTER, "pull", "--quiet", "--ff-only")
    notes = hospital.clone(TESTER) / "releases" / SYSTEM / NEWER / NOTES
    signed = notes.read_bytes()
    push(hospital, notes, b"nothing new\n")

    refusal(asked(hospital, "plan", change), "document-differs")
    mended = asked(hospital, "stage", str(hospital.drop.release(NEWER)))

    assert (mended.code, mended.json()["was_there"]) == (0, False), mended.err
    hospital.git(TESTER, "pull", "--quiet", "--ff-only")
    assert notes.read_bytes() == signed


def without_papers(hospital: Hospital, folder: Path) -> Path:
    """What a vendor sends that knows nothing of us: an archive and some notes."""
    folder.mkdir()
    shutil.copy(hospital.drop.archive(NEXT), folder)
    shutil.copy(hospital.drop.release(NEXT) / NOTES, folder)
    return folder


def name_packager(hospital: Hospital) -> None:
    policy = json.loads(hospital.policy())
    policy["vendors"][0]["packagers"] = [ENGINEER]
    file = hospital.directory / "policy-with-packager.yml"
    file.write_text(json.dumps(policy, ensure_ascii=False), encoding="utf-8")
    hospital.upgrader(ENGINEER, "trust", "update", "--policy", str(file), "--root-key", str(hospital.root_key))


def test_a_drop_without_papers_is_drafted_completed_sealed_and_vouched_for(hospital: Hospital, tmp_path: Path) -> None:
    folder = without_papers(hospital, tmp_path / "stick")
    refusal(asked(hospital, "stage", "--draft", "https://127.0.0.1/stick/"), "source-must-be-local", 2)
    drafted = asked(hospital, "stage", "--draft", str(folder)).json()
    assert (drafted["system"], drafted["version"], drafted["as"], drafted["todos"]) == (SYSTEM, NEXT, NEWER, 2)

    unfinished = asked(hospital, "stage", "--seal", str(folder))
    told = refusal(unfinished, "document-invalid", 2)
    assert {problem["code"] for problem in told["problems"]} == {"still-to-do"}
    assert all(problem["line"] and problem["column"] for problem in told["problems"])
    refusal(asked(hospital, "stage", str(folder)), "drop-paper-missing")

    manifest = folder / "release.yml"
    text = manifest.read_text(encoding="utf-8")
    for todo, said in ANSWERS.items():
        text = text.replace(todo, said)
    manifest.write_text(text, encoding="utf-8")
    refusal(asked(hospital, "stage", "--seal", str(folder)), "seal-not-the-vendors")
    manifest.write_text(text.replace("# packager:", "packager:"), encoding="utf-8")
    refusal(asked(hospital, "stage", "--seal", str(folder)), "packager-not-allowed")
    assert sorted(path.name for path in folder.iterdir()) == sorted([NOTES, f"{SYSTEM}-{NEXT}.tar.gz", "release.yml"])

    name_packager(hospital)
    sealed = asked(hospital, "stage", "--seal", str(folder))
    staged = asked(hospital, "stage", str(folder))
    assert (sealed.code, staged.code) == (0, 0), staged.err
    assert staged.json()["packager"] == ENGINEER

    hospital.upgrader(TESTER, "record", "vendor-test", SYSTEM, NEXT, "--cases", "48 of 48")
    hospital.install_by_hand(NEWER, OLDER)
    options = ("--reason", "defect 2403", "--window", "now → +4h")
    change = hospital.upgrader(ENGINEER, "--json", "request", SYSTEM, NEXT, *options).json()["change"]
    notes = {note["code"]: note["fields"] for note in asked(hospital, "plan", change).json()["plan"]["notes"]}
    assert notes["repackaged"] == {"person": ENGINEER, "vendor": VENDOR}


def test_a_packager_who_is_revoked_vouches_for_nothing_any_more(hospital: Hospital) -> None:
    """Comes last: the trust file forgets the packager, and the gate no longer takes the release."""
    file = hospital.directory / "policy-without.yml"
    file.write_text(hospital.policy(), encoding="utf-8")
    hospital.upgrader(ENGINEER, "trust", "update", "--policy", str(file), "--root-key", str(hospital.root_key))
    change = sorted(path.name for path in (hospital.clone(ENGINEER) / "approvals").iterdir())[-1]

    refusal(asked(hospital, "approvals", change), "packager-not-allowed")
