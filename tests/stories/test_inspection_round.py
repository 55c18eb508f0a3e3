"""A day's inspection: nobody looks before the hospital allowed it, and what was found is kept, compared and printed."""

from pathlib import Path

import pypdfium2
import pytest

from stories.friday import is_refusal
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION, Answer, Hospital
from upgrader.lab.releases import SYSTEM

pytestmark = [pytest.mark.lab, pytest.mark.slow]

AGENDA = """\
daily:
  - system: {system}
    hosts: all
    probe: {{name: page, kind: http, url: "http://{{address}}:{{port}}/", expect_status: 302,
            interval: 1s, count: 1, failures_allowed: 0, timeout: 5s}}
  - system: {system}
    hosts: exam-01
    probe: {{name: backlog, kind: command, run: "cat {{root}}/backlog || echo 40",
            interval: 1s, count: 1, failures_allowed: 0, timeout: 5s}}
    at_most: 80
    drift_percent: 50
"""


def inspect(hospital: Hospital, person: str, *arguments: str) -> Answer:
    return hospital.upgrader(person, "--json", "--lang", "en", "inspect", *arguments, check=False)


def refused(answer: Answer, code: str, exit_code: int) -> str:
    assert answer.code == exit_code, answer.err
    message: str = is_refusal(answer, code)["message"]
    return message


def logins(hospital: Hospital) -> list[str]:
    return [(host.directory / "sshd.log").read_text(encoding="utf-8") for host in hospital.lab.hosts]


def push(hospital: Hospital, name: str, text: str) -> None:
    clone = hospital.clone(ENGINEER)
    hospital.git(ENGINEER, "pull", "--quiet")
    (clone / name).write_text(text, encoding="utf-8")
    hospital.git(ENGINEER, "add", name)
    hospital.git(ENGINEER, "commit", "--quiet", "--message", f"{name}")
    hospital.git(ENGINEER, "push", "--quiet")


@pytest.mark.timeout(300)
def test_what_the_hospital_allowed_is_inspected_and_nothing_else(hospital: Hospital, tmp_path: Path) -> None:
    contacted = logins(hospital)
    refused(inspect(hospital, ENGINEER, "daily"), "inspection-missing", 2)
    push(hospital, "inspection.yml", AGENDA.format(system=SYSTEM))
    refused(inspect(hospital, ENGINEER, "daily"), "inspection-not-allowed", 10)
    refused(inspect(hospital, HEAD, "allow", "--yes"), "role-not-held", 10)
    refused(inspect(hospital, INFORMATION, "allow", "--yes", "--until", "+400d"), "inspection-leave-too-long", 10)
    assert logins(hospital) == contacted

    # the hospital allows it, and all is well
    assert inspect(hospital, INFORMATION, "allow", "--yes", "--reason", "clause 5").code == 0
    refused(inspect(hospital, ENGINEER, "weekly"), "inspection-round-empty", 2)
    first = inspect(hospital, ENGINEER, "daily", "--baseline")
    assert first.code == 0, first.err
    log = first.json()
    assert (log["authorized"], log["actor"], log["risks"]) == ([INFORMATION], ENGINEER, [])
    assert [seen["reading"] for seen in log["sightings"]] == ["healthy"] * 4
    assert Path(log["file"]).is_relative_to(hospital.state / "inspections" / "daily")

    # next morning one thing has grown, and another is gone
    hospital.lab.run(hospital.lab.hosts[0], f"echo 81 > {hospital.lab.hosts[0].upgrader_root}/backlog")
    hospital.lab.run(hospital.lab.hosts[1], f"{hospital.lab.hosts[1].upgrader_root}/{SYSTEM}/current/bin/service stop")
    form = tmp_path / "daily.pdf"
    second = inspect(hospital, ENGINEER, "daily", "--pdf", str(form))
    assert second.code == 33, second.err
    risks = {(risk["host"], risk["probe"], risk["concern"]) for risk in second.json()["risks"]}
    assert risks >= {("exam-01", "backlog", "above"), ("exam-01", "backlog", "drifted")}
    assert {host for host, probe, _ in risks if probe == "page"} == {"exam-02"}
    assert second.json()["compared"] == log["began"]
    text = pypdfium2.PdfDocument(form)[0].get_textpage().get_text_range()
    assert "exam-01" in text
    assert "seenbytheinformationdepartment" in "".join(text.lower().split())

    # what was allowed is exactly this: another command is another matter
    push(hospital, "inspection.yml", AGENDA.format(system=SYSTEM).replace("echo 40", "echo 41"))
    assert "inspection.yml" in refused(inspect(hospital, ENGINEER, "daily"), "inspection-not-allowed", 10)
