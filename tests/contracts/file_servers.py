"""Servers from which drops are fetched: a real sshd, a real TLS server with an authority of its own, and a bad link."""

import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ADDRESS = "127.0.83.1"
PATIENCE = 1.0  # seconds for which a bad link holds each chunk back until what came over it has been kept
SSHD = """\
Port {port}
ListenAddress {address}
HostKey {folder}/host_rsa
HostKey {folder}/host_ed25519
PidFile none
AuthorizedKeysFile {folder}/client.pub
Subsystem sftp internal-sftp
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UseDNS no
"""


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind((ADDRESS, 0))
        port: int = listening.getsockname()[1]
        return port


def make_key(path: Path, kind: str = "ed25519") -> str:
    """Make a key pair and give the fingerprint of its public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)], check=True, timeout=60)
    shown = subprocess.run(["ssh-keygen", "-l", "-f", f"{path}.pub"], check=True, capture_output=True, timeout=60)
    return shown.stdout.decode().split()[1]


@dataclass(frozen=True, slots=True)
class Sshd:
    """A running sshd of this user. `fingerprints` are those of its host keys by kind."""

    port: int
    fingerprints: dict[str, str]
    client_key: Path
    user: str


@contextmanager
def running_sshd(folder: Path) -> Iterator[Sshd]:
    """An sshd of our own; ended by its own process, whatever happens."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    fingerprints = {kind: make_key(folder / f"host_{kind}", kind) for kind in ("rsa", "ed25519")}
    make_key(folder / "client")
    port = free_port()
    (folder / "sshd_config").write_text(SSHD.format(port=port, address=ADDRESS, folder=folder))
    command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd_config")]
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _wait(port)
        user = subprocess.run(["id", "-un"], check=True, capture_output=True, timeout=60).stdout.decode().strip()
        yield Sshd(port, fingerprints, folder / "client", user)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(port: int) -> None:
    for _ in range(100):
        with suppress(OSError), socket.create_connection((ADDRESS, port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("the server does not answer")


@dataclass(slots=True)
class BadLink:
    """A way to a server on which each connection is cut after so many bytes back; None is never, 0 is at once.

    A connection that carried something goes on, slowly, until `kept` says that enough of it has been put away: neither
    a slow reader nor one that has things sent twice decides where it breaks.
    """

    to: int
    budgets: list[int | None]
    kept: Callable[[], bool] = lambda: True
    port: int = 0
    connections: int = 0
    sockets: list[socket.socket] = field(default_factory=list)

    @contextmanager
    def open(self) -> Iterator["BadLink"]:
        with socket.create_server((ADDRESS, 0)) as listening:
            self.port = listening.getsockname()[1]
            threading.Thread(target=self._accept, args=(listening,), daemon=True).start()
            try:
                yield self
            finally:
                for one in self.sockets:
                    with suppress(OSError):
                        one.shutdown(socket.SHUT_RDWR)
                    one.close()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                budget = self.budgets[min(self.connections, len(self.budgets) - 1)]
                self.connections += 1
                server = socket.create_connection((ADDRESS, self.to))
                self.sockets += [client, server]
                threading.Thread(target=_carry, args=(client, server, None, self.kept), daemon=True).start()
                threading.Thread(target=_carry, args=(server, client, budget, self.kept), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket, budget: int | None, kept: Callable[[], bool]) -> None:
    carried = 0
    with suppress(OSError):
        while chunk := source.recv(16384):
            if budget is not None and carried + len(chunk) > budget and (not budget or _wait_for(kept)):
                break
            carried += len(chunk)
            target.sendall(chunk)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def _wait_for(fact: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while not (found := fact()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


@dataclass(slots=True)
class Shelf:
    """What the web server gives, and how it misbehaves."""

    files: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)  # bytes after which the next answers of files break off
    redirects: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    silent_about_size: bool = False
    ranges_honoured: bool = True
    password: str | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)  # path and Range


class _Handler(BaseHTTPRequestHandler):
    shelf: Shelf

    def do_GET(self) -> None:
        shelf, asked = self.shelf, self.headers.get("Range", "")
        shelf.asked.append((self.path, asked))
        if self.path in shelf.redirects:
            self.send_response(302)
            self.send_header("Location", shelf.redirects[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = shelf.files.get(self.path)
        refused = shelf.password is not None and self.headers.get("Authorization") != shelf.password
        if shelf.status or refused or content is None:
            self.send_error(shelf.status or (401 if refused else 404))
            return
        self._send(content, asked)

    def _send(self, content: bytes, asked: str) -> None:
        shelf = self.shelf
        tag = shelf.tags.get(self.path, '"1"')
        start = 0
        if asked and shelf.ranges_honoured and self.headers.get("If-Range") == tag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if not shelf.silent_about_size:
            self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", tag)
        self.end_headers()
        rest = content[start:]
        if shelf.cuts and len(rest) > 10_000:
            self.wfile.write(rest[: shelf.cuts.pop(0)])
            self.wfile.flush()
            self.connection.close()
            return
        self.wfile.write(rest)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@dataclass(frozen=True, slots=True)
class WebServer:
    port: int
    shelf: Shelf
    authority: Path


@contextmanager
def running_web_server(folder: Path, *, name: str = ADDRESS) -> Iterator[WebServer]:
    """A TLS server whose certificate, for `name`, is signed by an authority that nobody else knows."""
    authority, certificate = _certificates(folder, name)
    shelf = Shelf()
    handler = type("Handler", (_Handler,), {"shelf": shelf})
    server = ThreadingHTTPServer((ADDRESS, 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that goes away is no news here
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield WebServer(server.server_address[1], shelf, authority)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def _certificates(folder: Path, name: str) -> tuple[Path, Path]:
    """The authority's certificate, and the server's with its key, each in a file."""
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Lanxin Test Authority")])
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "files.lanxin.example")])
    now = datetime.now(UTC)

    def certificate(
        of: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType, *, ca: bool
    ) -> bytes:
        builder = x509.CertificateBuilder().subject_name(of).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).add_extension(extension, critical=ca)
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=2))
        return builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))])
    (folder / "authority.pem").write_bytes(
        certificate(issuer, authority_key, x509.BasicConstraints(ca=True, path_length=0), ca=True)
    )
    key = server_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(certificate(subject, server_key, names, ca=False) + key)
    return folder / "authority.pem", folder / "server.pem"
