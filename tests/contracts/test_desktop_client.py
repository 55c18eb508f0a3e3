"""A desktop's client as a real package, in both layouts: nothing to start, its launcher goes through `current`."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.deb_host import MISSING, DebHost, Package, make_package
from contracts.sh_host import SYSTEM, Build

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"NO PACKAGES TRIED: missing {', '.join(MISSING)}")
LATER = "CHG-2026-0002.0123456789ab"
LAUNCHER = f"usr/share/applications/{SYSTEM}.desktop"
CHECK = '#!/bin/sh\nhere=$(cd "$(dirname "$0")/.." && pwd -P)\n[ "$(cat "$here/VERSION")" = @version@ ]\n'


def client(folder: Path, app: str, version: str, *, says: str = "") -> Build:
    """Its health is that the version which people would start says what it is; `says` is what it says in its place."""
    home = f"{app}/versions/{version}"
    package = Package(
        name=SYSTEM,
        version=version,
        scripts={
            "postinst": f'ln -sfn versions/{version} "$DPKG_ROOT/{app}/current"',
            "prerm": f'if [ "$1" = remove ]; then rm -f "$DPKG_ROOT/{app}/current"; fi',
        },
        files={
            f"{home}/bin/client": f"#!/bin/sh\necho {version}\n",
            f"{home}/bin/check": CHECK.replace("@version@", version),
            f"{home}/VERSION": f"{says or version}\n",
            f"{app}/client.conf.in": "address=@address@\n",
            LAUNCHER: f"[Desktop Entry]\nType=Application\nName=Client\nExec=/{app}/current/bin/client\n",
        },
    )
    return Build(make_package(folder, package), version)


@pytest.fixture(params=["opt/apps/exam-client", "opt/lanxin/exam-client"])
def app(request: pytest.FixtureRequest) -> str:
    """Where domestic desktops have their programs, and where vendors put theirs."""
    found: str = request.param
    return found


@pytest.fixture
def host(tmp_path: Path) -> Iterator[DebHost]:
    made = DebHost(tmp_path, shutil.which("dash") or "/bin/sh", "/usr/bin:/bin")
    made.make_system()
    yield made
    made.end()


def started(host: DebHost) -> Path:
    """The program that the launcher starts."""
    (line,) = [line for line in host.file(LAUNCHER).read_text().splitlines() if line.startswith("Exec=")]
    return host.file(line.removeprefix("Exec=/")).resolve(strict=True)


def test_a_client_without_a_service_is_put_in_upgraded_and_taken_back(host: DebHost, app: str, tmp_path: Path) -> None:
    terms = {
        "manager": "none",
        "script": "",
        "health": f"{app}/current/bin/check",
        "config.from": f"{app}/client.conf.in",
        "config.to": f"{app}/client.conf",
    }
    first = host.apply(client(tmp_path, app, "1.0"), **terms)
    assert (first["outcome"], first["current"]) == ("upgraded", "1.0"), first
    assert host.run("confirm", client(tmp_path, app, "1.0"), **terms)["outcome"] == "upgraded"
    assert started(host) == host.file(f"{app}/versions/1.0/bin/client")

    wrong = host.apply(client(tmp_path, app, "1.9", says="1.8"), base="1.0", key="CHG-2026-0003.0123456789ab", **terms)
    assert (wrong["outcome"], wrong["step"], wrong["current"]) == ("rolled-back", "health", "1.0"), wrong
    assert started(host) == host.file(f"{app}/versions/1.0/bin/client")

    new = client(tmp_path, app, "2.0")
    up = host.apply(new, base="1.0", key=LATER, **terms)
    assert (up["outcome"], up["current"]) == ("upgraded", "2.0"), up
    assert host.run("confirm", new, key=LATER, **terms)["outcome"] == "upgraded"
    assert started(host) == host.file(f"{app}/versions/2.0/bin/client")
    assert host.file(f"{app}/client.conf").read_text() == "address=10.0.0.1 & <\\co>\n"

    back = host.run("revert", new, key=LATER, **terms)
    assert (back["outcome"], back["current"]) == ("rolled-back", "1.0"), back
    assert started(host) == host.file(f"{app}/versions/1.0/bin/client")
    assert not host.file(f"{app}/versions/2.0").exists()
