"""A host with a folder that nobody versions, and sets of files for it."""

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.sh_host import SERVICE, SYSTEM, Build, ShHost, pack, whole_script

SCRIPT = whole_script("files_in_place")


def service_text(version: str, *, start: str = ":", stop: str = ":") -> str:
    """The service of the protocol's suite; its data lie in the folder itself."""
    text = SERVICE.replace("@version@", version).replace("@start@", start).replace("@stop@", stop)
    return text.replace("../../shared", "data")


def make_place(folder: Path, version: str, *, health: str = "exit 0", **texts: str) -> Build:
    """A set of files that is a whole program, as a first delivery is."""
    files = {
        "VERSION": f"{version}\n",
        "bin/service": service_text(version, **texts),
        "bin/health": f"#!/bin/sh\n{health}\n",
        "etc/site.conf.in": "address=@address@\n",
    }
    return Build(pack(folder / f"{SYSTEM}-{version}-{uuid.uuid4().hex[:6]}.tar.gz", files), version)


@dataclass
class PlaceHost(ShHost):
    @property
    def text(self) -> str:
        return SCRIPT

    @property
    def target(self) -> Path:
        return self.folder / "srv/a lis"

    @property
    def data(self) -> Path:
        self.target.joinpath("data").mkdir(exist_ok=True)
        return self.target / "data"

    @property
    def current(self) -> str:
        version = self.target / "VERSION"
        return version.read_text().strip() if version.exists() else ""

    def lines(self, build: Build, **inputs: Any) -> str:
        self.data.mkdir(exist_ok=True)
        return super().lines(build, **{"target": str(self.target), "version_file": "VERSION", **inputs})

    @property
    def calls(self) -> list[str]:
        calls = self.data / "calls"
        return [line for line in calls.read_text().splitlines() if "status" not in line] if calls.exists() else []

    def service_runs(self) -> bool:
        pid = self.data / "pid"
        return pid.exists() and Path(f"/proc/{pid.read_text().strip()}").exists()
