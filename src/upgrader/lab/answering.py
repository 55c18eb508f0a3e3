"""Does a host answer? Asked of its port, not of its process."""

import socket
import time

from upgrader.lab.host import LabHost

PAUSE_SECONDS = 0.05


def has_banner(host: LabHost) -> bool:
    """Whether an SSH server greets on the host's address within a second."""
    try:
        with socket.create_connection((host.address, host.port), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def wait_for_banner(host: LabHost, seconds: float) -> bool:
    """Wait until the host greets; False when it did not in that time."""
    deadline = time.monotonic() + seconds
    while not has_banner(host):
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_SECONDS)
    return True
