"""A PostgreSQL server of a test's own: in a temporary folder, on a socket there, ended by its recorded process."""

import getpass
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

INSTALLED = Path("/usr/lib/postgresql")
UNPRIVILEGED = "nobody"  # the server refuses to run as root
SUPERUSER, OWNER = "postgres", "lis_owner"
DATABASE = "lis"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def programs() -> Path | None:
    """The folder of the newest server that Debian installed, or None."""
    found = [path.parent for path in INSTALLED.glob("*/bin/postgres")]
    return max(found, key=lambda folder: int(folder.parent.name), default=None)


@dataclass
class Cluster:
    """`folder` holds data and socket. Whoever runs the test is OWNER and SUPERUSER, by the peer of the socket."""

    folder: Path
    bin: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def parameters(self) -> dict[str, str]:
        """What the inventory says of the database host."""
        return {
            "database_host": str(self.folder),
            "database_role": OWNER,
            "database_programs": str(self.bin),
        }

    def start(self) -> None:
        command = [str(self.bin / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        options = [
            "listen_addresses=",
            "fsync=off",
            "max_connections=20",
            "shared_buffers=16MB",
            "autovacuum=off",
            "jit=off",
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *(word for option in options for word in ("-c", option))],
                stdout=log,
                stderr=log,
                env=ENVIRONMENT,
                cwd=self.folder,
                user=_server_user(),
            )
        for _ in range(400):
            if self.ask("SELECT 1", check=False) == "1":
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End the server; with SIGKILL as a power cut does, its children too."""
        if self.process is None:
            return
        children = _children(self.process.pid) if number is signal.SIGKILL else []
        self.process.send_signal(number)
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(timeout=30)
        self.process = None
        if number is signal.SIGKILL:
            (self.folder / "data/postmaster.pid").unlink(missing_ok=True)

    def ask(self, statements: str, *, role: str = SUPERUSER, database: str = "postgres", check: bool = True) -> str:
        """What psql prints for these statements, unaligned."""
        place = ("-h", str(self.folder), "-U", role, "-d", database)
        ended = subprocess.run(
            [str(self.bin / "psql"), "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", *place],
            input=statements,
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            timeout=300,
            check=False,
        )
        assert ended.returncode == 0 or not check, ended.stderr
        return ended.stdout.strip()

    @contextmanager
    def holding(self, statements: str) -> Iterator[None]:
        """A session of OWNER that did this in a transaction, and has not ended it."""
        place = ("-h", str(self.folder), "-U", OWNER, "-d", DATABASE)
        with subprocess.Popen(
            [str(self.bin / "psql"), "-X", "-q", "-A", "-t", "-w", *place],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        ) as session:
            assert session.stdin is not None
            assert session.stdout is not None
            session.stdin.write(f"BEGIN; {statements};\n\\echo held\n".encode())
            session.stdin.flush()
            while session.stdout.readline() != b"held\n":
                pass
            yield
            session.stdin.close()


@contextmanager
def postgres_cluster() -> Iterator[Cluster]:
    """A running server with the empty database `lis` of `lis_owner`, who may do nothing else."""
    found = programs()
    assert found is not None, "ask programs() first"
    folder = Path(tempfile.mkdtemp(prefix="upgrader-pg-", dir="/tmp"))  # the name of a socket is at most 107 bytes long
    cluster = Cluster(folder, found)
    try:
        _make(cluster)
        cluster.start()
        cluster.ask(f"CREATE ROLE {OWNER} LOGIN")
        cluster.ask(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _make(cluster: Cluster) -> None:
    if (user := _server_user()) is not None:
        shutil.chown(cluster.folder, user)
    cluster.folder.chmod(0o755)
    data = cluster.folder / "data"
    form = ("--auth=peer", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8")
    subprocess.run(
        [str(cluster.bin / "initdb"), "-D", str(data), "-U", SUPERUSER, *form],
        env=ENVIRONMENT,
        cwd=cluster.folder,
        user=user,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    me = getpass.getuser()
    (data / "pg_hba.conf").write_text("local all all peer map=test\n")
    (data / "pg_ident.conf").write_text(f"test {me} {SUPERUSER}\ntest {me} {OWNER}\n")


def _server_user() -> str | None:
    """Who the server runs as; None for ourselves."""
    return pwd.getpwnam(UNPRIVILEGED).pw_name if os.geteuid() == 0 else None


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]
