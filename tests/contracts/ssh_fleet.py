"""Real sshd hosts on 127.0.0.0/8 for the contract tests of the seam, and a tree as the gate exports it."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.sh_host import MARKER, REPOSITORY, SYSTEM, Build, ShHost

PORT = 22422
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin") or ""

# HOME is the host's own: the shell that sshd starts must not read the .bashrc of whoever runs the tests.
CONFIG = """\
Port {port}
ListenAddress {address}
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {authorized}
SetEnv {marker}={id} HOME={folder}
Subsystem sftp internal-sftp
UsePAM no
StrictModes no
PasswordAuthentication no
MaxStartups 200
MaxSessions 200
UseDNS no
PrintMotd no
"""

# What the vendor's program does here: it answers over HTTP, with its version.
SERVER = """\
#!/bin/sh
here=$(cd "$(dirname "$0")/.." && pwd)
shared=$here/../../shared
. "$here/etc/site.conf"
alive() { [ -s "$shared/pid" ] && [ -d "/proc/$(cat "$shared/pid")" ]; }
case $1 in
start)
    cd "$here" || exit 1
    @python@ -m http.server --bind "$address" "$port" --directory "$here/etc" >>"$shared/log" 2>&1 </dev/null &
    echo $! >"$shared/pid" ;;
stop)
    if alive; then kill "$(cat "$shared/pid")"; while alive; do sleep 0.05; done; fi
    rm -f "$shared/pid" ;;
status) alive ;;
esac
"""

HEALTH = """\
. ./etc/site.conf
@python@ -c 'import sys, time, urllib.request as r
for _ in range(50):
    try: sys.exit(r.urlopen(sys.argv[1]).read().decode().strip() != sys.argv[2])
    except OSError: time.sleep(0.1)
sys.exit("no answer")' "http://$address:$port/version" "$version"
"""


def server_files(version: str, health: str = HEALTH) -> dict[str, str]:
    python = sys.executable
    return {
        "bin/service": SERVER.replace("@python@", python),
        "bin/health": "#!/bin/sh\n" + health.replace("@python@", python),
        "etc/version": f"{version}\n",
        "etc/site.conf.in": "address=@address@\nport=@port@\nversion=@version@\n",
    }


@dataclass
class SshFleet:
    """`count` hosts behind one key, with pinned host keys and a static inventory."""

    folder: Path
    count: int
    network: str = field(default_factory=lambda: f"127.{64 + os.urandom(1)[0] % 180}.{os.urandom(1)[0]}")
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"host-{n:02d}" for n in range(1, self.count + 1))

    def address(self, name: str) -> str:
        return f"{self.network}.{int(name[-2:])}"

    def host(self, name: str) -> ShHost:
        """The same host as seen from its own disk."""
        return ShHost(self.folder / name, "/usr/bin/dash", "/usr/bin:/bin", id=f"{self.folder}/{name}")

    def start(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        _keygen(self.key)
        for name in self.names:
            self.start_host(name)
        self._export_tree()

    def start_host(self, name: str) -> None:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        if not (folder / "host_key").exists():
            _keygen(folder / "host_key")
        config = folder / "sshd_config"
        config.write_text(
            CONFIG.format(
                port=PORT,
                address=self.address(name),
                folder=folder,
                authorized=f"{self.key}.pub",
                marker=MARKER,
                id=self.host(name).id,
            )
        )
        with (folder / "sshd.log").open("ab") as log:
            self.processes.append(subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log))
        _wait_for_port(self.address(name))

    def stop_host(self, name: str) -> None:
        """Gone from the network at once, with every session."""
        pid = int((self.folder / name / "sshd.pid").read_text())
        sessions = _children(pid)
        for process in self.processes:
            if process.pid == pid:
                process.kill()
                process.wait()
        for session in sessions:
            os.kill(session, signal.SIGKILL)

    def cut(self, name: str) -> None:
        """Every session of this host ends at once; it can be reached again."""
        for session in _children(int((self.folder / name / "sshd.pid").read_text())):
            os.kill(session, signal.SIGKILL)

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
            process.wait()
        for name in self.names:
            self.host(name).end()

    def upgrade(self, build: Build, *, base: str = "", change: str = "CHG-2026-0001", **changed: Any) -> dict[str, Any]:
        return upgrade_of(build, dict.fromkeys(self.names, base), change=change, **changed)

    def _export_tree(self) -> None:
        export_tree(self.tree)
        inventory = self.tree / "inventory"
        inventory.mkdir()
        lines = ["---", "all:", "  children:", "    stations:", "      hosts:"]
        known = []
        for name in self.names:
            lines += [f"        {name}:", f"          ansible_host: {self.address(name)}"]
            lines += [f"          upgrader_root: {self.host(name).root.parent}"]
            lines += [f"          upgrader_state: {self.host(name).state.parent}"]
            lines += ["          upgrader_parameters:", f"            address: {self.address(name)}"]
            lines += ["            port: 8477"]
            public = (self.folder / name / "host_key.pub").read_text().split()
            known.append(f"[{self.address(name)}]:{PORT} {public[0]} {public[1]}\n")
        lines += ["      vars:", f"        ansible_port: {PORT}", f"        ansible_user: {getpass.getuser()}"]
        lines += ["        upgrader_service_manager: script"]
        (inventory / "hosts.yml").write_text("\n".join(lines) + "\n")
        (inventory / "known_hosts").write_text("".join(known))


def upgrade_of(
    build: Build, base: Mapping[str, str], *, change: str = "CHG-2026-0001", **changed: Any
) -> dict[str, Any]:
    """The variable `upgrade` for one build."""
    return {
        "format": "upgrader.upgrade/1",
        "change": change,
        "plan": "0123456789ab" + "0" * 52,
        "system": SYSTEM,
        "version": build.version,
        "strategy": "archive",
        "digest": build.sha256,
        "builds": [{"file": build.path.name, "path": str(build.path), "sha256": build.sha256, "size": build.size}],
        "earlier": [],
        "service": {
            "name": SYSTEM,
            "unit": "etc/exam-scheduling.service",
            "script": "bin/service",
            "settle_seconds": 0,
        },
        "health": {"command": "bin/health", "seconds": 10},
        "config": [{"from": "etc/site.conf.in", "to": "etc/site.conf"}],
        "keep": 2,
        "confirm_seconds": 60,
        "base": dict(base),
        **changed,
    }


def export_tree(tree: Path) -> None:
    """All of an exported tree but its inventory."""
    tree.mkdir(exist_ok=True)
    for name in ("ansible.cfg", "playbooks", "roles", "collections"):
        source = REPOSITORY / name
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, tree / name)


def _children(pid: int) -> list[int]:
    listed = [Path(f"/proc/{pid}/task/{thread.name}/children") for thread in Path(f"/proc/{pid}/task").iterdir()]
    return [int(child) for path in listed for child in path.read_text().split()]


def _keygen(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def _wait_for_port(address: str) -> None:
    for _ in range(100):
        try:
            with socket.create_connection((address, PORT), timeout=1) as link:
                if link.recv(4) == b"SSH-":
                    return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"sshd on {address} does not answer")
