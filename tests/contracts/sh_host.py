"""A host for the transaction script: a folder of its own, and a shell to run it with. No ssh, no Ansible."""

import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
PARTS = REPOSITORY / "collections/ansible_collections/upgrader/host/plugins/plugin_utils/host_script.py"
MARKER = "UPGRADER_TEST_HOST"
SYSTEM = "exam-scheduling"

SERVICE = """\
#!/bin/sh
# A service as vendors write them: its pid file lies in the shared folder.
here=$(cd "$(dirname "$0")/.." && pwd)
pid=$here/../../shared/pid
echo "$1 @version@" >>"$here/../../shared/calls"
zombie() { [ "$(sed 's/.*) \\(.\\).*/\\1/' "/proc/$1/stat")" = Z ]; }
alive() { [ -s "$pid" ] && kill -0 "$(cat "$pid")" 2>/dev/null && ! zombie "$(cat "$pid")"; }
case $1 in
start)
    @start@
    alive || { setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >"$pid"; } ;;
stop)
    @stop@
    if alive; then kill -KILL "$(cat "$pid")"; sleep 0.1; fi; rm -f "$pid" ;;
status)
    alive ;;
esac
"""


def whole_script(strategy: str = "archive") -> str:
    """The transaction script as a host gets it, with the line that calls it."""
    return subprocess.run([sys.executable, str(PARTS), strategy], capture_output=True, text=True, check=True).stdout


SCRIPT = whole_script()


@dataclass(frozen=True, slots=True)
class Build:
    """One vendor build on the controller."""

    path: Path
    version: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @property
    def size(self) -> int:
        return self.path.stat().st_size


def pack(path: Path, files: Mapping[str, str | bytes], *, members: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    """An archive with these files; whatever lies below bin/ is a program."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mode = 0o755 if name.startswith("bin/") else 0o644
            archive.addfile(member, io.BytesIO(data))
        for member in members:
            archive.addfile(member)
    return path


def make_build(
    folder: Path, version: str, *, health: str = "exit 0", start: str = ":", stop: str = ":", **files: str | bytes
) -> Build:
    service = SERVICE.replace("@version@", version).replace("@start@", start).replace("@stop@", stop)
    content: dict[str, str | bytes] = {
        "bin/service": service,
        "bin/health": f"#!/bin/sh\n{health}\n",
        "etc/site.conf.in": "address=@address@\nhome=@home@\nname=@version@ of @system@\n",
        "a name with spaces/ä.txt": "x",
        **files,
    }
    return Build(pack(folder / f"{SYSTEM}-{version}-{uuid.uuid4().hex[:6]}.tar.gz", content), version)


@dataclass
class ShHost:
    """Runs the transaction script against a root of its own, with the shell and the programs that are given."""

    folder: Path
    shell: str
    path: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    extra: str = ""  # lines of input that may come more than once

    @property
    def text(self) -> str:
        """The script that is run here."""
        return SCRIPT

    @property
    def root(self) -> Path:
        return self.folder / "a root" / SYSTEM

    @property
    def state(self) -> Path:
        return self.folder / "state" / SYSTEM

    @property
    def current(self) -> str:
        link = self.root / "current"
        return link.readlink().name if link.is_symlink() else ""

    @property
    def facts(self) -> list[str]:
        lines = [line.split() for line in (self.state / "journal").read_text(errors="replace").splitlines()]
        return [fields[4] for fields in lines if len(fields) > 4]  # a power cut may have torn one

    @property
    def calls(self) -> list[str]:
        calls = self.root / "shared/calls"
        return [line for line in calls.read_text().splitlines() if "status" not in line] if calls.exists() else []

    def service_runs(self) -> bool:
        pid = self.root / "shared/pid"
        return pid.exists() and Path(f"/proc/{pid.read_text().strip()}").exists()

    def lines(self, build: Build, **inputs: Any) -> str:
        values: dict[str, str | int] = {
            "format": "upgrader.host/1",
            "key": "CHG-2026-0001.0123456789ab",
            "system": SYSTEM,
            "version": build.version,
            "file": build.path.name,
            "sha256": build.sha256,
            "size": build.size,
            "root": str(self.root.parent),
            "state": str(self.state.parent),
            "manager": "script",
            "script": "bin/service",
            "health": "bin/health",
            "health_seconds": 5,
            "start_seconds": 5,
            "settle_seconds": 0,
            "confirm_seconds": 60,
            "config.from": "etc/site.conf.in",
            "config.to": "etc/site.conf",
            "parameter.address": "10.0.0.1 & <\\co>",
            **inputs,
        }
        return "".join(f"{name}={value}\n" for name, value in values.items()) + self.extra + "end=inputs\n"

    def command(self, verb: str, script: Path | None = None) -> list[str]:
        """The call of `verb`, with the script as it is or with another one."""
        if script is None:
            script = self.folder / "transaction.sh"
            script.write_text(self.text)
        return [self.shell, str(script), verb]

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": self.path, MARKER: self.id}

    def run(self, verb: str, build: Build, **inputs: Any) -> dict[str, Any]:
        """What the script told. Its one line of JSON is the last line; it must say nothing on stderr."""
        ended = subprocess.run(
            self.command(verb),
            input=self.lines(build, **inputs).encode(),
            capture_output=True,
            env=self.environment,
            timeout=300,
            check=False,
        )
        assert ended.stderr == b"", ended.stderr.decode(errors="replace")
        assert ended.returncode == 0
        fact: dict[str, Any] = json.loads(ended.stdout.decode(errors="replace").splitlines()[-1])
        assert fact["format"] == "upgrader.host/1"
        return fact

    def send(self, build: Build) -> None:
        incoming = self.state / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(build.path, incoming / f"{build.sha256}.0.part")

    def apply(self, build: Build, **inputs: Any) -> dict[str, Any]:
        """As the action plugin does it: ask, send what is wanted, ask again."""
        fact = self.run("apply", build, **inputs)
        if fact.get("need") != "build":
            return fact
        shutil.copyfile(build.path, fact["upload"] + ".0.part")
        return self.run("apply", build, sent=1, **inputs)

    def install(self, build: Build, key: str = "CHG-2026-0000.000000000000") -> None:
        assert self.apply(build, base=self.current, key=key)["outcome"] == "upgraded"
        assert self.run("confirm", build, key=key)["outcome"] == "upgraded"

    def crash_after(self, fact: str) -> Path:
        """The same script, which is killed as soon as this fact is in the journal, as by a power cut."""
        changed = re.sub(r"^record\(\)", "record_for_good()", self.text, flags=re.MULTILINE)
        killing = f'record() {{ record_for_good "$@" || return; [ "$1" != {fact} ] || kill -KILL $$; }}\n'
        script = self.folder / f"crash-{fact}.sh"
        script.write_text(changed.replace("#:call\n", killing + "#:call\n"))
        return script

    def run_crashing(self, verb: str, build: Build, fact: str, **inputs: Any) -> None:
        ended = subprocess.run(
            self.command(verb, self.crash_after(fact)),
            input=self.lines(build, **inputs).encode(),
            capture_output=True,
            env=self.environment,
            timeout=300,
            check=False,
        )
        assert ended.returncode == -signal.SIGKILL, (ended.returncode, ended.stdout, ended.stderr)

    def processes(self) -> list[int]:
        """Everything that was started from this host and still runs."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and f"{MARKER}={self.id}".encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:  # it ended meanwhile, or is not ours
                continue
        return found

    def end(self) -> None:
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
