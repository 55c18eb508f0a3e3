"""Hosts for the transaction script: the same tests under dash, and under busybox with nothing but busybox."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.sh_host import Build, ShHost, make_build

BUSYBOX = shutil.which("busybox")


@pytest.fixture(params=["dash", "busybox"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ShHost]:
    if request.param == "dash":
        made = ShHost(tmp_path, shutil.which("dash") or "/bin/sh", "/usr/bin:/bin")
    else:
        if BUSYBOX is None:
            pytest.skip("busybox is not installed")
        applets = tmp_path / "busybox"
        applets.mkdir()
        subprocess.run([BUSYBOX, "--install", "-s", str(applets)], check=True)
        made = ShHost(tmp_path, str(applets / "sh"), str(applets))
    yield made
    made.end()


@pytest.fixture
def old(host: ShHost, tmp_path: Path) -> Build:
    """Version 1.0, installed and running."""
    build = make_build(tmp_path, "1.0")
    host.install(build)
    return build
