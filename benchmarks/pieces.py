"""What one host costs, piece by piece: where the time of a rollout goes, and what a setting of ansible.cfg is worth."""

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.comparison import fleet_of
from benchmarks.cost import Cost, Meter, median

RUNS = 3
CURVE = "-o KexAlgorithms=curve25519-sha256"


def lines(meter: Meter, *, megabytes: int) -> Iterator[str]:
    with fleet_of(1, megabytes) as (fleet, folder):
        host = fleet.hosts[0]
        *words, person = fleet.lab.ssh_command(host)
        build, there = shlex.quote(str(fleet.drop.new.archive)), shlex.quote(str(host.root / "tmp/build"))
        for what, command in _commands(shlex.join(words), person, build, there):
            cost = _cost(meter, command, folder)
            yield f"{what:52} {cost.wall:8.3f} {cost.cpu:8.3f}"


def _commands(ssh: str, person: str, build: str, there: str) -> Iterator[tuple[str, str]]:
    """What it is, and the shell command that does just that. `there` is the build on the host."""
    sftp = ssh.replace("/ssh ", "/sftp ", 1).replace(" -p ", " -P ")
    yield "a connection, OpenSSH's own key exchange", f"{ssh} {person} true"
    yield "a connection, curve25519", f"{ssh} {CURVE} {person} true"
    yield "connection and build through a pipe", f"{ssh} {CURVE} {person} 'cat >{there}' <{build}"
    yield "the same with aes128-gcm", f"{ssh} {CURVE} -c aes128-gcm@openssh.com {person} 'cat >{there}' <{build}"
    yield "the same with -C", f"{ssh} {CURVE} -C {person} 'cat >{there}' <{build}"
    yield "connection and build through sftp", f"printf 'put {build} {there}\\n' | {sftp} {CURVE} -b - {person}"
    yield "digest by sha256sum", f"sha256sum <{there}"
    yield "digest by openssl", f"openssl dgst -sha256 -r <{there}"
    yield "list the archive", f"tar -tzvf {there}"
    yield "unpack the archive", f"rm -rf {there}.d && mkdir {there}.d && tar -xzf {there} -C {there}.d"
    yield "make it last (sync -f)", f"sync -f {there}.d"


def _cost(meter: Meter, command: str, folder: Path) -> Cost:
    def act() -> None:
        subprocess.run(command, shell=True, check=True, cwd=folder, capture_output=True)

    return median([meter.measure(act) for _ in range(RUNS)])
