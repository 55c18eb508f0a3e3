"""An SFTP server, talked to by paramiko, and only when it shows a host key that was said beforehand."""

import base64
import hashlib
import socket
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

import paramiko

from upgrader.adapters.sources.transfer import Credentials, Download, LinkBroken
from upgrader.domain.errors import PreflightFailed, Refused
from upgrader.domain.releases.source import Address

CONNECT_SECONDS, SILENT_SECONDS = 10, 30
CHUNK = 32 * 1024  # what one request brings; a larger one would be lost whole when the link breaks in it
LANES = 8  # requests under way at once: a distant server would be slow otherwise. OpenSSH allows ten a connection
# A server has a key of several kinds and shows one: each is asked for until it is the one that was said.
KEY_KINDS = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)


class SftpServer:
    """The folder of an address. Each file is fetched over a connection of its own: a broken one is never used again."""

    def __init__(self, address: Address, host_keys: frozenset[str], credentials: Credentials) -> None:
        self._address = address
        self._host_keys = host_keys
        self._credentials = credentials

    @contextmanager
    def open(self, name: str, offset: int, stamp: str) -> Iterator[Download]:
        transport = self._connected()
        try:
            with _translated(name):
                transport.set_keepalive(5)
                lane = _lane(transport)
                if lane is None:
                    raise Refused("source-file-missing", file=name, found="sftp")
                path = self._address.folder + name
                found = lane.stat(path)
                now, size = f"{found.st_size} {found.st_mtime}", found.st_size or 0
                start = offset if stamp == now and offset <= size else 0
                files = _files(transport, lane, path, size - start)
            yield Download(start, size, now, _chunks(files, name, start, size))
        finally:
            transport.close()

    def _connected(self) -> paramiko.Transport:
        """A connection to the server that was meant, with the person logged in. Raises LinkBroken or Refused."""
        shown = []
        for kinds in KEY_KINDS:
            transport, found = self._shown_key(kinds)
            if transport is not None and found in self._host_keys:
                try:
                    self._log_in(transport)
                except BaseException:
                    transport.close()
                    raise
                return transport
            if transport is not None:
                transport.close()
                shown.append(found)
        server = f"{self._address.host}:{self._address.port}"
        expected = ", ".join(sorted(self._host_keys))
        raise Refused("source-host-key-differs", server=server, expected=expected, found=", ".join(shown) or "-")

    def _shown_key(self, kinds: tuple[str, ...]) -> tuple[paramiko.Transport | None, str]:
        """A connection on which the server has shown its key of these kinds; None when it has none of them."""
        try:
            connection = socket.create_connection((self._address.host, self._address.port), timeout=CONNECT_SECONDS)
        except OSError as error:
            raise LinkBroken(error.strerror or str(error)) from error
        transport = None
        try:
            transport = paramiko.Transport(connection)
            transport.get_security_options().key_types = kinds
            transport.start_client(timeout=CONNECT_SECONDS)
            key = transport.get_remote_server_key().asbytes()
        except paramiko.ssh_exception.IncompatiblePeer:
            _close(transport, connection)
            return None, ""
        except (OSError, paramiko.SSHException, EOFError) as error:
            _close(transport, connection)
            raise LinkBroken(str(error) or "no answer") from error
        return transport, "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")

    def _log_in(self, transport: paramiko.Transport) -> None:
        user = self._address.user or ""
        password = self._credentials.password()
        try:
            if password is not None:
                transport.auth_password(user, password)
                return
            for key in self._keys():
                try:
                    transport.auth_publickey(user, key)
                except paramiko.AuthenticationException:
                    continue
                if transport.is_authenticated():
                    return
        except paramiko.AuthenticationException as error:
            raise Refused("source-log-in-refused", user=user, server=self._address.host) from error
        except (OSError, paramiko.SSHException, EOFError) as error:
            raise LinkBroken(str(error) or "log-in") from error
        raise Refused("source-log-in-refused", user=user, server=self._address.host)

    def _keys(self) -> Iterator[paramiko.PKey]:
        identity = self._credentials.identity
        if identity is None:
            yield from paramiko.Agent().get_keys()
            return
        try:
            yield paramiko.PKey.from_path(identity)
        except (OSError, paramiko.SSHException, ValueError, TypeError) as error:
            raise PreflightFailed("identity-unusable", file=identity, found=str(error)[:120]) from error


def _lane(transport: paramiko.Transport) -> paramiko.SFTPClient | None:
    """One more session on the connection. Raises SSHException when the server allows no more."""
    lane = paramiko.SFTPClient.from_transport(transport)
    channel = lane.get_channel() if lane is not None else None
    if channel is not None:
        channel.settimeout(SILENT_SECONDS)
    return lane


def _files(transport: paramiko.Transport, first: paramiko.SFTPClient, path: str, size: int) -> list[paramiko.SFTPFile]:
    """The file, opened in as many sessions as there is use for and as the server allows.

    Each is read by one thread at a time, and plainly: paramiko's own prefetch asks in a thread that prints a traceback
    when the link is cut, and on a busy machine has a file sent twice and keeps the whole of it in memory.
    """
    files = [first.open(path, "rb")]
    while len(files) < min(LANES, size // CHUNK):
        try:
            lane = _lane(transport)
        except paramiko.SSHException:
            break
        if lane is None:
            break
        files.append(lane.open(path, "rb"))
    return files


def _chunks(files: list[paramiko.SFTPFile], name: str, start: int, size: int) -> Iterator[bytes]:
    """The file from `start` on, in order."""
    free: SimpleQueue[paramiko.SFTPFile] = SimpleQueue()
    for file in files:
        free.put(file)

    def read(offset: int) -> bytes:
        file = free.get()
        try:
            file.seek(offset)
            return bytes(file.read(min(CHUNK, size - offset)))
        finally:
            free.put(file)

    readers = ThreadPoolExecutor(len(files), thread_name_prefix="sftp")
    asked: deque[Future[bytes]] = deque()
    try:
        with _translated(name):
            for offset in range(start, size, CHUNK):
                asked.append(readers.submit(read, offset))
                if len(asked) > 2 * len(files):
                    yield asked.popleft().result()
            while asked:
                yield asked.popleft().result()
    finally:
        readers.shutdown(cancel_futures=True)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise Refused("source-file-missing", file=name, found=error.strerror or "-") from error
    except PermissionError as error:
        raise Refused("source-file-missing", file=name, found=error.strerror or "-") from error
    except (OSError, paramiko.SSHException, EOFError) as error:
        raise LinkBroken(str(error) or "the link was cut") from error


def _close(transport: paramiko.Transport | None, connection: socket.socket) -> None:
    if transport is not None:
        transport.close()
    connection.close()
