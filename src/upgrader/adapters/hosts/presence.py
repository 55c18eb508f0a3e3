"""Who is there: one TCP connection to each host's ssh port, all at once; and the magic packet that wakes a sleeper.

A thousand dark hosts cost one connect time-out, not a thousand. A port that refuses counts as absent too: a machine
that is still starting, or whose ssh server is down, can't be worked on, and the reason is told.
"""

import errno
import os
import resource
import selectors
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress

from upgrader.domain.changes.plan import PlannedHost
from upgrader.domain.names import HostName

CONNECT_SECONDS = 4.0  # the kernel asks at 0, 1 and 3 s
SPARE_FILES = 128  # what the rest of the program may have open
RESOLVERS = 32
EVERYBODY = "255.255.255.255"
WAKE_PORT = 9
CALLS = 3  # datagrams get lost

Family = socket.AddressFamily
Target = tuple[Family, tuple[str, int]]


class NetworkPresence:
    def __init__(self, connect_seconds: float = CONNECT_SECONDS, wake_port: int = WAKE_PORT) -> None:
        self._seconds = connect_seconds
        self._wake_port = wake_port

    def absent(self, hosts: Sequence[PlannedHost]) -> Mapping[HostName, str]:
        """Each host that took no connection, and why. Takes one time-out, however many are asked.

        Where the system allows fewer open files than there are hosts, one time-out for each such part.
        """
        targets, absent = _resolve(hosts, self._seconds)
        with _many_files(len(targets)) as at_once:
            names = list(targets)
            for start in range(0, len(names), at_once):
                part = {name: targets[name] for name in names[start : start + at_once]}
                absent |= _connect(part, self._seconds)
        return {host.name: absent[host.name] for host in hosts if host.name in absent}

    def wake(self, hosts: Sequence[PlannedHost]) -> None:
        """Send each host that has a hardware address its magic packet. Nobody answers one: ask again who is there."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            for host in hosts:
                if host.workstation is None or host.workstation.mac is None:
                    continue
                packet = magic_packet(host.workstation.mac)
                for _ in range(CALLS):
                    with suppress(OSError):  # no way there: the host stays absent, and is reported so
                        caller.sendto(packet, (host.workstation.wake_at or EVERYBODY, self._wake_port))


def magic_packet(mac: str) -> bytes:
    """Six bytes of ones, then sixteen times the hardware address (AMD's Magic Packet Technology, 1995)."""
    return b"\xff" * 6 + bytes.fromhex(mac.replace(":", "")) * 16


def _resolve(hosts: Sequence[PlannedHost], seconds: float) -> tuple[dict[HostName, Target], dict[HostName, str]]:
    """Where to connect to, and the hosts whose name the name server does not know in time."""
    found: dict[HostName, Target] = {}
    absent: dict[HostName, str] = {}
    named = []
    for host in hosts:
        literal = _literal(host.address, host.port)
        if literal is not None:
            found[host.name] = literal
        else:
            named.append(host)
    if named:
        pool = ThreadPoolExecutor(max_workers=RESOLVERS)
        asked = {pool.submit(_look_up, host.address, host.port): host.name for host in named}
        answered, _ = wait(asked, timeout=seconds)
        pool.shutdown(wait=False, cancel_futures=True)
        for question, name in asked.items():
            target = question.result() if question in answered else None
            if target is not None:
                found[name] = target
            else:
                absent[name] = "its name is not known to the name server"
    return found, absent


def _literal(address: str, port: int) -> Target | None:
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            socket.inet_pton(family, address)
            return family, (address, port)
    return None


def _look_up(address: str, port: int) -> Target | None:
    try:
        family, _, _, _, found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        return None
    return family, (str(found[0]), port)


@contextmanager
def _many_files(wanted: int) -> Iterator[int]:
    """Let this process open a file for each of `wanted` sockets if it may; gives how many sockets it may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted + SPARE_FILES if hard == resource.RLIM_INFINITY else min(wanted + SPARE_FILES, hard)
    if most > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield max(1, max(most, soft) - SPARE_FILES)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _connect(targets: Mapping[HostName, Target], seconds: float) -> dict[HostName, str]:
    """Open a connection to each at once, and give those that had none when the time was over, or were told no."""
    absent = dict.fromkeys(targets, f"no answer in {seconds:g} s")
    ends = time.monotonic() + seconds
    waiting = 0
    with selectors.DefaultSelector() as selector:
        try:
            for name, (family, address) in targets.items():
                caller = socket.socket(family, socket.SOCK_STREAM)
                selector.register(caller, selectors.EVENT_WRITE, name)
                caller.setblocking(False)
                begun = caller.connect_ex(address)
                waiting += begun == errno.EINPROGRESS
                if begun != errno.EINPROGRESS:
                    _answered(selector, caller, name, begun, absent)
            while waiting and (left := ends - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    caller = key.fileobj  # type: ignore[assignment] # every one is a socket of ours
                    code = caller.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    _answered(selector, caller, key.data, code, absent)
                    waiting -= 1
        finally:
            for key in list(selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr] # every one is a socket of ours
    return absent


def _answered(
    selector: selectors.BaseSelector, caller: socket.socket, name: HostName, code: int, absent: dict[HostName, str]
) -> None:
    selector.unregister(caller)
    caller.close()
    if code == 0:
        del absent[name]
    else:
        absent[name] = os.strerror(code).lower()
