# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""All calls of one transaction, and its build, over a single ssh: half the cost of a connection plugin's usual way.

Ansible's ssh plugin starts a command, sends it what it should read, and waits for its end. Between the last two we talk
with it: everything else (how ssh is called, becoming another user, what a broken connection means) stays Ansible's.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ansible.plugins.connection.ssh import Connection

CHUNK = 65536
USABLE = "ssh and local"  # of those that come with ansible-core
# Reads exactly the script and no byte of what follows it, into a variable; then runs it. `BYTES` is its length.
COMMAND = """\
exec 3<&0
upgrader_script=$(
    LC_ALL=C
    text=
    while [ ${#text} -lt BYTES ]; do
        more=$(dd bs=$((BYTES - ${#text})) count=1 2>/dev/null; echo x)
        [ "$more" != x ] || exit 1
        text=$text${more%x}
    done
    printf %s "$text"
) && eval "$upgrader_script" """


class Cut(Exception):
    """The host says no more: it ended, or the link did. What follows is for the connection plugin to tell."""


class NotTaken(Exception):
    """The host takes no more of the build; why is in the line that it said."""


class Process(Protocol):
    """The running ssh, as `subprocess` gives it."""

    stdout: BinaryIO


class Conversation:
    """What is said to the host and what it says, line by line, while ssh runs."""

    def __init__(self, to_host: BinaryIO, process: Process) -> None:
        self._to_host = to_host
        self._from_host = process.stdout.fileno()
        self._unread = b""

    def say(self, line: str) -> None:
        """Raises Cut when the host listens no more."""
        self._write(f"{line}\n".encode())

    def hear(self) -> str:
        """The next line; bytes that are not UTF-8 as surrogates. Raises Cut when there is none."""
        while b"\n" not in self._unread:
            select.select([self._from_host], [], [])
            more = os.read(self._from_host, CHUNK)
            if not more:
                raise Cut(self._unread.decode("utf-8", "replace"))
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode("utf-8", "surrogateescape")

    def put(self, piece: Path, there: str) -> None:
        """Send a whole file, whose bytes never come into our memory. Raises NotTaken when the host ends before it is there."""
        size = piece.stat().st_size
        try:
            self.say(f"take {size} {there}")
            with piece.open("rb") as file:
                done = 0
                while done < size and (sent := os.sendfile(self._to_host.fileno(), file.fileno(), done, size - done)):
                    done += sent
        except (BrokenPipeError, Cut) as error:
            raise NotTaken(there) from error

    def _write(self, words: bytes) -> None:
        try:
            self._to_host.write(words)
            self._to_host.flush()
        except BrokenPipeError as error:
            raise Cut("the host listens no more") from error


def can_be_used(connection: Any) -> bool:
    """The script is what a command reads: paramiko gives a command nothing to read, and Windows has no shell for it."""
    return bool(connection.has_pipelining) and connection._shell.SHELL_FAMILY != "powershell"


def can_converse(connection: Any) -> bool:
    """Only with Ansible's own ssh; every other connection plugin is used as it is."""
    return isinstance(connection, Connection)


def stay_alone(connection: Any) -> None:
    """One ssh is all there will be: no master process beside it, which would stay when we have gone."""
    words = str(connection.get_option("ssh_args") or "").split()
    pairs = list(zip(words[::2], words[1::2], strict=False))
    if len(words) % 2 == 0 and all(option == "-o" for option, _ in pairs):
        kept = [value for _, value in pairs if not value.startswith(("ControlMaster=", "ControlPersist="))]
        connection.set_option("ssh_args", " ".join(f"-o {value}" for value in kept))


def converse_over(connection: Any, talk: Callable[[Conversation], None]) -> None:
    """Have the next command of this connection read what it is sent, and then talk with us until `talk` ends."""

    def send_and_talk(to_host: BinaryIO, script: str, process: Process) -> None:
        del connection._send_initial_data  # what else it may run meanwhile is sent as ever
        conversation = Conversation(to_host, process)
        try:
            conversation.say(script.removesuffix("\n"))
            talk(conversation)
        except Cut:
            pass
        finally:
            try:
                to_host.close()
            except BrokenPipeError:
                pass

    connection._send_initial_data = send_and_talk
