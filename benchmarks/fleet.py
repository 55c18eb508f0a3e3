"""The hosts that every contender starts from: the old version installed and serving, nothing else there."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.vendor_drop import SYSTEM, BenchDrop, Build
from upgrader.lab.backend import HOST_MARKER, LAB_MARKER
from upgrader.lab.host import SERVICE_PORT, LabHost
from upgrader.lab.lab import Lab


class BenchFailed(Exception):
    """A contender did not do what it was measured for: its figure would be worth nothing."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """All hosts of one lab. They are prepared from their disks, not over ssh, and outside of what is measured."""

    lab: Lab
    drop: BenchDrop

    @property
    def hosts(self) -> Sequence[LabHost]:
        return self.lab.hosts

    def reset(self, build: Build) -> None:
        """Every host as if `build` had been installed long ago. Files of one build are shared between hosts (links)."""
        golden = self.lab.directory / "golden" / build.version
        if not golden.is_dir():
            _unpack(build, golden)
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda host: self._reset_host(host, build, golden), self.hosts))
            list(pool.map(self._start_host, self.hosts))

    def keep_base(self, build: Build) -> None:
        """Every host keeps the archive of the build that it runs, as it does after an upgrade where it has zstd."""
        for host in self.hosts:
            state = Path(host.upgrader_state) / SYSTEM
            state.mkdir(parents=True, exist_ok=True)
            shutil.copy(build.archive, state / f"{build.sha256}.base.gz")

    def stop(self) -> None:
        for host in self.hosts:
            self._stop_host(host)

    def check(self, version: str) -> None:
        """Raise BenchFailed unless every host serves this version."""
        wrong = [host.name for host in self.hosts if served(host) != version]
        if wrong:
            raise BenchFailed(f"{len(wrong)} of {len(self.hosts)} hosts do not serve {version}: {', '.join(wrong[:5])}")

    def _reset_host(self, host: LabHost, build: Build, golden: Path) -> None:
        self._stop_host(host)
        for folder in (f"{host.upgrader_root}/{SYSTEM}", host.upgrader_state):
            shutil.rmtree(folder, ignore_errors=True)
        system = Path(host.upgrader_root) / SYSTEM
        home = system / "versions" / build.version
        shutil.copytree(golden, home, copy_function=os.link)
        (home / "etc/site.conf").write_text(f"address={host.address}\nport={SERVICE_PORT}\n", encoding="ascii")
        (home / ".upgrader").write_text(
            f"sha256={build.sha256}\nkey=bench\nversion={build.version}\n", encoding="ascii"
        )
        (system / "shared").mkdir()
        (system / "current").symlink_to(f"versions/{build.version}")

    def _start_host(self, host: LabHost) -> None:
        for program in (("service", "start"), ("health",)):
            _run((self._program(host, program[0]), *program[1:]), self._environment(host))

    def _stop_host(self, host: LabHost) -> None:
        service = self._program(host, "service")
        if service.exists():
            _run((service, "stop"), self._environment(host))

    def _program(self, host: LabHost, name: str) -> Path:
        return Path(host.upgrader_root) / SYSTEM / "current/bin" / name

    def _environment(self, host: LabHost) -> dict[str, str]:
        """By its markers the lab finds what was started on a host, and ends it."""
        marks = {LAB_MARKER: self.lab.record.id, HOST_MARKER: f"{self.lab.record.id}.{host.name}"}
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **marks}


def served(host: LabHost) -> str:
    """The version that the host's service answers with, or nothing."""
    connection = HTTPConnection(host.address, SERVICE_PORT, timeout=5)
    try:
        connection.request("GET", "/VERSION")
        return connection.getresponse().read().decode().strip()
    except (OSError, HTTPException):
        return ""
    finally:
        connection.close()


def _unpack(build: Build, folder: Path) -> None:
    for name, content in build.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755 if name.startswith("bin/") else 0o644)


def _run(command: Sequence[str | Path], environment: dict[str, str]) -> None:
    subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL)
