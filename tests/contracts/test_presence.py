"""Who is there, on real sockets: dark hosts cost one time-out together, and the packet that wakes is the right one."""

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import builders
from upgrader.adapters.hosts.presence import NetworkPresence, magic_packet
from upgrader.domain.changes.late import Workstation
from upgrader.domain.changes.plan import PlannedHost
from upgrader.domain.names import HostName

SECONDS = 1.0


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
        yield server


@pytest.fixture
def dark() -> Iterator[socket.socket]:
    """A port whose queue is full: the kernel drops every further call, as a machine that is off does."""
    with socket.socket() as server:
        server.bind(("127.0.0.2", 0))
        server.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
            fillers.append(filler)
        time.sleep(0.2)
        yield server
        for filler in fillers:
            filler.close()


def host_at(number: int, place: socket.socket) -> PlannedHost:
    address, port = place.getsockname()
    return replace(builders.make_host(1), name=HostName(f"ws-{number}"), address=address, port=port)


def closed_port() -> int:
    with socket.socket() as once:
        once.bind(("127.0.0.1", 0))
        port: int = once.getsockname()[1]
        return port


def test_three_hundred_dark_hosts_cost_one_time_out_and_those_who_are_there_are_found(
    listening: socket.socket, dark: socket.socket
) -> None:
    hosts = [host_at(number, dark if number % 3 else listening) for number in range(450)]
    begun = time.monotonic()

    absent = NetworkPresence(SECONDS).absent(hosts)

    assert set(absent) == {host.name for host in hosts if host.address == "127.0.0.2"}
    assert set(absent.values()) == {"no answer in 1 s"}
    assert time.monotonic() - begun < 100 * SECONDS  # one after the other it would be 300


def test_a_port_that_refuses_is_absent_at_once_and_says_why() -> None:
    host = replace(builders.make_host(1), address="127.0.0.1", port=closed_port())

    assert NetworkPresence(60).absent([host]) == {"host-01": "connection refused"}


def test_a_name_that_nobody_knows_is_absent() -> None:
    host = replace(builders.make_host(1), address="ws-17.invalid")

    assert list(NetworkPresence(SECONDS).absent([host])) == ["host-01"]


def test_nobody_asked_is_nobody_absent_and_no_file_stays_open(listening: socket.socket) -> None:
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())

    assert NetworkPresence(SECONDS).absent([]) == {}
    NetworkPresence(SECONDS).absent([host_at(1, listening)])

    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before


def test_the_magic_packet_goes_to_the_address_of_the_inventory() -> None:
    mac = "52:54:00:ab:cd:ef"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as network:
        network.bind(("127.0.0.1", 0))
        network.settimeout(30)
        port = network.getsockname()[1]
        sleeper = replace(builders.make_host(1), workstation=Workstation(mac, "127.0.0.1"))
        no_address = replace(builders.make_host(2), workstation=Workstation(None, "127.0.0.1"))

        NetworkPresence(SECONDS, wake_port=port).wake([no_address, sleeper])

        assert network.recv(4096) == magic_packet(mac)
    assert magic_packet(mac) == b"\xff\xff\xff\xff\xff\xff" + b"\x52\x54\x00\xab\xcd\xef" * 16
