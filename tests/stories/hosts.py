"""What the hosts themselves say: asked over real ssh and in the system's own protocol, never read from our journal."""

from upgrader.lab.appointments import log_in, put_appointment, read_appointment
from upgrader.lab.host import SERVICE_PORT, LabHost
from upgrader.lab.lab import Lab
from upgrader.lab.releases import SYSTEM

APPOINTMENT = "ultrasound-0731"


def version_on(lab: Lab, host: LabHost) -> str:
    """The version that `current` leads to; empty when nothing is installed."""
    return lab.run(host, f"cat '{host.upgrader_root}/{SYSTEM}/current/VERSION' 2>/dev/null").stdout.strip()


def journal_on(lab: Lab, host: LabHost) -> str:
    """Everything that the host wrote down about transactions, with the names of its files."""
    folder = f"{host.upgrader_state}/{SYSTEM}"
    return lab.run(host, f"cd '{folder}' && find . -type f | sort && find . -type f -exec cat {{}} +").stdout


def enter_appointment(host: LabHost) -> None:
    """Book one examination on this host's own service."""
    put_appointment(host.address, SERVICE_PORT, APPOINTMENT, f"{APPOINTMENT} {host.name}")


def appointment_on(host: LabHost) -> str:
    """The examination that was booked on this host. Raises LabFailed when it is lost."""
    return read_appointment(host.address, SERVICE_PORT, APPOINTMENT)


def answers(host: LabHost) -> bool:
    """Whether an ordinary user gets in."""
    return log_in(host.address, SERVICE_PORT)
