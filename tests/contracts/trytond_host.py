"""Tryton's server as a release: a relocatable archive made from pinned wheels, and a person who works with it."""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from contracts.postgres_cluster import DATABASE, OWNER, Cluster
from contracts.upgraded_database import digest

REQUIREMENTS = Path(__file__).parent / "trytond"
PASSWORD = "a long-enough pass 4711"
INTERPRETER = "/usr/bin/python3"
FILES = {
    "etc/trytond.conf.in": """\
[database]
uri = postgresql://
[web]
listen = 127.0.0.1:@port@
""",
    "etc/environment.in": """\
export PGHOST='@database_host@' PGUSER='@database_role@' LC_ALL=C.UTF-8
export PYTHONPATH='@home@/lib' TRYTOND_CONFIG='@home@/etc/trytond.conf'
""",
    "bin/migrate": f"""\
#!/bin/sh
. etc/environment
exec {INTERPRETER} lib/bin/trytond-admin -c "$TRYTOND_CONFIG" -d "$PGDATABASE" --all
""",
    "bin/service": f"""\
#!/bin/sh
here=$(cd "$(dirname "$0")/.." && pwd)
pid=$here/../../shared/pid
alive() {{ [ -s "$pid" ] && kill -0 "$(cat "$pid")" 2>/dev/null; }}
case $1 in
start)
    . "$here/etc/environment"
    log=$here/../../shared/log
    alive || {{ setsid {INTERPRETER} "$here/lib/bin/trytond" -c "$TRYTOND_CONFIG" </dev/null >"$log" 2>&1 &
        echo $! >"$pid"; }} ;;
stop)
    if alive; then kill -TERM "$(cat "$pid")"; fi
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do alive || break; sleep 0.5; done
    if alive; then kill -KILL "$(cat "$pid")"; fi
    rm -f "$pid" ;;
status)
    alive ;;
esac
""",
    "bin/health": f"""\
#!/bin/sh
exec {INTERPRETER} - <<'END'
import time, urllib.request
for _ in range(100):
    try:
        urllib.request.urlopen("http://127.0.0.1:@port@/", timeout=5)
        raise SystemExit(0)
    except urllib.error.HTTPError:
        raise SystemExit(0)
    except OSError:
        time.sleep(0.5)
raise SystemExit("nobody answers")
END
""",
}


def wheels(series: str, cache: Path) -> Path:
    """The folder with the wheels of a series, unpacked and each checked against its SHA-256; kept for later runs.

    Raises AssertionError with pip's words: without a package registry these tests can't say anything.
    """
    target = cache / f"trytond-{series}"
    if target.is_dir():
        return target
    pip = [sys.executable, "-m", "pip"] if find_spec("pip") else [shutil.which("pip") or "pip"]
    fresh = cache / f".trytond-{series}.{os.getpid()}"
    ended = subprocess.run(  # with the surroundings of whoever runs the tests: they say where the registry is
        [*pip, "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:",
         "--no-compile", "--require-hashes", "--target", str(fresh),
         "--requirement", str(REQUIREMENTS / f"{series}.txt")],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, f"NO TRYTON: its wheels could not be fetched.\n{ended.stderr}"
    fresh.rename(target)
    return target


def archive(site: Path, path: Path) -> Path:
    """The release's build: wheels, start script, configuration templates."""
    with tarfile.open(path, "w") as tar:
        tar.add(site, "lib", filter=_plain)
        for name, text in FILES.items():
            source = path.with_name("member")
            source.write_text(text)
            source.chmod(0o755 if name.startswith("bin/") else 0o644)
            tar.add(source, name, filter=_plain)
    return path


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Files and folders alone, without tests and translations, which nobody asks for here."""
    parts = member.name.split("/")
    own = parts[:3] == ["lib", "trytond", "tests"]  # the server imports them
    if ("tests" in parts and not own) or member.name.endswith((".po", ".pot")):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def first_database(site: Path, cluster: Cluster, folder: Path) -> None:
    """The database of the first version, as Tryton's own command makes it; a dump of it is kept beside the wheels.

    Raises CalledProcessError.
    """
    kept = site.with_name(f"{site.name}.{digest(REQUIREMENTS / '6.0.txt')[:12]}.dump")
    place = ("--no-password", "--host", str(cluster.folder), "--username", OWNER, "--dbname", DATABASE)
    if kept.is_file():
        _run([str(cluster.bin / "pg_restore"), "--exit-on-error", *place, str(kept)])
        return
    (folder / "password").write_text(PASSWORD)
    (folder / "first.conf").write_text("[database]\nuri = postgresql://\n")
    _run(
        [INTERPRETER, str(site / "bin/trytond-admin"), "-c", str(folder / "first.conf"), "-d", DATABASE,
         "-u", "party", "--activate-dependencies", "--email", "it@hospital.example"],
        PYTHONPATH=str(site),
        TRYTONPASSFILE=str(folder / "password"),
        PGHOST=str(cluster.folder),
        PGUSER=OWNER,
    )  # fmt: skip
    fresh = kept.with_name(f".{kept.name}.{os.getpid()}")
    _run([str(cluster.bin / "pg_dump"), "--format=custom", "--file", str(fresh), *place])
    fresh.rename(kept)


def _run(command: list[str], **environment: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **environment}
    subprocess.run(command, env=environment, capture_output=True, check=True)


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


@dataclass
class Person:
    """Somebody who works with the server over its own protocol (JSON-RPC). Raises OSError when it does not answer."""

    port: int
    session: str = ""

    def log_in(self, *, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                user, session = self._call("common.db.login", "admin", {"password": PASSWORD}, "en")[:2]
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)
        self.session = base64.b64encode(f"admin:{user}:{session}".encode()).decode()

    def add_party(self, name: str) -> int:
        made: int = self._call("model.party.party.create", [{"name": name}], {})[0]
        return made

    def parties(self) -> list[str]:
        found = self._call("model.party.party.search_read", [], 0, None, [["id", "ASC"]], ["name"], {})
        return [party["name"] for party in found]

    def _call(self, method: str, *parameters: Any) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/{DATABASE}/",
            data=json.dumps({"id": 1, "method": method, "params": parameters}).encode(),
            headers={"Content-Type": "application/json"}
            | ({"Authorization": f"Session {self.session}"} if self.session else {}),
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            told = json.load(answer)
        result = told.get("result", told) if isinstance(told, dict) else told
        assert not (isinstance(told, dict) and told.get("error")), told
        return result
