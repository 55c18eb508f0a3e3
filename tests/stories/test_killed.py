"""kill -9 after every journal entry in turn, then the same command, over whole stories on real hosts.

A story is told on two hosts without a kill, and on two others where every command dies right after each fact that is
new in the journal, and is then given again. Both must end the same, and each host begin its work once.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from stories.conftest import BASE, MISSING
from stories.forked import Fact, Killer, facts_in, import_everything, run
from stories.hosts import answers, appointment_on, enter_appointment, journal_on, version_on
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION, OWNER, Hospital, Start
from upgrader.lab.host import LabHost
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.releases import SYSTEM

pytestmark = pytest.mark.lab

GOOD, NOBODY_LOGS_IN = "3.5.10", "3.7.1"
BEGUN_ONCE = dict.fromkeys(("began", "armed", "switch-started", "healthy", "confirmed"), 1)
TAKEN_BACK: tuple[Fact, ...] = (
    ("change requested",),
    ("plan made",),
    ("plan authorized",),
    ("apply started",),
    ("wave started", "wave=0"),
    ("host reported", "wave=0", "host=host-0", "playbook=playbooks/upgrade.yml", "outcome=upgraded"),
    ("wave finished", "wave=0"),
    ("wave judged", "wave=0", "verdict=unstable"),
    ("rollback started", "because=wave-unstable"),
    ("host reported", "wave=0", "host=host-0", "playbook=playbooks/rollback.yml", "outcome=rolled-back"),
    ("rollback finished",),
    ("change closed", "ending=rolled-back"),
)
MOST_KILLS = 60  # of one command: more than any story has facts


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, warm: Start) -> Iterator[Hospital]:
    """Four hosts: the first two for the stories as they should be, the others for those that are killed."""
    if MISSING:
        pytest.skip(f"NO LAB: {', '.join(MISSING)} is not installed; run tools/system-packages as root")
    import_everything()
    directory = tmp_path_factory.mktemp("killed")
    with temporary_lab(directory / "lab", hosts=4) as lab:
        hospital = Hospital.build(directory, lab, default_cache() / "lab-drop", start=warm)
        hospital.install_by_hand(BASE)
        for host in lab.hosts:
            enter_appointment(host)
        for version in (GOOD, NOBODY_LOGS_IN):
            hospital.staged(version)
        yield hospital


@dataclass
class Story:
    """One change on two hosts. `deadly`: every command is killed after each new fact, and given again."""

    hospital: Hospital
    hosts: tuple[LabHost, LabHost]
    deadly: bool
    kills: int = 0
    change: str = ""
    ended: dict[str, int] = field(default_factory=dict)

    @property
    def journal(self) -> Path:
        return self.hospital.state / "changes" / self.change / "journal.jsonl"

    def facts(self) -> list[Fact]:
        return facts_in(self.journal) if self.change else []

    def say(self, person: str, *arguments: str) -> None:
        """Give a command; when it is killed, give it again, until it ends."""
        for _ in range(MOST_KILLS):
            killer = Killer(frozenset(self.facts())) if self.deadly else None
            answer = run(self.hospital, person, *arguments, killer=killer)
            if answer.code != -signal.SIGKILL:
                self.ended[arguments[0]] = answer.code
                assert answer.code in (0, 30), answer.err
                return
            self.kills += 1
        raise AssertionError(f"{arguments} was killed {self.kills} times and came to no end")

    def ask(self, version: str, window: str) -> None:
        """Ask for the change; one that was killed is found by its folder, and asked for again."""
        named = ("--hosts", ",".join(host.name for host in self.hosts), "--wave-size", "1", "--soak", "1s")
        asked = (
            "request",
            SYSTEM,
            version,
            *named,
            "--soak-interval",
            "1s",
            "--window",
            window,
            "--reason",
            str(self.deadly),
        )
        self.say(ENGINEER, *asked)
        self.change = max(path.name for path in (self.hospital.state / "changes").iterdir())

    def signed(self) -> None:
        self.say(ENGINEER, "plan", self.change)
        for person in (INFORMATION, HEAD):
            self.say(person, "sign", self.change, "--yes")

    def ending(self) -> tuple[set[Fact], object, object, object]:
        """All by which two tellings could differ: each fact of the journal by place, and the hosts themselves."""
        names = {host.name: f"host-{place}" for place, host in enumerate(self.hosts)}
        facts = {tuple(_placed(word, names) for word in fact) for fact in self.facts()}
        return facts, self.ended, [version_on(self.hospital.lab, host) for host in self.hosts], self.begun()

    def begun(self) -> list[Counter[str]]:
        """How often each host began, switched and went back under this change."""
        lines = [journal_on(self.hospital.lab, host).splitlines() for host in self.hosts]
        mine = [[line.split(" ")[4] for line in said if f" {self.change}." in line] for said in lines]
        return [Counter(facts) for facts in mine]


def _placed(word: str, names: dict[str, str]) -> str:
    return f"host={names[word.removeprefix('host=')]}" if word.startswith("host=") else word


def window() -> str:
    """Open now, in words that mean the same when they are said again."""
    now = datetime.now(ZoneInfo("Asia/Shanghai"))
    return f"{now:%Y-%m-%d %H:%M} → {now + timedelta(hours=4):%Y-%m-%d %H:%M}"


def refuse_an_older_journal(story: Story, older: bytes) -> None:
    """The journal as it stood before the first wave is put back: its hosts are asked, and nothing runs."""
    newest, before = story.journal.read_bytes(), story.begun()
    story.journal.write_bytes(older)
    refused = run(story.hospital, ENGINEER, "--json", "apply", story.change)
    story.journal.write_bytes(newest)
    assert refused.code == 13, refused.err
    assert refused.json()["code"] == "journal-older-than-hosts"
    assert refused.json()["fields"]["hosts"] == ", ".join(f"{host.name} (confirmed)" for host in story.hosts)
    assert story.begun() == before


def accepted(story: Story) -> Story:
    story.ask(GOOD, window())
    story.signed()
    older = story.journal.read_bytes()
    story.say(ENGINEER, "apply", story.change)
    if not story.deadly:
        refuse_an_older_journal(story, older)
    story.say(ENGINEER, "soak", story.change)
    story.say(OWNER, "accept", story.change, "--yes")
    story.say(ENGINEER, "close", story.change)
    return story


def taken_back(story: Story) -> Story:
    story.ask(NOBODY_LOGS_IN, window())
    story.signed()
    story.say(ENGINEER, "apply", story.change)
    story.say(ENGINEER, "close", story.change)
    return story


def test_killed_after_every_entry_an_accepted_change_ends_as_if_nobody_was_killed(hospital: Hospital) -> None:
    first, second, third, fourth = hospital.lab.hosts
    told = accepted(Story(hospital, (first, second), deadly=False))

    killed = accepted(Story(hospital, (third, fourth), deadly=True))

    assert killed.kills == len(set(told.facts()))
    assert killed.ending() == told.ending()
    assert killed.begun() == [Counter(BEGUN_ONCE)] * 2
    assert all(appointment_on(host) for host in hospital.lab.hosts)


def test_killed_after_every_entry_a_change_that_is_taken_back_ends_as_if_nobody_was_killed(hospital: Hospital) -> None:
    """After the first: on its hosts. What a run that nobody kills writes down is listed here, each fact once."""
    *_, third, fourth = hospital.lab.hosts

    killed = taken_back(Story(hospital, (third, fourth), deadly=True))

    assert killed.kills == len(TAKEN_BACK)
    assert killed.ending()[0] == set(TAKEN_BACK)
    assert killed.ended == {"request": 0, "plan": 0, "sign": 0, "apply": 30, "close": 0}
    assert killed.begun() == [Counter({**BEGUN_ONCE, "undo-started": 1, "taken-back": 1}), Counter()]
    assert [version_on(hospital.lab, host) for host in (third, fourth)] == [GOOD, GOOD]
    assert answers(third)
