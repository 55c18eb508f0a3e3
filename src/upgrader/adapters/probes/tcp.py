"""The probe of a port: does anything take the connection?"""

import socket
from datetime import datetime

from upgrader.adapters.probes.look import CannotAsk, Sight, filled, measured, needed
from upgrader.domain.changes.verdict import Measurement, Reading
from upgrader.domain.releases.probe import Probe
from upgrader.ports import ProbedHost


class TcpProbe:
    def measure(self, probe: Probe, host: ProbedHost, at: datetime) -> Measurement:
        return measured(probe, host, at, _look(probe, host))

    def close(self) -> None:
        """Nothing is kept open."""


def _look(probe: Probe, host: ProbedHost) -> Sight:
    try:
        address = filled(probe.address or host.address, host)
        port = _port(filled(needed(probe.port, "port"), host))
        with socket.create_connection((address, port), timeout=probe.timeout_seconds):
            return Reading.HEALTHY, f"port {port} open"
    except CannotAsk as error:
        return Reading.NO_ANSWER, str(error)
    except OSError as error:
        return why_no_connection(error, probe.timeout_seconds)


def why_no_connection(error: OSError, seconds: int) -> Sight:
    """Tell a host that said no from one that said nothing."""
    match error:
        case ConnectionRefusedError():
            return Reading.UNHEALTHY, "connection refused"
        case ConnectionError():
            return Reading.UNHEALTHY, "connection reset"
        case TimeoutError():
            return Reading.NO_ANSWER, f"no answer within {seconds} s"
    return Reading.NO_ANSWER, f"no way to the host: {error.strerror or error}"


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise CannotAsk(f"{text!r} is not a port")
    return int(text)
