"""The command line without its start: one process has imported everything, and forks for each command.

Four fifths of what a short command costs is importing. Argument vector, environment, folder, standard streams and exit
code are those of a process of its own; `test_warm_commands.py` compares. Commands that are killed under way, and those
of the documents, are started cold.
"""

import array
import gc
import json
import os
import pkgutil
import runpy
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import IO, cast

LARGEST = 256 * 1024
MODULE = "upgrader"
APART = ("upgrader.lab", "upgrader.__main__")  # what no command of a story needs, and what is run, not imported


@dataclass(frozen=True, slots=True)
class WarmCommands:
    """A running fork server, reached through a socket."""

    socket: Path

    def run(
        self, command: Sequence[str], *, cwd: str | Path, env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run(command, capture_output=True, text=True, stdin=DEVNULL)` of `python -m upgrader …`."""
        if list(command[:3]) != [sys.executable, "-m", MODULE]:
            raise ValueError(f"not our command line: {command[:3]}")
        asked = json.dumps({"arguments": list(command[3:]), "cwd": str(cwd), "env": dict(env)}).encode()
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            Path(os.devnull).open("rb") as nothing,
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line,
        ):
            line.connect(str(self.socket))
            line.settimeout(timeout)
            descriptors = array.array("i", [nothing.fileno(), out.fileno(), err.fileno()])
            line.sendmsg([asked], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
            try:
                code = int(line.recv(64))
            except TimeoutError as error:
                raise subprocess.TimeoutExpired(list(command), timeout, _text(out), _text(err)) from error
            return subprocess.CompletedProcess(list(command), code, _text(out), _text(err))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


@contextmanager
def warm_commands() -> Iterator[WarmCommands]:
    """Start the server; it ends with the block, and so does every command that still runs."""
    with tempfile.TemporaryDirectory(prefix="warm-") as folder:
        place = Path(folder) / "socket"
        with subprocess.Popen([sys.executable, __file__, str(place)], stdin=subprocess.DEVNULL) as server:
            try:
                deadline = time.monotonic() + 60
                while not place.exists():
                    if server.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError("the fork server did not start")
                    time.sleep(0.05)
                yield WarmCommands(place)
            finally:
                server.terminate()


# What follows runs in the server.


def serve(place: Path) -> None:
    for found in pkgutil.walk_packages(import_module(MODULE).__path__, f"{MODULE}."):
        if not found.name.startswith(APART):
            import_module(found.name)
    gc.freeze()  # what is there now stays, so forks need not look at it, and share it
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening, selectors.DefaultSelector() as waiting:
        hidden = place.with_suffix(".new")
        listening.bind(str(hidden))
        listening.listen(64)
        hidden.rename(place)  # only now it is there
        waiting.register(listening, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is listening:
                    line, _ = listening.accept()
                    pid = _start(listening, line)
                    waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, line))
                else:
                    _tell_end(waiting, key)


def _tell_end(waiting: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    pid, line = key.data
    waiting.unregister(key.fileobj)
    os.close(key.fd)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with line, suppress(BrokenPipeError):  # whoever asked waits no longer
        line.send(str(code).encode())


def _start(listening: socket.socket, line: socket.socket) -> int:
    message, descriptors, _, _ = socket.recv_fds(line, LARGEST, 3)
    pid = os.fork()
    if pid:
        for descriptor in descriptors:
            os.close(descriptor)
        return pid
    listening.close()
    line.close()
    try:
        _become(json.loads(message), descriptors)
    finally:
        os._exit(70)


def _become(asked: Mapping[str, object], descriptors: Sequence[int]) -> None:
    """Be `python -m upgrader …` in this process, and end as it ends."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number, inheritable=True)
        os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        cast(TextIOWrapper, stream).reconfigure(encoding="utf-8")
    os.environ.clear()
    os.environ.update(asked["env"])  # type: ignore[call-overload]
    time.tzset()
    tempfile.tempdir = None
    os.chdir(str(asked["cwd"]))
    sys.argv = [MODULE, *asked["arguments"]]  # type: ignore[misc]
    with ExitStack() as ending:
        ending.push(_end)
        runpy.run_module(MODULE, run_name="__main__", alter_sys=True)


def _end(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
    """End as an interpreter ends."""
    code = 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    elif kind is not None and error is not None:
        code = 1
        sys.excepthook(kind, error, trace)
    for stream in (sys.stdout, sys.stderr):
        if not stream.closed:
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
