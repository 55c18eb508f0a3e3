"""One host of the lab."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

SERVICE_PORT = 5232


class HostKind(StrEnum):
    """What a host is made of."""

    SSHD = "sshd"  # an sshd of the caller's own, on an address of 127.0.0.0/8, with a tree of its own
    MACHINE = "machine"  # a whole Debian with systemd, in a container that can be rebooted


@dataclass(frozen=True, slots=True, kw_only=True)
class LabHost:
    """Where a host answers, and where its tree lies as seen from the controller."""

    name: str
    kind: HostKind
    address: str
    port: int
    user: str
    directory: Path

    @property
    def root(self) -> Path:
        """The host's `/`, for a test that looks at it from outside."""
        return self.directory / "root"

    @property
    def upgrader_root(self) -> str:
        """The folder of systems, as the host itself names it."""
        return "/opt" if self.kind is HostKind.MACHINE else str(self.root / "opt")

    @property
    def upgrader_state(self) -> str:
        return "/var/lib/upgrader" if self.kind is HostKind.MACHINE else str(self.root / "var/lib/upgrader")

    @property
    def service_manager(self) -> str:
        return "systemd" if self.kind is HostKind.MACHINE else "script"

    @property
    def host_key(self) -> Path:
        return self.directory / "ssh_host_ed25519_key"

    @property
    def known_as(self) -> str:
        """How a known_hosts file names this host."""
        return self.address if self.port == 22 else f"[{self.address}]:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """What was seen of one host just now. `services` are the command lines that run out of its system folders."""

    host: LabHost
    is_up: bool
    pid: int | None
    services: tuple[str, ...]
