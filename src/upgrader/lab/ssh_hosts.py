"""Hosts in user mode: one real sshd each, on its own address of 127.0.0.0/8, with its own tree. Needs no root.

Every session that such an sshd opens carries `UPGRADER_LAB=<lab id>` in its environment, and so does everything that is
started from it: that is how a vendor's service is found again when the lab ends.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from upgrader.domain.errors import LabFailed
from upgrader.lab.answering import wait_for_banner
from upgrader.lab.backend import HOST_MARKER, LAB_MARKER
from upgrader.lab.host import LabHost
from upgrader.lab.processes import (
    Process,
    by_marker,
    command_line,
    end,
    is_running,
    recorded,
    serving,
    with_descendants,
    with_marker,
)
from upgrader.lab.programs import missing_programs, run_program

PROGRAMS = ("sshd", "ssh", "ssh-keygen")
TREE = ("opt", "var/lib", "home", "tmp")
# A root sshd refuses to start without this folder; the package's own service makes it at boot.
PRIVILEGE_SEPARATION = Path("/run/sshd")
START_SECONDS = 10.0
SHUTDOWN_SECONDS = 20.0
ROUNDS = 5

CONFIG = """\
Port {port}
ListenAddress {address}
HostKey "{host_key}"
PidFile "{pid_file}"
AuthorizedKeysFile "{authorized_keys}"
SetEnv "{lab_marker}={lab}" "{host_marker}={lab}.{name}" "HOME={home}"
Subsystem sftp internal-sftp
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 500
MaxSessions 500
UseDNS no
PrintMotd no
PrintLastLog no
X11Forwarding no
"""


@dataclass(frozen=True, slots=True)
class SshHosts:
    """The backend of user-mode hosts."""

    lab: str
    authorized_keys: Path

    def check(self) -> None:
        missing = missing_programs(PROGRAMS)
        if missing:
            raise LabFailed("lab-programs-missing", programs=", ".join(missing))

    def prepare(self) -> None:
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)

    def start(self, hosts: Sequence[LabHost]) -> None:
        asleep = [host for host in hosts if self.main_process(host) is None]
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(self._start, asleep))
            list(pool.map(self._wait, asleep))

    def stop(self, hosts: Sequence[LabHost]) -> None:
        """Look again after every round: a process that was just being started is found the next time."""
        for _ in range(ROUNDS):
            left = self._everything(hosts)
            if not left:
                return
            end(left)
        raise LabFailed("lab-process-stays", pids=", ".join(str(p.pid) for p in self._everything(hosts)))

    def reboot(self, host: LabHost) -> None:
        end(self.processes(host), patience=SHUTDOWN_SECONDS)
        self.start([host])

    def main_process(self, host: LabHost) -> Process | None:
        process = recorded(_pid_file(host))
        if process and str(_config(host)) in command_line(process) and is_running(process):
            return process
        return None

    def processes(self, host: LabHost) -> tuple[Process, ...]:
        main = self.main_process(host)
        tree = with_descendants([main]) if main else ()
        marked = with_marker(HOST_MARKER, f"{self.lab}.{host.name}")
        return _distinct(tree, marked, serving([(host.address, host.port)], name="sshd"))

    def started_on(self, hosts: Sequence[LabHost]) -> Mapping[str, tuple[Process, ...]]:
        marked = by_marker(HOST_MARKER)
        return {host.name: marked.get(f"{self.lab}.{host.name}", ()) for host in hosts}

    def _everything(self, hosts: Sequence[LabHost]) -> tuple[Process, ...]:
        mains = [process for host in hosts if (process := self.main_process(host))]
        marked = with_marker(LAB_MARKER, self.lab)
        orphans = serving([(host.address, host.port) for host in hosts], name="sshd")
        return _distinct(with_descendants(mains), marked, orphans)

    def _start(self, host: LabHost) -> None:
        for folder in TREE:
            (host.root / folder).mkdir(parents=True, exist_ok=True)
        _pid_file(host).unlink(missing_ok=True)
        _config(host).write_text(self._config_text(host), encoding="utf-8")
        # Started by its full path, as sshd wants; it leaves by itself and writes its own pid file.
        run_program("sshd", "-f", str(_config(host)), "-E", str(_log(host)))

    def _wait(self, host: LabHost) -> None:
        if not wait_for_banner(host, START_SECONDS):
            raise LabFailed("lab-host-silent", host=host.name, address=host.address, port=host.port, log=_log(host))

    def _config_text(self, host: LabHost) -> str:
        return CONFIG.format(
            port=host.port,
            address=host.address,
            host_key=host.host_key,
            pid_file=_pid_file(host),
            authorized_keys=self.authorized_keys,
            lab_marker=LAB_MARKER,
            host_marker=HOST_MARKER,
            lab=self.lab,
            name=host.name,
            home=host.root / "home",
        )


def _distinct(*groups: Sequence[Process]) -> tuple[Process, ...]:
    return tuple({process.pid: process for group in groups for process in group}.values())


def _config(host: LabHost) -> Path:
    return host.directory / "sshd_config"


def _pid_file(host: LabHost) -> Path:
    return host.directory / "sshd.pid"


def _log(host: LabHost) -> Path:
    return host.directory / "sshd.log"
