"""What a kind of host must be able to do, whatever it is made of."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from upgrader.lab.host import LabHost
from upgrader.lab.processes import Process

LAB_MARKER = "UPGRADER_LAB"
HOST_MARKER = "UPGRADER_LAB_HOST"


class Backend(Protocol):
    """Starts and ends the hosts of one lab. Every verb may be called again."""

    def check(self) -> None:
        """Raise LabFailed when this machine or this user can't carry such hosts. Nothing is changed."""

    def prepare(self) -> None:
        """Make what all hosts stand on, and nothing that runs."""

    def start(self, hosts: Sequence[LabHost]) -> None:
        """Start those that do not run, and return when each answers."""

    def stop(self, hosts: Sequence[LabHost]) -> None:
        """End all hosts of the lab and everything they ever started; leave nothing behind that runs."""

    def reboot(self, host: LabHost) -> None:
        """Restart one host in good order, and return when it answers again. Its disk stays."""

    def main_process(self, host: LabHost) -> Process | None:
        """Return the process that is the host, if it runs."""

    def processes(self, host: LabHost) -> tuple[Process, ...]:
        """Return everything that runs on the host, the main process too."""

    def started_on(self, hosts: Sequence[LabHost]) -> Mapping[str, tuple[Process, ...]]:
        """Return, by host name, what was started on each host: one look for all of them."""
