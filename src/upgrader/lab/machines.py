"""Hosts as machines: a whole Debian with its own systemd and network each, in a systemd-nspawn container. Needs root.

One read-only system on disk serves all; what a machine writes goes to a layer of its own in memory, which outlives a
reboot and a pulled plug, and ends with the lab.
"""

import os
import shutil
import signal
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from upgrader.domain.errors import LabFailed
from upgrader.lab.answering import wait_for_banner
from upgrader.lab.backend import HOST_MARKER, LAB_MARKER
from upgrader.lab.host import LabHost
from upgrader.lab.keys import public_half
from upgrader.lab.processes import (
    Process,
    by_marker,
    command_line,
    end,
    first_of_container,
    is_running,
    recorded,
    with_descendants,
    with_marker,
)
from upgrader.lab.programs import missing_programs, run_program
from upgrader.lab.rootfs import ensure_rootfs

PROGRAMS = ("systemd-nspawn", "debootstrap", "ip", "mount", "umount", "setsid", "ssh", "ssh-keygen")
BOOT_SECONDS = 60.0
UNMOUNT_SECONDS = 10.0
PAUSE_SECONDS = 0.1
ROUNDS = 5
REBOOT = signal.SIGRTMIN + 5  # what systemd as the first process understands as `systemctl reboot`

# Its number is on disk before there is a container. A machine that reboots ends its container with this code.
LAUNCH = """\
echo $$ >"$1" && exec >"$2" 2>&1 && shift 2 || exit
for group in $1; do mkdir -p "$group" && echo $$ >"$group/cgroup.procs" || exit; done
shift
while code=0; "$@" || code=$?; [ "$code" -eq 133 ]; do :; done
"""
# Where systemd keeps its groups: the old and the new way side by side, or the new way alone.
CONTROL_GROUPS = (Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
# On a system whose /run is not in memory the container manager leaves this behind.
PROPAGATE = Path("/run/systemd/nspawn/propagate")

NETWORK = """\
[Match]
Name=host0

[Network]
Address={address}/24
LinkLocalAddressing=no
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """The backend of machines. `directory` is the lab's, `cache` holds the machines' system."""

    lab: str
    subnet: str
    directory: Path
    authorized_keys: Path
    cache: Path

    def check(self) -> None:
        if os.geteuid() != 0:
            raise LabFailed("lab-machines-unavailable", reason="not root")
        missing = missing_programs(PROGRAMS)
        if missing:
            raise LabFailed("lab-machines-unavailable", reason=f"missing: {', '.join(missing)}")

    def prepare(self) -> None:
        ensure_rootfs(self.cache)
        if not self._memory.is_mount():
            self._memory.mkdir(exist_ok=True)
            run_program("mount", "-t", "tmpfs", "-o", "mode=0755", "upgrader-lab", str(self._memory))
        if not _link_exists(self._bridge):
            run_program("ip", "link", "add", "name", self._bridge, "type", "bridge")
        run_program("ip", "address", "replace", f"{self.subnet}.1/24", "dev", self._bridge)
        run_program("ip", "link", "set", self._bridge, "up")

    def start(self, hosts: Sequence[LabHost]) -> None:
        asleep = [host for host in hosts if self.main_process(host) is None]
        rootfs = ensure_rootfs(self.cache)
        for host in asleep:
            end(self.processes(host), patience=0)  # a first process whose container manager was killed
            self._mount(host, rootfs)
            self._introduce(host)
            self._boot(host)
        for host in asleep:
            _wait(host)

    def stop(self, hosts: Sequence[LabHost]) -> None:
        for _ in range(ROUNDS):
            left = self._everything(hosts)
            if not left:
                break
            end(left, patience=0)  # the layers in memory end now: there is nothing to save by asking
        for host in hosts:
            _unmount(host.root)
            shutil.rmtree(PROPAGATE / self._machine(host), ignore_errors=True)
            for group in self._control_groups(host):
                _remove_group(group)
        _unmount(self._memory)
        if _link_exists(self._bridge):
            run_program("ip", "link", "delete", self._bridge)

    def reboot(self, host: LabHost) -> None:
        """Ask the machine's first process to reboot, as `systemctl reboot` inside does; `LAUNCH` starts it again."""
        first = first_of_container(self.processes(host))
        if first is None:
            raise LabFailed("lab-host-silent", host=host.name, address=host.address, port=host.port, log=_log(host))
        os.kill(first.pid, REBOOT)
        deadline = time.monotonic() + BOOT_SECONDS
        while is_running(first):
            if time.monotonic() > deadline:
                raise LabFailed("lab-process-stays", pids=first.pid)
            time.sleep(PAUSE_SECONDS)
        _wait(host)

    def main_process(self, host: LabHost) -> Process | None:
        process = recorded(_pid_file(host))
        if process and f"--machine={self._machine(host)} " in command_line(process) and is_running(process):
            return process
        return None

    def processes(self, host: LabHost) -> tuple[Process, ...]:
        return with_descendants(with_marker(HOST_MARKER, f"{self.lab}.{host.name}"))

    def started_on(self, hosts: Sequence[LabHost]) -> Mapping[str, tuple[Process, ...]]:
        marked = by_marker(HOST_MARKER)
        return {host.name: with_descendants(marked.get(f"{self.lab}.{host.name}", ())) for host in hosts}

    @property
    def _memory(self) -> Path:
        return self.directory / "memory"

    @property
    def _bridge(self) -> str:
        """At most 15 characters, as the kernel wants."""
        return f"upl-{self.lab}"

    def _machine(self, host: LabHost) -> str:
        """Short enough for the name of its network interface, and unlike that of any other lab."""
        return f"{self.lab}-{host.name.rpartition('-')[2]}"

    def _control_groups(self, host: LabHost) -> tuple[Path, ...]:
        """A group of its own for each machine: in one group two systemds would meddle with each other's services."""
        name = f"upgrader-lab-{self._machine(host)}"
        return tuple(root / name for root in CONTROL_GROUPS if (root / "cgroup.procs").exists())

    def _everything(self, hosts: Sequence[LabHost]) -> tuple[Process, ...]:
        mains = [process for host in hosts if (process := self.main_process(host))]
        return with_descendants([*mains, *with_marker(LAB_MARKER, self.lab)])

    def _mount(self, host: LabHost, rootfs: Path) -> None:
        if host.root.is_mount():
            return
        upper, work = self._memory / host.name / "upper", self._memory / host.name / "work"
        for folder in (upper, work, host.root):
            folder.mkdir(parents=True, exist_ok=True)
        layers = ",".join(f"{name}={_escape(path)}" for name, path in (("lowerdir", rootfs), ("upperdir", upper)))
        options = f"{layers},workdir={_escape(work)}"
        run_program("mount", "-t", "overlay", "-o", options, "overlay", str(host.root))

    def _introduce(self, host: LabHost) -> None:
        """Give the machine its name, its address, its host key, and the key that opens it."""
        key = host.root / "etc/ssh" / host.host_key.name
        _write(host.root / "etc/hostname", f"{host.name}\n")
        _write(host.root / "etc/hosts", f"127.0.0.1 localhost\n{host.address} {host.name}\n")
        _write(host.root / "etc/systemd/network/10-lab.network", NETWORK.format(address=host.address))
        _write(key, host.host_key.read_text(encoding="ascii"), mode=0o600)
        _write(public_half(key), public_half(host.host_key).read_text(encoding="ascii"))
        _write(host.root / "root/.ssh/authorized_keys", self.authorized_keys.read_text(encoding="ascii"), mode=0o600)

    def _boot(self, host: LabHost) -> None:
        """Start the container in a session of its own, where nobody's Ctrl-C reaches it."""
        markers = {LAB_MARKER: self.lab, HOST_MARKER: f"{self.lab}.{host.name}"}
        nspawn = [
            "systemd-nspawn",
            "--quiet",
            "--settings=no",
            f"--directory={host.root}",
            f"--machine={self._machine(host)}",
            f"--hostname={host.name}",
            f"--uuid={uuid.uuid5(uuid.NAMESPACE_OID, f'{self.lab}.{host.name}')}",
            f"--network-bridge={self._bridge}",
            "--register=no",
            "--keep-unit",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            *(f"--setenv={name}={value}" for name, value in markers.items()),
            "--boot",
        ]
        marked = [f"{name}={value}" for name, value in markers.items()]
        groups = " ".join(str(group) for group in self._control_groups(host))
        told = [str(_pid_file(host)), str(_log(host)), groups]
        run_program("setsid", "--fork", "env", *marked, "sh", "-c", LAUNCH, "sh", *told, *nspawn)


def _wait(host: LabHost) -> None:
    if not wait_for_banner(host, BOOT_SECONDS):
        raise LabFailed("lab-host-silent", host=host.name, address=host.address, port=host.port, log=_log(host))


def _write(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=mode)
    path.write_text(text, encoding="utf-8")


def _unmount(path: Path) -> None:
    """Take a mount away; for a moment after its last process ended the kernel may still call it busy."""
    deadline = time.monotonic() + UNMOUNT_SECONDS
    while path.is_mount():
        try:
            run_program("umount", str(path))
        except LabFailed:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_SECONDS)


def _remove_group(group: Path) -> None:
    """Take an empty control group and those inside it away, innermost first: only folders can be removed there."""
    for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
        folder.rmdir()
    if group.is_dir():
        group.rmdir()


def _escape(path: Path) -> str:
    """The options of an overlay are divided by commas, its lower folders by colons."""
    return str(path).replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")


def _link_exists(name: str) -> bool:
    return Path("/sys/class/net", name).exists()


def _pid_file(host: LabHost) -> Path:
    return host.directory / "machine.pid"


def _log(host: LabHost) -> Path:
    return host.directory / "console.log"
