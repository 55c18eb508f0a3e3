"""A change that is signed on paper: printed, signed with a pen, scanned askew, attested, and kept in the evidence."""

import io
from pathlib import Path

import docx
import pypdfium2
import pytest
from PIL import Image

from stories.friday import is_refusal
from upgrader.adapters.state.bundle import read_bundle
from upgrader.lab.hospital import DEPUTY, ENGINEER, INFORMATION, KEEPER, OWNER, Answer, Hospital
from upgrader.lab.releases import SYSTEM

pytestmark = [pytest.mark.lab, pytest.mark.slow]

RELEASE = "3.5.10"
SAID = ("--fill", "risk=medium", "--fill", "types=defect, interface", "--fill", "notice=11-19 OA 通知门诊")


@pytest.fixture(scope="module")
def change(hospital: Hospital) -> str:
    """Planned and asked for by the engineer; nobody has signed."""
    hospital.staged(RELEASE)
    asked = ("--reason", "defect 2291", "--window", "now → +4h", "--soak", "2s", "--soak-interval", "1s", *SAID)
    answer = hospital.upgrader(ENGINEER, "--json", "request", SYSTEM, RELEASE, *asked)
    change: str = answer.json()["change"]
    hospital.upgrader(ENGINEER, "plan", change)
    return change


def typed(hospital: Hospital, person: str, *arguments: str) -> Answer:
    return hospital.upgrader(person, "--json", "--lang", "zh", *arguments, check=False)


def scanned(form: Path) -> Path:
    """The form signed with a pen, laid askew on an old scanner, and saved as a small JPEG."""
    pages = pypdfium2.PdfDocument(form)
    page = pages[len(pages) - 1].render(scale=200 / 72, grayscale=True).to_pil()
    page.paste(60, (700, 900, 950, 912))  # a stroke of ink
    tilted = page.rotate(-3, expand=True, fillcolor=235, resample=Image.Resampling.BILINEAR)
    small = tilted.resize((tilted.width * 4 // 5, tilted.height * 4 // 5))
    noise = Image.effect_noise(small.size, 40)
    target = form.with_suffix(".jpg")
    Image.blend(small, noise, 0.25).save(target, "JPEG", quality=45)
    return target


@pytest.mark.timeout(300)
def test_a_head_without_a_key_signs_with_a_pen(hospital: Hospital, change: str, tmp_path: Path) -> None:
    form, word = tmp_path / "form.pdf", tmp_path / "form.docx"
    told = typed(hospital, ENGINEER, "form", change, "--pdf", str(form), "--docx", str(word)).json()
    scan = scanned(form)

    # what is still to be said is listed, and stands on the form as a gap
    assert {"field": "contingency", "reason": "asked", "key": "contingency"} in told["missing"]
    assert "risk" not in {gap["field"] for gap in told["missing"]}
    cells = [c.text for t in docx.Document(io.BytesIO(word.read_bytes())).tables for r in t.rows for c in r.cells]
    assert "中" in cells
    assert any(text.startswith("【待填】") for text in cells)

    # the custodian attests it; alone it is not enough
    signed = typed(hospital, KEEPER, "sign", change, "--paper", str(scan), "--person", DEPUTY, "--yes")
    assert signed.code == 0, signed.err
    assert (signed.json()["record"]["custodian"], signed.json()["record"]["person"]) == (KEEPER, DEPUTY)
    assert typed(hospital, ENGINEER, "approvals", change).code == 10
    hospital.upgrader(INFORMATION, "sign", change, "--yes")

    standing = hospital.upgrader(ENGINEER, "--lang", "zh", "approvals", change).out
    assert "高远" in standing
    assert "纸质签名，保管人 he.ping 已登记" in standing

    # it runs, and whoever asks years later finds the scan
    assert typed(hospital, ENGINEER, "apply", change).code == 0
    assert typed(hospital, ENGINEER, "soak", change).code == 0
    hospital.upgrader(OWNER, "accept", change, "--yes")
    hospital.upgrader(ENGINEER, "close", change, "--to", str(tmp_path))
    bundle = tmp_path / f"{change}.evidence.tar"
    verified = typed(hospital, ENGINEER, "evidence", "verify", str(bundle))
    assert verified.code == 0, verified.err
    assert any(name.startswith("paper_") for name in verified.json()["signatures"])
    assert scan.read_bytes() in read_bundle(bundle).files.values()
    assert "纸质签名" in (tmp_path / f"{change}.report.html").read_text(encoding="utf-8")
    assert typed(hospital, ENGINEER, "audit", change).code == 0

    # afterwards the form says what came of it
    fields = typed(hospital, ENGINEER, "form", change, "--docx", str(word)).json()["fields"]
    assert fields["results"]["lines"] == ["已升级 3 台"]
    assert fields["left-behind"]["lines"] == ["无"]
    assert fields["archive"]["lines"] == [bundle.name]


@pytest.mark.timeout(300)
def test_paper_is_taken_for_this_plan_from_the_custodian_only(hospital: Hospital, tmp_path: Path) -> None:
    asked = ("--reason", "once more", "--window", "now → +4h")
    change: str = hospital.upgrader(ENGINEER, "--json", "request", SYSTEM, RELEASE, *asked).json()["change"]
    hospital.upgrader(ENGINEER, "plan", change)
    form = tmp_path / "form.pdf"
    assert typed(hospital, ENGINEER, "form", change, "--pdf", str(form)).code == 0
    attest = ("--paper", str(form), "--person", DEPUTY, "--yes")

    # a picture of something else, a yes by telephone, and hands that may not attest
    Image.new("L", (600, 800), 255).save(tmp_path / "empty.png")
    empty = ("--paper", str(tmp_path / "empty.png"), "--person", DEPUTY, "--yes")
    is_refusal(typed(hospital, KEEPER, "sign", change, *empty), "scan-without-code")
    is_refusal(typed(hospital, KEEPER, "sign", change, "--person", DEPUTY, "--yes"), "paper-without-scan")
    is_refusal(typed(hospital, INFORMATION, "sign", change, *attest), "paper-not-custodian")
    assert not list((hospital.clone(KEEPER) / "approvals" / change).glob("paper_*"))

    # signed, and taken back by telephone
    assert typed(hospital, KEEPER, "sign", change, *attest).code == 0
    back = ("withdraw", "--person", DEPUTY, "--reason", "by telephone, 09:12", "--yes")
    assert typed(hospital, KEEPER, "sign", change, *back).code == 0
    left_out = typed(hospital, ENGINEER, "approvals", change).json()["left_out"]
    assert [fault["code"] for fault in left_out] == ["approval-withdrawn"]

    # the plan is made again, because a question of the form was answered: the form of the old one is worth nothing
    assert typed(hospital, ENGINEER, "form", change, "--fill", "risk=low").code == 0
    hospital.upgrader(ENGINEER, "plan", change)
    is_refusal(typed(hospital, KEEPER, "sign", change, *attest), "scan-other-plan")
