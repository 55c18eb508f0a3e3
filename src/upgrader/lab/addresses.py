"""Addresses that belong to this lab alone."""

import ipaddress
import json
import random
import socket
from collections.abc import Iterator

from upgrader.domain.errors import LabFailed
from upgrader.lab.host import SERVICE_PORT, HostKind
from upgrader.lab.programs import run_program
from upgrader.lab.record import FIRST_HOST_OCTET, MOST_HOSTS, SSH_PORTS

TRIES = 50


def choose_subnet(lab: str, kind: HostKind) -> str:
    """Return the first three octets of a /24 in which nobody listens; the lab's id decides where the search begins."""
    free = _is_free_loopback if kind is HostKind.SSHD else _is_free_network
    for subnet in _candidates(lab, kind):
        if free(subnet):
            return subnet
    raise LabFailed("lab-no-addresses", tried=TRIES)


def _candidates(lab: str, kind: HostKind) -> Iterator[str]:
    choice = random.Random(lab)  # noqa: S311 - spreads labs over the range, keeps no secret
    for _ in range(TRIES):
        if kind is HostKind.SSHD:
            yield f"127.{choice.randrange(64, 127)}.{choice.randrange(1, 255)}"
        else:
            yield f"10.{choice.randrange(200, 250)}.{choice.randrange(1, 255)}"


def _is_free_loopback(subnet: str) -> bool:
    addresses = [f"{subnet}.{octet}" for octet in range(FIRST_HOST_OCTET, FIRST_HOST_OCTET + MOST_HOSTS)]
    return all(_can_listen(a, p) for a in addresses for p in (SSH_PORTS[HostKind.SSHD], SERVICE_PORT))


def _can_listen(address: str, port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
        except OSError:
            return False
    return True


def _is_free_network(subnet: str) -> bool:
    """No route of this machine, the default one apart, leads into it."""
    wanted = ipaddress.ip_network(f"{subnet}.0/24")
    routes = json.loads(run_program("ip", "-json", "-4", "route", "show", "table", "all"))
    taken = (ipaddress.ip_network(r["dst"], strict=False) for r in routes if r["dst"] not in ("default", "0.0.0.0/0"))
    return not any(wanted.overlaps(network) for network in taken)
