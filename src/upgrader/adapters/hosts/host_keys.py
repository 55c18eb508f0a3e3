"""The SSH host keys of hosts, asked with paramiko: is the host there, and is it the one that the inventory pins?"""

import base64
import hashlib
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from upgrader.domain.errors import PreflightFailed, UpgraderError
from upgrader.ports import InventoryHost

CONNECT_SECONDS = 5
# The kind that the pin is about: others may be newer than the inventory.
KEY_KINDS = ("ssh-ed25519",)


def check_host_keys(hosts: Sequence[InventoryHost], parallel: int) -> Iterator[tuple[str, UpgraderError | None]]:
    """Ask every host for its key, `parallel` at a time. Yields each name with None, or with what is wrong."""
    with ThreadPoolExecutor(max_workers=max(1, min(parallel, len(hosts) or 1))) as pool:
        yield from zip((host.name for host in hosts), pool.map(_check, hosts), strict=True)


def _check(host: InventoryHost) -> UpgraderError | None:
    try:
        found = host_key(host.address, host.port)
    except UpgraderError as error:
        return error
    if found != host.host_key:
        return PreflightFailed("host-key-changed", host=host.name, expected=host.host_key, found=found)
    return None


def host_key(address: str, port: int) -> str:
    """The fingerprint `SHA256:…` of the host key at an address. Raises PreflightFailed `host-silent`."""
    import paramiko

    try:
        with socket.create_connection((address, port), timeout=CONNECT_SECONDS) as connection:
            transport = paramiko.Transport(connection)
            transport.get_security_options().key_types = KEY_KINDS
            try:
                transport.start_client(timeout=CONNECT_SECONDS)
                key = transport.get_remote_server_key().asbytes()
            finally:
                transport.close()
    except (OSError, paramiko.SSHException, EOFError) as error:
        raise PreflightFailed("host-silent", host=address, port=port, found=str(error)[:120]) from error
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
