"""Who is compared: four ways to bring the same hosts from the same old version to the same new one."""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.fleet import BenchFailed, Fleet
from benchmarks.vendor_drop import NEW
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import ENGINEER, Hospital
from upgrader.lab.host import SERVICE_PORT, LabHost
from upgrader.lab.programs import find_program

HERE = Path(__file__).parent
PYINFRA_LOCK = HERE / "requirements.lock"
LONGEST_SECONDS = 900
# The tuned ssh: no compression of what is compressed, the cheap key exchange, a cipher that the CPU has.
TUNED = ("Compression=no", "KexAlgorithms=curve25519-sha256", "Ciphers=aes128-gcm@openssh.com", "BatchMode=yes")


class Contender(Protocol):
    name: str

    def prepare(self, rounds: int) -> None:
        """Everything that is done ahead of the evening, with the old version on every host. Not measured."""

    def command(self, *, first: bool) -> "Command":
        """The next rollout; `first` is false when every host has the new version already."""


@dataclass(frozen=True, slots=True)
class Command:
    """One process that does the whole rollout, as a person types it."""

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: Path

    def run(self, started: "Started | None" = None) -> None:
        """Raises BenchFailed with the end of what it said unless it ends with 0."""
        process = subprocess.Popen(
            self.words,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if started:
            started(process)
        try:
            said, _ = process.communicate(timeout=LONGEST_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.terminate()
            raise BenchFailed(f"not ended within {LONGEST_SECONDS} s: {shlex.join(self.words)}") from error
        if process.returncode != 0:
            end = said.decode(errors="replace")[-2000:]
            raise BenchFailed(f"ended with {process.returncode}: {shlex.join(self.words)}\n{end}")


class Started(Protocol):
    def __call__(self, process: subprocess.Popen[bytes], /) -> None: ...


@dataclass(slots=True)
class Upgrader:
    """The whole `upgrader apply`: gate, journal, Ansible, thresholds, a probe on every host."""

    fleet: Fleet
    folder: Path
    name: str = "upgrader apply"
    changes: list[str] = field(default_factory=list)
    hospital: Hospital = field(init=False)

    def prepare(self, rounds: int, versions: Sequence[str] = (NEW,)) -> None:
        """Every change is planned and signed while the hosts run the old version; each is applied once."""
        self.hospital = Hospital.build(self.folder, self.fleet.lab, self.folder, drop=self.fleet.drop.drop)
        everybody = ("--wave-size", str(len(self.fleet.hosts)), "--canaries", "0")
        for version in versions:
            self.hospital.staged(version)
        self.changes = [self.hospital.change_planned(NEW, *everybody) for _ in range(2 * rounds)]

    def command(self, *, first: bool) -> Command:
        key = str(self.hospital.people_keys[ENGINEER])
        who = ("--site", str(self.hospital.clone(ENGINEER)), "--as", ENGINEER, "--key", key)
        words = (sys.executable, "-m", "upgrader", *who, "apply", self.changes.pop(0))
        return Command(words, {**os.environ, **self.hospital.surroundings()}, self.folder)

    def bytes_sent(self) -> Sequence[int]:
        """What each host was sent, as the journals of all changes tell it."""
        lines = [line for path in self.hospital.state.rglob("journal*") if path.is_file() for line in path.open()]
        facts = [json.loads(line) for line in lines if line.startswith("{")]
        return [fact["data"]["bytes_sent"] for fact in facts if "bytes_sent" in fact.get("data", {})]


@dataclass(slots=True)
class PlainPlaybook:
    """Ten idiomatic tasks, forks 50, pipelining, kept connections that start cold."""

    fleet: Fleet
    folder: Path
    name: str = "plain ansible-playbook"
    runs: int = 0

    def prepare(self, rounds: int) -> None:
        self.folder.mkdir()

    def command(self, *, first: bool) -> Command:
        self.runs += 1
        lab, build = self.fleet.lab, self.fleet.drop.new
        variables = {"version": build.version, "build": str(build.archive), "build_sha1": _sha1(build.archive)}
        extra = self.folder / "variables.json"
        extra.write_text(json.dumps(variables), encoding="utf-8")
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "ANSIBLE_CONFIG": str(HERE / "plain/ansible.cfg"),
            "ANSIBLE_PRIVATE_KEY_FILE": str(lab.ssh_key),
            "ANSIBLE_SSH_COMMON_ARGS": f"-F none -o UserKnownHostsFile={lab.inventory}/known_hosts",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / f"cp{self.runs}"),
        }
        program = str(Path(sys.executable).parent / "ansible-playbook")
        inventory = str(lab.inventory / "hosts.yml")
        words = (program, "-i", inventory, "-e", f"@{extra}", str(HERE / "plain/upgrade.yml"))
        return Command(words, environment, self.folder)


@dataclass(slots=True)
class Pyinfra:
    """Operations of pyinfra 3 in a virtual environment of its own, as its lock file says."""

    fleet: Fleet
    folder: Path
    name: str = "pyinfra"

    def prepare(self, rounds: int) -> None:
        """Raises BenchFailed when it is not in the cache and the package index does not answer."""
        self.folder.mkdir()
        if not self._program.exists():
            _install(self._program.parents[1])
        hosts = [(host.name, self._data(host)) for host in self.fleet.hosts]
        (self.folder / "inventory.py").write_text(f"hosts = {hosts!r}\n", encoding="utf-8")

    def command(self, *, first: bool) -> Command:
        options = ("-y", "--parallel", "50")
        words = (str(self._program), *options, "inventory.py", str(HERE / "pyinfra/deploy.py"))
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8"}
        return Command(words, environment, self.folder)

    @property
    def _program(self) -> Path:
        return default_cache() / f"bench-pyinfra-{_sha1(PYINFRA_LOCK)[:12]}" / "bin/pyinfra"

    def _data(self, host: LabHost) -> dict[str, object]:
        lab, build = self.fleet.lab, self.fleet.drop.new
        return {
            "ssh_hostname": host.address,
            "ssh_port": host.port,
            "ssh_user": host.user,
            "ssh_key": str(lab.ssh_key),
            "ssh_known_hosts_file": str(lab.inventory / "known_hosts"),
            "ssh_strict_host_key_checking": "yes",
            "upgrader_root": host.upgrader_root,
            "address": host.address,
            "port": SERVICE_PORT,
            "version": build.version,
            "build": str(build.archive),
            "build_name": build.archive.name,
            "sha256": build.sha256,
        }


@dataclass(slots=True)
class SshScript:
    """xargs and one ssh per host, the build streamed into one script: nothing is checked, signed or remembered."""

    fleet: Fleet
    folder: Path
    name: str = "xargs + tuned ssh"

    def prepare(self, rounds: int) -> None:
        self.folder.mkdir()
        build = self.fleet.drop.new
        script = (HERE / "script/host.sh").read_text(encoding="utf-8")
        lines = []
        for host in self.fleet.hosts:
            values = {"root": host.upgrader_root, "address": host.address, "port": str(SERVICE_PORT)}
            values |= {"version": build.version, "sha256": build.sha256}
            assignments = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
            (self.folder / host.name).write_text(assignments + script, encoding="utf-8")
            lines.append(f"{host.name} {host.user}@{host.address} {host.port}\n")
        (self.folder / "hosts").write_text("".join(lines), encoding="utf-8")
        (self.folder / "rollout.sh").write_text(self._text(), encoding="utf-8")

    def command(self, *, first: bool) -> Command:
        words = (find_program("sh"), str(self.folder / "rollout.sh"))
        return Command(words, {"PATH": "/usr/bin:/bin", "HOME": str(self.folder)}, self.folder)

    def _text(self) -> str:
        lab, build = self.fleet.lab, self.fleet.drop.new
        options = " ".join(f"-o {option}" for option in (*TUNED, f"UserKnownHostsFile={lab.inventory}/known_hosts"))
        ssh = f'ssh -F none -i {lab.ssh_key} {options} -p "$3" "$2" "$(cat "$1")" <{build.archive}'
        return f"xargs -P 50 -L 1 sh -c {shlex.quote(ssh)} sh <hosts\n"


def _install(venv: Path) -> None:
    """The locked pyinfra, whose program comes last: an install that was cut off is begun anew."""
    venv.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    lock = ("--require-hashes", "--only-binary", ":all:", "--requirement", str(PYINFRA_LOCK))
    options = ("install", "--quiet", "--disable-pip-version-check", *lock)
    done = subprocess.run([str(venv / "bin/pip"), *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchFailed(f"pyinfra could not be installed: {done.stderr.strip()[-400:]}")


def _sha1(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha1").hexdigest()
