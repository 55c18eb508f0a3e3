"""The probe that runs a command on the host: its exit status, and what it printed.

One connection per host is kept for all its measurements. The host is known by the site's own known_hosts file or not at
all; nothing of the caller's `~/.ssh` and no agent takes part when a key is given.
"""

import contextlib
import logging
import shlex
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from upgrader.adapters.probes.look import LARGEST_ANSWER, CannotAsk, Sight, filled, measured, needed
from upgrader.domain.changes.verdict import Measurement, Reading
from upgrader.domain.releases.probe import Probe
from upgrader.ports import ProbedHost

if TYPE_CHECKING:
    from paramiko import Channel

NOT_ENDED = 124  # timeout(1): the command was ended by it
NO_STATUS = -1  # paramiko: the command was ended by a signal, or the connection by anything
GRACE_SECONDS = 3
KEEPALIVE_SECONDS = 30
SHORTEST_PAUSE, LONGEST_PAUSE = 0.002, 0.05  # seconds between two looks at what a command said


class CannotReach(Exception):
    """There was no connection to run the command on."""


class CommandProbe:
    def __init__(self, ssh_key: Path | None, known_hosts: Path) -> None:
        self._ssh_key = ssh_key
        self._known_hosts = known_hosts
        self._connections: dict[str, Any] = {}
        self._one_at_a_time: dict[str, Lock] = {}

    def measure(self, probe: Probe, host: ProbedHost, at: datetime) -> Measurement:
        """Run the command. Commands for one host go one after the other; hosts do not wait for each other."""
        with self._one_at_a_time.setdefault(host.name, Lock()):
            return measured(probe, host, at, self._look(probe, host))

    def close(self) -> None:
        while self._connections:
            _, connection = self._connections.popitem()
            connection.client.close()

    def _look(self, probe: Probe, host: ProbedHost) -> Sight:
        try:
            command = filled(needed(probe.run, "run"), host)
            status, output, errors = self._run(command, host, probe.timeout_seconds)
        except (CannotAsk, CannotReach) as error:
            return Reading.NO_ANSWER, str(error)
        if status == NOT_ENDED:
            return Reading.UNHEALTHY, f"not ended after {probe.timeout_seconds} s"
        if status == NO_STATUS:
            return Reading.UNHEALTHY, "ended by a signal"
        if status != 0:
            return Reading.UNHEALTHY, f"exit status {status}: {_last_line(errors or output)}".removesuffix(": ")
        if probe.expect_text is not None and probe.expect_text not in output + errors:
            return Reading.UNHEALTHY, f"the output does not hold {probe.expect_text!r}"
        return Reading.HEALTHY, _last_line(output) or "exit status 0"

    def _run(self, command: str, host: ProbedHost, seconds: int) -> tuple[int, str, str]:
        """Run it; give its exit status, output and errors, or raise CannotReach and forget the connection."""
        from paramiko import SSHException  # here: a quarter second that http and tcp probes do not owe

        try:
            channel = self._connection(host, seconds).transport.open_session(timeout=seconds)
            with contextlib.closing(channel):
                channel.exec_command(_bounded(command, seconds))
                channel.shutdown_write()
                return _finish(channel, seconds + GRACE_SECONDS)
        except (CannotReach, SSHException, OSError, EOFError) as error:
            self._forget(host)
            raise CannotReach(f"no ssh to the host: {_told(error)}") from error

    def _connection(self, host: ProbedHost, seconds: int) -> Any:
        kept = self._connections.get(host.name)
        if kept is not None and kept.is_connected:
            return kept
        self._forget(host)
        connection = _make_connection(host, self._ssh_key, self._known_hosts, seconds)
        self._connections[host.name] = connection
        connection.open()
        connection.transport.set_keepalive(KEEPALIVE_SECONDS)
        return connection

    def _forget(self, host: ProbedHost) -> None:
        connection = self._connections.pop(host.name, None)
        if connection is not None:
            connection.client.close()


def _make_connection(host: ProbedHost, ssh_key: Path | None, known_hosts: Path, seconds: int) -> Any:
    """A connection that is not open yet, with no configuration but what stands here."""
    from fabric import Config, Connection  # here: see CommandProbe._run
    from paramiko import RejectPolicy, SSHConfig, SSHException
    from paramiko.hostkeys import InvalidHostKey

    logging.getLogger("paramiko").addHandler(logging.NullHandler())  # what failed is told in the measurement
    connection = Connection(
        host=host.address,
        user=host.user,
        port=host.port,
        config=Config(lazy=True, ssh_config=SSHConfig()),
        forward_agent=False,
        connect_timeout=seconds,
        connect_kwargs={
            "allow_agent": ssh_key is None,
            "look_for_keys": False,
            "banner_timeout": seconds,
            "auth_timeout": seconds,
            **({"key_filename": [str(ssh_key)]} if ssh_key else {}),
        },
    )
    connection.client.set_missing_host_key_policy(RejectPolicy())
    try:
        connection.client.load_host_keys(str(known_hosts))
    except (InvalidHostKey, ValueError) as error:
        raise SSHException(f"{known_hosts.name} can't be read: {error}") from error
    return connection


def _bounded(command: str, seconds: int) -> str:
    """The command with an end on the host itself: a closed connection does not stop what was started there."""
    inner = f"sh -c {shlex.quote(command)}"
    return f"if command -v timeout >/dev/null; then exec timeout -k 1 {seconds} {inner}; else exec {inner}; fi"


def _finish(channel: "Channel", seconds: int) -> tuple[int, str, str]:
    """Read until the command ends. Of a long output only the first part is kept, the rest is read and dropped.

    Output and errors come apart: which of them sshd sends first is anybody's guess, and a number is the last line of
    the output.
    """
    deadline = time.monotonic() + seconds
    output, errors = bytearray(), bytearray()
    pause = SHORTEST_PAUSE
    while time.monotonic() < deadline:
        is_over = channel.eof_received or channel.closed  # asked first: what came before the end is taken below
        if _take(channel.recv_ready, channel.recv, output) or _take(
            channel.recv_stderr_ready, channel.recv_stderr, errors
        ):
            pause = SHORTEST_PAUSE
        elif is_over:
            if not channel.status_event.wait(max(0.0, deadline - time.monotonic())):
                break
            status = channel.recv_exit_status()
            if status == NO_STATUS and not channel.get_transport().is_active():
                raise CannotReach("the connection ended before the command did")
            return status, _text(output), _text(errors)
        else:
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
    return NOT_ENDED, _text(output), _text(errors)


def _take(is_ready: Callable[[], bool], receive: Callable[[int], bytes], kept: bytearray) -> bool:
    """Read a piece of what has come, if anything has."""
    if not is_ready():
        return False
    kept += receive(32 * 1024)[: LARGEST_ANSWER - len(kept)]
    return True


def _text(content: bytearray) -> str:
    return content.decode("utf-8", errors="replace")


def _last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1] if lines else ""


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
