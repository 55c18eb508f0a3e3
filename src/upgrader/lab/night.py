"""The whole hospital in one night: every described system goes to a new version, after everything that it stands on.

Each system has a real host of the lab and releases of its own, of the lab's one vendor; everybody signs every change.
Two releases are broken as in real life: their systems are taken back, and whatever stands on them waits for another
night. A system that stands in for another one comes last of all, when that one's change is closed.
"""

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from upgrader.adapters.documents import read_systems
from upgrader.adapters.site_template import inventory_files
from upgrader.domain.errors import ExitCode, LabFailed
from upgrader.domain.hospital.dependency import Graph, affected_by, order
from upgrader.domain.hospital.system import group_of
from upgrader.domain.names import SystemId
from upgrader.lab.by_hand import switch_by_hand, unpack_by_hand
from upgrader.lab.cache import default_cache
from upgrader.lab.drop import Drop, build_drop
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION, OWNER, TESTER, Answer, Hospital, Start
from upgrader.lab.host import LabHost
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.keys import RELEASE_NAMESPACE, sign
from upgrader.lab.lab import Lab
from upgrader.lab.releases import SYSTEM
from upgrader.lab.warm_commands import warm_commands

INSTALLED, GOOD, DIES, CLOSED_DOOR = "3.1.9", "3.5.10", "3.6.1", "3.7.1"
BROKEN: Mapping[str, str] = {"lis": DIES, "mobile-nursing": CLOSED_DOOR}
Tell = Callable[[str], None]


class Ended(StrEnum):
    """How a system ended the night."""

    UPGRADED = "upgraded"
    TAKEN_BACK = "taken back"
    HELD = "held"  # something that it stands on was taken back


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One system's night. `downtime_ms` is what its host says, `because` the system that it waits for."""

    number: int
    system: SystemId
    installed: str
    wanted: str
    runs: str
    waves: int
    ended: Ended
    downtime_ms: int = 0
    because: str = ""


@dataclass(frozen=True, slots=True)
class Night:
    """A hospital whose systems each run on one host of the lab."""

    hospital: Hospital
    graph: Graph
    hosts: Mapping[SystemId, LabHost]

    def play(self, tell: Tell) -> Sequence[Line]:
        """Upgrade every system in order, and hold back those that stand on one that was taken back."""
        held: dict[SystemId, SystemId] = {}
        lines = []
        for system in order(self.hosts, self.graph):
            line = self._held(system, held[system]) if system in held else self._upgrade(system)
            if line.ended is Ended.TAKEN_BACK:
                held |= {other: system for other in affected_by(system, self.graph) if other not in held}
            lines.append(line)
            tell(shown(line))
        return lines

    def _upgrade(self, system: SystemId) -> Line:
        """One change, from the vendor's drop to its end."""
        version = BROKEN.get(system, GOOD)
        change = self._signed(system, version)
        applied = self._type(ENGINEER, "apply", change, ends=(ExitCode.DONE, ExitCode.ROLLED_BACK))
        if applied.code == ExitCode.DONE:
            self._type(ENGINEER, "soak", change)
            self._type(OWNER, "accept", change, "--yes")
        told = self._type(ENGINEER, "status", change).json()
        self._type(ENGINEER, "close", change)
        (host,) = told["hosts"]
        return Line(
            number=self.graph.systems[system].number,
            system=system,
            installed=INSTALLED,
            wanted=version,
            runs=self.runs(system),
            waves=len(told["waves"]),
            ended=Ended.UPGRADED if applied.code == ExitCode.DONE else Ended.TAKEN_BACK,
            downtime_ms=host["downtime_ms"],
        )

    def _signed(self, system: SystemId, version: str) -> str:
        self._type(ENGINEER, "stage", str(self.hospital.drop.directory / f"{system}-{version}"))
        self._type(TESTER, "record", "vendor-test", system, version, "--cases", "48 of 48")
        self._type(ENGINEER, "record", "site-test", system, version, "--cases", "12 of 12")
        asked = ("--reason", "one night", "--hosts", group_of(system), "--window", "now → +2h")
        soak = ("--soak", "2s", "--soak-interval", "1s")
        change: str = self._type(ENGINEER, "request", system, version, *asked, *soak).json()["change"]
        self._type(ENGINEER, "plan", change)
        for person in (INFORMATION, HEAD):
            self._type(person, "sign", change, "--yes")
        return change

    def _held(self, system: SystemId, because: SystemId) -> Line:
        return Line(
            number=self.graph.systems[system].number,
            system=system,
            installed=INSTALLED,
            wanted=BROKEN.get(system, GOOD),
            runs=self.runs(system),
            waves=0,
            ended=Ended.HELD,
            because=because,
        )

    def runs(self, system: SystemId) -> str:
        """What the host itself says it runs."""
        host = self.hosts[system]
        return self.hospital.lab.run(host, f"cat '{host.upgrader_root}/{system}/current/VERSION'").stdout.strip()

    def _type(self, person: str, *words: str, ends: Iterable[ExitCode] = (ExitCode.DONE,)) -> Answer:
        answer = self.hospital.upgrader(person, "--json", "--lang", "en", *words, check=False)
        if answer.code not in set(ends):
            raise LabFailed("lab-command-failed", command=" ".join(words), ended=answer.code, said=answer.err)
        return answer


def prepare(directory: Path, lab: Lab, systems: Sequence[SystemId], start: Start) -> Night:
    """A hospital on a running lab: one host, one group of the inventory and two releases for each of these systems."""
    described = inventory_files(None)
    graph = read_systems(described)
    hosts = dict(zip(systems, lab.hosts, strict=True))
    _describe(lab.inventory, described, hosts)
    drop = build_drop(lab.drop, default_cache() / "lab-drop", lambda _: None)
    for system in systems:
        for version in (INSTALLED, BROKEN.get(system, GOOD)):
            offer(drop, system, version)
    for system, host in hosts.items():
        unpack_by_hand(lab, host, drop.archive(INSTALLED), INSTALLED, system)
        if switch_by_hand(lab, host, INSTALLED, system).returncode != 0:
            raise LabFailed("lab-command-failed", command="bin/service start", ended=1, said=host.name)
    whole = replace(drop, systems=tuple(systems))
    return Night(Hospital.build(directory, lab, default_cache() / "lab-drop", drop=whole, start=start), graph, hosts)


def _describe(inventory: Path, described: Mapping[str, bytes], hosts: Mapping[SystemId, LabHost]) -> None:
    """The reference site's descriptions, and one group for each system with its host."""
    for path, content in described.items():
        if path.startswith("inventory/group_vars/"):
            (inventory / path.removeprefix("inventory/")).write_bytes(content)
    machines = inventory / "hosts.yml"
    machines.write_text(machines.read_text(encoding="utf-8").replace("exam_scheduling", "lab"), encoding="utf-8")
    groups: Mapping[str, object] = {group_of(system): {"hosts": {host.name: {}}} for system, host in hosts.items()}
    (inventory / "systems.yml").write_text(json.dumps({"all": {"children": groups}}, indent=1), encoding="utf-8")


def offer(drop: Drop, system: SystemId, version: str) -> None:
    """A release of the lab's vendor under the name of this system, for hosts that run the installed version."""
    source, folder = drop.release(version), drop.directory / f"{system}-{version}"
    if source == folder and version in (INSTALLED, GOOD):
        return
    text = (source / "release.yml").read_text(encoding="utf-8")
    text = text.replace(f"system: {SYSTEM}", f"system: {system}", 1).replace(
        f"{SYSTEM}-{version}", f"{system}-{version}"
    )
    text = text.replace('follows: ["3.5.*"]', f'follows: ["{INSTALLED}"]')
    files = {
        path.name: path for path in source.iterdir() if path.name not in ("release.yml", "SHA256SUMS", "SHA256SUMS.sig")
    }
    contents = {name.replace(SYSTEM, system): path.read_bytes() for name, path in files.items()}
    contents["release.yml"] = text.encode()
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(contents.items()))
    (folder / "SHA256SUMS").write_text(sums, encoding="ascii")
    sign(folder / "SHA256SUMS", drop.vendor_key, RELEASE_NAMESPACE)


def shown(line: Line) -> str:
    """One line of the table, in 80 columns."""
    downtime = f"{line.downtime_ms / 1000:.1f} s" if line.waves else "-"
    ended = f"{line.ended}: {line.because}" if line.because else line.ended.value
    versions = f"{line.installed:>6} → {line.wanted:<6}"
    return f"{line.number:>2}  {line.system:<28} {versions} {line.waves}  {downtime:>6}  {ended}"


HEADING = f"{'nr':>2}  {'system':<28} {'from':>6}   {'to':<6} waves, downtime, outcome"


def main(arguments: Sequence[str]) -> int:
    """Play the night for all systems, or for those that are named; the exit code says whether it went as it should."""
    graph = read_systems(inventory_files(None))
    systems = order([SystemId(name) for name in arguments] or graph.systems, graph)
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        warm_commands() as commands,
        temporary_lab(Path(folder) / "lab", hosts=len(systems)) as lab,
    ):
        night = prepare(Path(folder) / "hospital", lab, systems, commands.run)
        print(
            f"{len(systems)} systems run {INSTALLED} after {time.monotonic() - started:.0f} s\n\n{HEADING}", flush=True
        )
        lines = night.play(lambda line: print(line, flush=True))
    counts = {ended: sum(line.ended is ended for line in lines) for ended in Ended}
    print(f"\n{', '.join(f'{count} {ended}' for ended, count in counts.items())} in {time.monotonic() - started:.0f} s")
    return int(any(not as_planned(line) for line in lines))


def as_planned(line: Line) -> bool:
    """Whether the system runs what it should after this night: the new version, or whole what it had."""
    if line.system in BROKEN and line.ended is not Ended.HELD:
        return line.ended is Ended.TAKEN_BACK and line.runs == INSTALLED
    return line.runs == (line.wanted if line.ended is Ended.UPGRADED else INSTALLED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
