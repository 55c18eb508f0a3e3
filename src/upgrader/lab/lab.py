"""A lab: real hosts on this one machine, with an inventory and keys, that can be made, looked at and taken away."""

import getpass
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from upgrader.domain.errors import LabFailed
from upgrader.lab.addresses import choose_subnet
from upgrader.lab.answering import has_banner
from upgrader.lab.backend import Backend
from upgrader.lab.cache import default_cache
from upgrader.lab.host import HostKind, HostStatus, LabHost
from upgrader.lab.inventory import write_inventory
from upgrader.lab.keys import ensure_key, public_half
from upgrader.lab.machines import Machines
from upgrader.lab.processes import Process, command_line, end
from upgrader.lab.programs import clean_environment, find_program
from upgrader.lab.record import (
    MOST_HOSTS,
    LabRecord,
    has_record,
    new_lab_id,
    only_one_at_a_time,
    read_record,
    write_record,
)
from upgrader.lab.ssh_hosts import SshHosts

Progress = Callable[[str], None]
LOGIN_SECONDS = 60.0


def silent(_: str) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Lab:
    """Everything of one lab lies in one folder; two labs never meet."""

    directory: Path
    record: LabRecord

    @classmethod
    def up(cls, directory: Path, *, hosts: int = 12, machines: bool = False, progress: Progress = silent) -> Self:
        """Make the lab, or mend it: what is missing is made, what does not run is started, what runs is left alone.

        Asking an existing lab for more hosts adds them; asking for fewer takes none away. `progress` is told stable
        codes (`lab-keys`, `lab-system`, `lab-hosts`, `lab-login`, `lab-up`) whose texts are found like those of errors.
        """
        directory = directory.absolute()
        directory.mkdir(parents=True, exist_ok=True)
        kind = HostKind.MACHINE if machines else HostKind.SSHD
        with only_one_at_a_time(directory):
            lab = cls(directory, _record_for(directory, kind, hosts))
            lab._backend.check()
            write_record(directory, lab.record)  # before the first process: a lab cut off here can be ended
            lab._start(progress)
        return lab

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Return the lab that lies in this folder, whether it runs or not; raise LabFailed if there is none."""
        return cls(directory.absolute(), read_record(directory.absolute()))

    @property
    def hosts(self) -> tuple[LabHost, ...]:
        return self.record.lab_hosts(self.directory)

    @property
    def inventory(self) -> Path:
        """The folder with hosts.yml, known_hosts and group_vars."""
        return self.directory / "inventory"

    @property
    def keys(self) -> Path:
        return self.directory / "keys"

    @property
    def ssh_key(self) -> Path:
        """The private key that opens every host."""
        return self.keys / "ssh"

    @property
    def drop(self) -> Path:
        """Where the vendor's releases are put; `build_drop` fills it."""
        return self.directory / "drop"

    def host(self, name: str) -> LabHost:
        for host in self.hosts:
            if host.name == name:
                return host
        raise LabFailed("lab-host-unknown", host=name, directory=self.directory)

    def run(self, host: LabHost, command: str, *, timeout: float = LOGIN_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run a shell command on the host over real ssh, with the pinned host key; judge the return code yourself."""
        try:
            return subprocess.run(
                [*self.ssh_command(host), command],
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=timeout,
                check=False,
                env=clean_environment(),
            )
        except subprocess.TimeoutExpired as error:
            raise LabFailed("lab-command-too-long", host=host.name, seconds=timeout) from error

    def ssh_command(self, host: LabHost) -> list[str]:
        """The ssh command line up to the host's name: put the remote command behind it."""
        options = {
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": f'"{self.inventory / "known_hosts"}"',
            "ConnectTimeout": "10",
        }
        told = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        key, port = str(self.ssh_key), str(host.port)
        return [find_program("ssh"), "-F", "none", "-i", key, "-p", port, *told, f"{host.user}@{host.address}"]

    def status(self) -> tuple[HostStatus, ...]:
        """Look at every host now."""
        started = self._backend.started_on(self.hosts)
        with ThreadPoolExecutor(max_workers=16) as pool:
            return tuple(pool.map(lambda host: self._look_at(host, started[host.name]), self.hosts))

    def power_off(self, host: LabHost) -> None:
        """Pull the plug: everything that runs on the host is killed at once, nothing is asked. Its disk stays."""
        end(self._backend.processes(host), patience=0)

    def power_on(self, host: LabHost) -> None:
        """Start a host that is off, and return when it answers.

        A machine boots, and systemd starts what is enabled. An sshd host has no init: only its sshd comes back.
        """
        with only_one_at_a_time(self.directory):
            self._backend.start([host])

    def reboot(self, host: LabHost) -> None:
        """Restart the host in good order, and return when it answers again."""
        with only_one_at_a_time(self.directory):
            self._backend.reboot(host)

    def down(self) -> None:
        """End everything that this lab ever started. Its folder stays; `up` brings the same hosts back.

        An sshd host keeps its tree. A machine begins anew: what it wrote lay in memory.
        """
        if not self.directory.is_dir():
            return
        with only_one_at_a_time(self.directory):
            self._backend.stop(self.hosts)

    @property
    def _backend(self) -> Backend:
        if self.record.kind is HostKind.MACHINE:
            return Machines(
                lab=self.record.id,
                subnet=self.record.subnet,
                directory=self.directory,
                authorized_keys=public_half(self.ssh_key),
                cache=default_cache(),
            )
        return SshHosts(lab=self.record.id, authorized_keys=public_half(self.ssh_key))

    def _start(self, progress: Progress) -> None:
        progress("lab-keys")
        self._make_keys()
        write_inventory(self.inventory, self.hosts)
        if self.record.kind is HostKind.MACHINE:
            progress("lab-system")
        self._backend.prepare()
        progress("lab-hosts")
        self._backend.start(self.hosts)
        progress("lab-login")
        self._prove_login(self.hosts[0])
        progress("lab-up")

    def _make_keys(self) -> None:
        ensure_key(self.ssh_key, comment=f"lab {self.record.id}")
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(lambda host: ensure_key(host.host_key, comment=host.name), self.hosts))

    def _prove_login(self, host: LabHost) -> None:
        """An sshd that greets may still let nobody in (a locked account, a folder others may write to)."""
        done = self.run(host, "true")
        if done.returncode != 0:
            raise LabFailed("lab-login-refused", host=host.name, reason=done.stderr.strip()[-300:])

    def _look_at(self, host: LabHost, started: tuple[Process, ...]) -> HostStatus:
        main = self._backend.main_process(host)
        folder = f"{host.upgrader_root}/"
        services = sorted(line for line in map(command_line, started) if folder in line)
        return HostStatus(
            host=host,
            is_up=main is not None and has_banner(host),
            pid=main.pid if main else None,
            services=tuple(services),
        )


def _record_for(directory: Path, kind: HostKind, hosts: int) -> LabRecord:
    """The lab's record as it shall be: the one that is there, with more hosts if so asked; or a new one."""
    if not 1 <= hosts <= MOST_HOSTS:
        raise LabFailed("lab-number-of-hosts", asked=hosts, most=MOST_HOSTS)
    if not has_record(directory):
        lab = new_lab_id()
        user = "root" if kind is HostKind.MACHINE else getpass.getuser()
        return LabRecord(id=lab, kind=kind, hosts=hosts, user=user, subnet=choose_subnet(lab, kind))
    record = read_record(directory)
    if record.kind is not kind:
        raise LabFailed("lab-kind-differs", directory=directory, found=record.kind.value, wanted=kind.value)
    return replace(record, hosts=max(record.hosts, hosts))
