"""Friday evening: the changes of a hospital as they stand before the night, and a way back to exactly that."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from upgrader.adapters.state.journal_file import JournalFile
from upgrader.domain.changes.journal import History
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION, Answer, Hospital
from upgrader.lab.host import LabHost
from upgrader.lab.releases import SYSTEM
from upgrader.language import Language, Texts

RELEASE = "3.5.10"
MANIFEST = f"releases/{SYSTEM}/{RELEASE}/release.yml"
ARCHIVE = f"{SYSTEM}-{RELEASE}.tar.gz"
HEAD_ROLE, INFORMATION_ROLE = "department-head", "information-department"
KEPT = ("site.git", "clones", "state")
LEAVING = re.compile(r"Received disconnect from|Disconnected from user")


@dataclass(frozen=True, slots=True)
class Friday:
    """`ready` may run now. `unsigned` waits for its approvals; the head of the information department asked for it.

    `later` is signed for a window that opens in two hours, `over` was signed for one that closes at once.
    """

    hospital: Hospital
    ready: str
    unsigned: str
    later: str
    over: str

    @classmethod
    def of(cls, hospital: Hospital) -> Self:
        """Bring four changes to where they stand on Friday evening, and keep a copy of it all."""
        hospital.staged(RELEASE)
        over = _planned(hospital, ENGINEER, "now → +60s", HEAD, INFORMATION)
        ready = _planned(hospital, ENGINEER, "now → +4h", HEAD, INFORMATION)
        later = _planned(hospital, ENGINEER, "+2h → +5h", HEAD, INFORMATION)
        unsigned = _planned(hospital, INFORMATION, "now → +4h")
        friday = cls(hospital, ready, unsigned, later, over)
        assert friday.upgrader(ENGINEER, "approvals", ready).code == 0  # so the gate has seen the branch as it stands
        for name in KEPT:
            shutil.copytree(hospital.directory / name, friday._kept / name, symlinks=True)
        return friday

    def come_back(self) -> None:
        """Make everything as it was on Friday evening, whatever was done since. A clone changes with its branch."""
        moved = [path.name for path in (self._kept / "clones").iterdir() if _branch(path) != self._branch_of(path.name)]
        for name in ("site.git", "state", *(f"clones/{person}" for person in moved)):
            shutil.rmtree(self.hospital.directory / name)
            shutil.copytree(self._kept / name, self.hospital.directory / name, symlinks=True)

    def upgrader(self, person: str, *arguments: str, **environment: str) -> Answer:
        """Run a command as `person`, in English, and judge its exit code yourself."""
        return self.hospital.upgrader(person, "--json", "--lang", "en", *arguments, check=False, **environment)

    def apply(self, change: str) -> Answer:
        return self.upgrader(ENGINEER, "apply", change)

    def history(self, change: str) -> History:
        return JournalFile(self.hospital.state / "changes" / change / "journal.jsonl").history()

    @property
    def tip(self) -> str:
        """The commit at which the protected branch stands."""
        return (self.hospital.remote / "refs" / "heads" / "main").read_text(encoding="ascii")

    @property
    def builds(self) -> frozenset[Path]:
        return frozenset(path for path in (self.hospital.state / "builds").rglob("*") if path.is_file())

    @property
    def callers(self) -> dict[str, list[str]]:
        """What the sshd of each host wrote down of everybody who came. Who leaves now may have come long ago."""
        return {host.name: [line for line in _log(host) if not LEAVING.match(line)] for host in self.hospital.lab.hosts}

    def _branch_of(self, person: str) -> bytes:
        return _branch(self.hospital.clone(person))

    @property
    def _kept(self) -> Path:
        return self.hospital.directory / "friday"


def is_refusal(answer: Answer, code: str) -> dict[str, Any]:
    """Check that a command said no as it should: this code, in words, with what to do, in both languages."""
    assert "Traceback" not in answer.err + answer.out, answer.err
    told = answer.json()
    assert (told["format"], told["code"]) == ("upgrader.error/1", code), told
    assert told["exit_code"] == answer.code
    for language in Language:
        texts = Texts(language)
        assert texts.has(f"error.{code}.what"), f"{code} has no words in {language}"
        assert texts.has(f"error.{code}.todo"), f"{code} does not say in {language} what to do"
    assert "→ " in told["message"]
    assert not re.search(r"\{[a-z_]+\}", told["message"]), f"a field of {code} was not filled in: {told['message']}"
    assert code in answer.err
    return told


def _branch(clone: Path) -> bytes:
    return (clone / ".git" / "refs" / "heads" / "main").read_bytes()


def _log(host: LabHost) -> list[str]:
    return (host.directory / "sshd.log").read_text(encoding="utf-8").splitlines()


def _planned(hospital: Hospital, requester: str, window: str, *signers: str) -> str:
    short = ("--reason", "defect 2291", "--soak", "4s", "--soak-interval", "2s")
    asked = hospital.upgrader(requester, "--json", "request", SYSTEM, RELEASE, "--window", window, *short)
    change: str = asked.json()["change"]
    hospital.upgrader(ENGINEER, "plan", change)
    for signer in signers:
        hospital.upgrader(signer, "sign", change, "--yes")
    return change
