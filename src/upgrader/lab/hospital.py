"""A hospital around a lab: people with keys, a git remote, a site repository, a trust file, and the real command line.

Everything that happens here happens through `upgrader` itself, as its users type it, each in a clone of their own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, Self

from upgrader.domain.digest import Digest
from upgrader.domain.errors import LabFailed
from upgrader.lab.drop import Drop, build_drop
from upgrader.lab.keys import ensure_key, ensure_people_keys, public_text
from upgrader.lab.lab import Lab, Progress, silent
from upgrader.lab.releases import SYSTEM, VENDOR

SITE = "renmin-hospital"
ENGINEER, INFORMATION, HEAD, OWNER, TESTER = "li.na", "zhang.wei", "wang.fang", "chen.jing", "zhao.lei"
KEEPER, DEPUTY = "he.ping", "gao.yuan"  # keeps the signed forms; signs on paper only, and has no key
PEOPLE: Mapping[str, tuple[str, str, str, str]] = {
    ENGINEER: ("李娜", "Li Na", "maintenance", "on-site-engineer"),
    INFORMATION: ("张伟", "Zhang Wei", "hospital", "information-department"),
    HEAD: ("王芳", "Wang Fang", "hospital", "department-head"),
    OWNER: ("陈静", "Chen Jing", "hospital", "owning-department"),
    TESTER: ("赵磊", "Zhao Lei", "vendor", "vendor-test"),
    KEEPER: ("何萍", "He Ping", "hospital", "form-custodian"),
}
ROLE_NAMES: Mapping[str, tuple[str, str]] = {
    "on-site-engineer": ("驻场运维工程师", "On-Site Engineer"),
    "information-department": ("信息科", "Information Department"),
    "department-head": ("信息科主任", "Head of the Information Department"),
    "owning-department": ("使用科室", "Owning Department"),
    "vendor-test": ("公司测试部", "Vendor's Test Department"),
    "form-custodian": ("申请单保管人", "Custodian of Forms"),
}
ROLES = {
    role: {"organisation": organisation, "name": dict(zip(("zh", "en"), ROLE_NAMES[role], strict=True))}
    for _, _, organisation, role in PEOPLE.values()
}
COMMAND_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said, and the number that it ended with."""

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.out)
        return value


class Start(Protocol):
    """How a command is run to its end, with its output as text and nothing to read."""

    def __call__(
        self, command: Sequence[str], *, cwd: str | Path, env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]: ...


def cold_start(
    command: Sequence[str], *, cwd: str | Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as a shell does it."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        check=False,
        cwd=cwd,
        env=env,
    )


@dataclass(frozen=True, slots=True)
class Hospital:
    """Lies in one folder: `site.git` is the remote, `clones/<person>` are theirs, `state` is the controller's."""

    directory: Path
    lab: Lab
    drop: Drop
    people_keys: Mapping[str, Path]
    root_key: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    start: Start = cold_start

    @classmethod
    def build(
        cls,
        directory: Path,
        lab: Lab,
        cache: Path,
        *,
        drop: Drop | None = None,
        progress: Progress = silent,
        start: Start = cold_start,
    ) -> Self:
        """Make the hospital on top of a running lab, with the lab's vendor or with another `drop`.

        `start` runs every `upgrader` of this hospital; what it gives is to be as from a process of its own.
        Raises LabFailed naming the command that did not go through.
        """
        directory = directory.absolute()
        directory.mkdir(parents=True, exist_ok=True)
        drop = drop or build_drop(lab.drop, cache, progress)
        keys = ensure_people_keys(directory / "keys", PEOPLE)
        root = ensure_key(directory / "keys" / "root", comment="root")
        hospital = cls(directory, lab, drop, keys, root, start=start)
        hospital._make_site()
        return hospital

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def remote(self) -> Path:
        return self.directory / "site.git"

    def clone(self, person: str) -> Path:
        return self.directory / "clones" / person

    def upgrader(self, person: str, *arguments: str, check: bool = True, **environment: str) -> Answer:
        """Run the command line as `person`, in their clone. With `check`, raises LabFailed unless it ends with 0."""
        key = self.people_keys.get(person)
        who = ["--site", str(self.clone(person)), "--as", person, *(["--key", str(key)] if key else [])]
        command = [sys.executable, "-m", "upgrader", *who, *arguments]
        return self._run(command, check=check, environment=environment, start=self.start)

    def git(self, person: str, *arguments: str, check: bool = True) -> Answer:
        return self._run(["git", "-C", str(self.clone(person)), *arguments], check=check)

    def change_ready(self, version: str, *options: str, reason: str = "defect 2291") -> str:
        """Take a release from the drop to a plan that everybody signed; give the change's id."""
        self.staged(version)
        return self.change_planned(version, *options, reason=reason)

    def change_planned(self, version: str, *options: str, reason: str = "defect 2291") -> str:
        """Ask for a change to a release that is staged and tested, plan it, and have everybody sign it; give its id."""
        window = ("--window", "now → +4h") if "--window" not in options else ()
        soak = () if "--soak" in options else ("--soak", "4s", "--soak-interval", "2s")
        asked = self.upgrader(
            ENGINEER, "--json", "request", SYSTEM, version, "--reason", reason, *window, *soak, *options
        )
        change: str = asked.json()["change"]
        self.upgrader(ENGINEER, "plan", change)
        for signer in (INFORMATION, HEAD):
            self.upgrader(signer, "sign", change, "--yes")
        return change

    def staged(self, version: str) -> None:
        """Stage a release and record both tests of it."""
        self.upgrader(ENGINEER, "stage", str(self.drop.release(version)))
        self.upgrader(TESTER, "record", "vendor-test", SYSTEM, version, "--cases", "48 of 48")
        self.upgrader(ENGINEER, "record", "site-test", SYSTEM, version, "--cases", "12 of 12")

    def install_by_hand(self, version: str, base: str = "") -> Answer:
        """Put a release on every host with plain ansible-playbook, as docs/runbook.md shows: a lab's start."""
        folder = self.directory / "by-hand"
        folder.mkdir(exist_ok=True)
        variables = folder / f"upgrade-{version}.json"
        variables.write_text(json.dumps({"upgrade": self._by_hand_variable(version, base)}), encoding="utf-8")
        return self.ansible_playbook("playbooks/upgrade.yml", variables)

    def ansible_playbook(self, playbook: str, variables: Path, *options: str, check: bool = True) -> Answer:
        """Plain ansible-playbook in the engineer's clone, against the lab."""
        known_hosts = self.clone(ENGINEER) / "inventory" / "known_hosts"
        environment = {
            "ANSIBLE_CONFIG": str(self.clone(ENGINEER) / "ansible.cfg"),
            "ANSIBLE_PRIVATE_KEY_FILE": str(self.lab.ssh_key),
            "ANSIBLE_SSH_COMMON_ARGS": f"-o UserKnownHostsFile={known_hosts} -o StrictHostKeyChecking=yes",
        }
        program = str(Path(sys.executable).parent / "ansible-playbook")
        command = [program, "-i", "inventory", "-e", f"@{variables}", *options, playbook]
        return self._run(command, check=check, environment=environment, folder=self.clone(ENGINEER))

    def _by_hand_variable(self, version: str, base: str) -> Mapping[str, Any]:
        from upgrader.adapters import documents
        from upgrader.domain import plain

        archive = self.drop.archive(version)
        content = (self.drop.release(version) / "release.yml").read_bytes()
        release = documents.read_release(content, "release.yml")
        return {
            "format": "upgrader.upgrade/1",
            "change": "LAB-2000-0001",
            "plan": Digest.of(content).hex,
            "system": SYSTEM,
            "version": version,
            "strategy": "archive",
            "digest": release.builds[0].sha256.hex,
            "builds": [
                {
                    "file": archive.name,
                    "path": str(archive),
                    "sha256": release.builds[0].sha256.hex,
                    "size": release.builds[0].size,
                }
            ],
            "service": plain.to_plain(release.service),
            "health": {"command": release.health.command, "seconds": release.health.timeout_seconds},
            "config": [{"from": file.source, "to": file.target} for file in release.config],
            "keep": release.keep,
            "confirm_seconds": 120,
            "follows": list(release.follows),
            "base": {host.name: base for host in self.lab.hosts},
        }

    def _make_site(self) -> None:
        self._run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote)])
        names = ("--name", SITE, "--hospital", "市第一人民医院", "First People's Hospital")
        places = ("--remote", str(self.remote), "--inventory", str(self.lab.inventory))
        self.upgrader(ENGINEER, "init", str(self.clone(ENGINEER)), *names, *places)
        for person in PEOPLE:
            if person != ENGINEER:
                self._run(["git", "clone", "--quiet", str(self.remote), str(self.clone(person))])
        policy = self.directory / "policy.yml"
        policy.write_text(self.policy(), encoding="utf-8")
        self.upgrader(ENGINEER, "trust", "init", "--policy", str(policy), "--root-key", str(self.root_key))

    def policy(self) -> str:
        """The policy of the lab's hospital: two different people approve, the owning department accepts."""
        people = [
            {
                "id": id,
                "name": {"zh": zh, "en": en},
                "organisation": organisation,
                "roles": [role],
                "keys": [public_text(self.people_keys[id])],
            }
            for id, (zh, en, organisation, role) in PEOPLE.items()
        ]
        deputy = {"id": DEPUTY, "name": {"zh": "高远", "en": "Gao Yuan"}, "organisation": "hospital"}
        people.append({**deputy, "roles": ["department-head"]})
        rows = [{"role": "information-department", "count": 1}, {"role": "department-head", "count": 1}]
        policy = {
            "site": SITE,
            "repository": {"id": SITE, "url": str(self.remote), "branch": "main"},
            "expires": (datetime.now(UTC) + timedelta(days=365)).date().isoformat(),
            "root": {"threshold": 1, "keys": [public_text(self.root_key)]},
            "roles": ROLES,
            "people": people,
            "vendors": [
                {
                    "id": VENDOR,
                    "name": {"zh": "蓝信医疗", "en": "Lanxin Health"},
                    "systems": list(self.drop.systems),
                    "keys": [public_text(self.drop.vendor_key)],
                }
            ],
            "known_bad": {"unblock": [{"role": "department-head", "count": 1}]},
            "paper": {"custodian": "form-custodian", "roles": ["department-head"]},
            "inspection": rows[:1],
            "rules": {
                "normal": {
                    "approvals": rows,
                    "people": 2,
                    "tests": ["vendor-test", "site-test"],
                    "acceptance": [{"role": "owning-department", "count": 1}],
                    "approval_hours": 336,
                },
                "emergency": {
                    "approvals": rows[1:],
                    "people": 1,
                    "tests": [],
                    "acceptance": [{"role": "owning-department", "count": 1}],
                    "approval_hours": 24,
                    "window_hours": 12,
                    "debt_hours": 72,
                },
                "data-fix": {
                    "approvals": [rows[0], {"role": "owning-department", "count": 1}],
                    "people": 2,
                    "tests": [],
                    "acceptance": [{"role": "owning-department", "count": 1}],
                    "approval_hours": 72,
                },
            },
        }
        return json.dumps(policy, ensure_ascii=False, indent=2)  # JSON is YAML

    def _run(
        self,
        command: Sequence[str],
        *,
        check: bool = True,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        start: Start = cold_start,
    ) -> Answer:
        surroundings = {**os.environ, **self.surroundings(), **self.environment, **(environment or {})}
        done = start(command, cwd=folder or self.directory, env=surroundings, timeout=COMMAND_SECONDS)
        if check and done.returncode != 0:
            shown = " ".join(command)
            raise LabFailed(
                "lab-command-failed", command=shown, ended=done.returncode, said=(done.stderr or done.stdout)
            )
        return Answer(tuple(command), done.returncode, done.stdout, done.stderr)

    def surroundings(self) -> Mapping[str, str]:
        """The environment of every command of this hospital, beside that of the caller."""
        return {
            "UPGRADER_STATE": str(self.state),
            "UPGRADER_SSH_KEY": str(self.lab.ssh_key),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "lab",
            "GIT_AUTHOR_EMAIL": "lab@example.invalid",
            "GIT_COMMITTER_NAME": "lab",
            "GIT_COMMITTER_EMAIL": "lab@example.invalid",
        }
