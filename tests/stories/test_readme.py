"""The README is true: its commands are typed on a real hospital, and its output is theirs, line by line.

`UPDATE_README=1 python -m pytest tests/stories/test_readme.py` writes the output of a fresh run into both files.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stories.conftest import BASE, MISSING
from stories.console import Typed, block_of, comparable, read_console, with_block, write_console
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import PEOPLE, Hospital
from upgrader.lab.janitor import temporary_lab
from upgrader.language import Language, catalogue

pytestmark = [pytest.mark.lab, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
# Who refuses: the code of each refusal in these files stands in docs/trust.md.
REFUSING = (
    "domain/canonical.py",
    *(f"domain/approval/{noun}.py" for noun in ("authorization", "record", "trust")),
    "domain/changes/plan.py",
    "domain/papers/paper.py",
    "flow/applying/apply.py",
    "flow/approval/authorize.py",
    "flow/planning/materials.py",
    *(f"adapters/git/{part}.py" for part in ("exported_tree", "git_mirror", "git_objects")),
    *(f"adapters/trust/{part}.py" for part in ("ssh_signatures", "trust_files")),
)
REFUSAL = re.compile(r'(?:Refused|Fault|Integrity|OutsideWindow)\(\s*"([a-z-]+)"')
READMES = {"en": ROOT / "README.md", "zh": ROOT / "README.zh.md"}
HOSTS = 3
YEAR_IN_README = "CHG-2026-"
DROP, ARCHIVE = "/media/usb", "/srv/archive"


@dataclass(frozen=True, slots=True)
class Desks:
    """Types a README's commands at the desks of the hospital's people, each in a clone of their own."""

    hospital: Hospital
    language: str
    places: Mapping[str, str]  # what the README writes, and where it is

    def type(self, typed: Sequence[Typed]) -> list[Typed]:
        """The same commands with what they said just now."""
        answered, code = [], 0
        for one in typed:
            if one.words == ["echo", "$?"]:
                answered.append(one.answered([str(code)]))
                continue
            code, said = self._run(one)
            answered.append(one.answered(said))
        return answered

    def _run(self, typed: Typed) -> tuple[int, list[str]]:
        program, *arguments = [self._really(word) for word in typed.words]
        assert program == "upgrader"
        done = subprocess.run(
            [sys.executable, "-m", "upgrader", *arguments],
            input="y\n",  # the answer to the one question that a signature asks
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
            cwd=self.hospital.clone(typed.person),
            env={**os.environ, **self.hospital.surroundings(), "UPGRADER_LANG": self.language, "COLUMNS": "80"},
        )
        assert "Traceback" not in done.stdout, done.stdout
        return done.returncode, self._as_written(done.stdout)

    def _really(self, word: str) -> str:
        for written, place in self.places.items():
            word = word.replace(written, place)
        return word

    def _as_written(self, said: str) -> list[str]:
        for written, place in self.places.items():
            said = said.replace(place, written)
        said = re.sub(r"(\[y/N\]: ?)(?=\S)", r"\1y\n", said)  # the person's own key strokes are not echoed here
        return [line.rstrip() for line in said.splitlines() if line.strip()]


@pytest.fixture(params=sorted(READMES))
def desks(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desks]:
    if MISSING:
        pytest.skip(f"NO LAB: {', '.join(MISSING)} is not installed; run tools/system-packages as root")
    with temporary_lab(tmp_path / "lab", hosts=HOSTS) as lab:
        hospital = Hospital.build(tmp_path, lab, default_cache() / "lab-drop")
        hospital.install_by_hand(BASE)
        for person in PEOPLE:
            hospital.git(person, "config", "upgrader.person", person)
            hospital.git(person, "config", "upgrader.key", str(hospital.people_keys[person]))
        places = {
            YEAR_IN_README: f"CHG-{datetime.now(UTC):%Y}-",
            DROP: str(lab.drop),
            ARCHIVE: str(tmp_path / "archive"),
        }
        yield Desks(hospital, request.param, places)


def test_every_line_of_the_readme_is_what_the_commands_say(desks: Desks) -> None:
    readme = READMES[desks.language]
    document = readme.read_text(encoding="utf-8")
    written = read_console(block_of(document))

    said = desks.type(written)

    fresh = write_console(said)
    if os.environ.get("UPDATE_README"):
        readme.write_text(with_block(document, fresh), encoding="utf-8")
        return
    for expected, found in zip(written, said, strict=True):
        assert comparable(found.output) == comparable(expected.output), (
            f"{readme.name}: after `{expected.command}`. A fresh block (UPDATE_README=1 writes it):\n\n{fresh}"
        )


def test_both_languages_type_the_same_commands() -> None:
    blocks = [read_console(block_of(path.read_text(encoding="utf-8"))) for path in READMES.values()]
    reason = re.compile(r'--reason "[^"]*"')  # the one thing that people write in their own language
    english, chinese = [[(typed.person, reason.sub("", typed.command)) for typed in block] for block in blocks]
    assert english == chinese


@pytest.mark.parametrize("language", sorted(READMES))
def test_what_the_readme_names_is_there(language: str) -> None:
    document = READMES[language].read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    targets = set(re.findall(r"\bmake ([a-z]+)", document))

    assert targets >= {"demo", "test"}
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s:#]*)(?:#([^)\s]*))?\)", document.read_text(encoding="utf-8"))

    assert [link for link, _ in links if not (document.parent / link).exists()] == []
    assert [at for link, at in links if at and at not in headings(document.parent / link if link else document)] == []


def headings(document: Path) -> set[str]:
    """The places in a document that a link can lead to, as the usual viewers of Markdown name them."""
    found = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_the_page_on_trust_names_every_code_with_which_the_gate_refuses() -> None:
    page = set(re.findall(r"`([a-z]+(?:-[a-z0-9]+)+)`", (ROOT / "docs" / "trust.md").read_text(encoding="utf-8")))
    sources = [(ROOT / "src" / "upgrader" / module).read_text(encoding="utf-8") for module in REFUSING]
    refusals = {code for source in sources for code in REFUSAL.findall(source)}
    known = {key.split(".")[1] for key in catalogue(Language.EN) if key.startswith(("error.", "note."))}

    assert refusals - page == set()
    assert page - known == {"ssh-keygen"}
