"""Debian's own packages through the command line, offline: put in, upgraded, taken back; and kiosks, only when idle."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.deb_host import MISSING as NO_DPKG
from contracts.deb_host import Package, make_package
from contracts.real_packages import NAME, NEW, OLD, NotFetched, real_pair
from upgrader.domain.approval.record import Namespace
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION, OWNER, TESTER, Answer, Hospital, Start
from upgrader.lab.host import LabHost
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.keys import sign
from upgrader.lab.machines import PROGRAMS
from upgrader.lab.programs import missing_programs
from upgrader.lab.releases import SYSTEM, VENDOR

MISSING = [*missing_programs(PROGRAMS), *NO_DPKG]
NO_MACHINES = "NO MACHINES TRIED: " + ("not root" if os.geteuid() != 0 else f"missing {', '.join(MISSING)}")
pytestmark = [
    pytest.mark.machines,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or bool(MISSING), reason=NO_MACHINES),
]
CLIENT = "exam-kiosk"
APP = f"opt/apps/{CLIENT}"
DESK, DESK_APP = "exam-desk", "opt/lanxin/exam-desk"
MANIFEST = """\
system: {system}
version: "{version}"
vendor: {vendor}
released: "2026-11-20"
summary: {{zh: 软件包, en: packages}}
follows: ["{follows}"]
strategy: package
downtime: 30s
data: keep
builds:
{builds}
package: {{name: {name}, held: refuse, unfinished: refuse, limit: 5m, lock_wait: 1m}}
{service}health: {{command: {health}, timeout: 20s}}
{more}keep: 2
probes:
  - {{name: answers, kind: tcp, address: "{{address}}", port: "{port}", interval: 1s, count: 2,
     failures_allowed: 1, timeout: 5s}}
thresholds: {{failed_in_wave: 0, failed_in_all: 0, unreachable_in_wave: 0}}
"""
BUSY = f"busy: {{command: {APP}/current/bin/idle, wait: 1s, then: defer}}\n"
UNIT = f"""\
[Unit]
Description=Kiosk
[Service]
ExecStart=/{APP}/current/bin/client
[Install]
WantedBy=multi-user.target
"""
LAUNCHER = f"[Desktop Entry]\nType=Application\nName=Kiosk\nExec=/{APP}/current/bin/client\n"
ON = 'if [ "$1" = configure ]; then systemctl daemon-reload; systemctl enable --quiet exam-kiosk; fi'


@dataclass
class Site:
    hospital: Hospital
    folder: Path

    def upgrader(self, person: str, *arguments: str, check: bool = True) -> Answer:
        return self.hospital.upgrader(person, "--lang", "en", *arguments, check=check)

    def on(self, host: LabHost, command: str) -> str:
        return self.hospital.lab.run(host, command).stdout.strip()

    def installed(self, host: LabHost, name: str) -> str:
        return self.on(
            host, f"dpkg-query -W -f '${{db:Status-Abbrev}}${{Version}} ' {name}; systemctl is-active {name}"
        )

    def planned(self, builds: Sequence[Path], name: str, follows: str, hosts: str, **said: str) -> str:
        """From a vendor's drop to a plan that everybody signed; the change's id."""
        (version,) = (path.name.split("_")[1] for path in builds if path.name.startswith(f"{name}_"))
        self.upgrader(ENGINEER, "stage", str(self._drop(builds, name, version, follows, said)))
        self.upgrader(TESTER, "record", "vendor-test", SYSTEM, version, "--cases", "48 of 48")
        self.upgrader(ENGINEER, "record", "site-test", SYSTEM, version, "--cases", "12 of 12")
        asked = self.upgrader(ENGINEER, "--json", "request", SYSTEM, version, "--reason", "packages", "--hosts", hosts,
                              "--window", "now → +4h", "--soak", "2s", "--soak-interval", "1s")  # fmt: skip
        change: str = asked.json()["change"]
        self.upgrader(ENGINEER, "plan", change)
        for person in (INFORMATION, HEAD):
            self.upgrader(person, "sign", change, "--yes")
        return change

    def _drop(self, builds: Sequence[Path], name: str, version: str, follows: str, said: dict[str, str]) -> Path:
        folder = self.folder / version
        folder.mkdir()
        for path in builds:
            shutil.copyfile(path, folder / path.name)
        listed = [f'  - {{file: "{p.name}", sha256: "{digest(p)}", size: {p.stat().st_size}}}' for p in builds]
        names = {"system": SYSTEM, "version": version, "vendor": VENDOR, "follows": follows, "name": name}
        terms = {
            **names,
            "health": f"bin/systemctl is-active {name}",
            "more": "",
            "service": f"service: {{name: {name}, settle: 1s}}\n",
            "builds": "\n".join(listed),
            **said,
        }
        (folder / "release.yml").write_text(MANIFEST.format_map(terms))
        files = sorted(folder.iterdir())
        (folder / "SHA256SUMS").write_text("".join(f"{digest(path)}  {path.name}\n" for path in files))
        sign(folder / "SHA256SUMS", self.hospital.drop.vendor_key, Namespace.RELEASE)
        return folder

    def closed(self, change: str) -> str:
        """The change's end, and what the auditor finds in its bundle."""
        bundle = self.folder / f"{change}-bundle"
        self.upgrader(ENGINEER, "close", change, "--to", str(bundle))
        state: str = self.upgrader(ENGINEER, "--json", "status", change).json()["state"]
        return state


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, warm: Start) -> Iterator[Site]:
    """One server and two kiosks, all of them whole machines without a way to the internet."""
    directory = tmp_path_factory.mktemp("packages")
    with temporary_lab(directory / "lab", hosts=3, machines=True) as lab:
        hospital = Hospital.build(directory, lab, default_cache() / "lab-drop", start=warm)
        kind = hospital.clone(ENGINEER) / "inventory" / "group_vars" / "exam_scheduling_stations.yml"
        kind.write_text("upgrader_kind: workstation\n")
        hospital.git(ENGINEER, "add", str(kind))
        hospital.git(ENGINEER, "commit", "-m", "the stations are kiosks")
        hospital.git(ENGINEER, "push")
        yield Site(hospital, tmp_path_factory.mktemp("drops"))


def test_a_service_of_debian_is_put_in_upgraded_taken_back_and_closed_offline(site: Site) -> None:
    try:
        pair = real_pair(default_cache())
    except NotFetched as error:
        pytest.skip(f"NO REAL PAIR TRIED: {error}")
    server = site.hospital.lab.hosts[0]
    old, new = (
        next(p.name.split("_")[1] for p in pair[suite] if p.name.startswith(f"{NAME}_")) for suite in (OLD, NEW)
    )
    assert site.on(server, "ip route show default") == ""

    first = site.planned(pair[OLD], NAME, "", "exam_scheduling_servers", port="8888")
    site.upgrader(ENGINEER, "apply", first)
    assert site.installed(server, NAME) == f"ii {old} active"
    site.upgrader(ENGINEER, "soak", first, check=False)
    site.upgrader(OWNER, "accept", first, "--yes")
    assert site.closed(first) == "closed"

    second = site.planned(pair[NEW], NAME, old, "exam_scheduling_servers", port="8888")
    site.upgrader(ENGINEER, "apply", second)
    assert site.installed(server, NAME) == f"ii {new} active"

    site.upgrader(ENGINEER, "rollback", second, "--reason", "rehearsal")
    assert site.installed(server, NAME) == f"ii {old} active"
    assert site.on(server, "dpkg --audit; dpkg --verify tinyproxy tinyproxy-bin") == ""
    assert site.closed(second) == "closed"


def kiosk(folder: Path, version: str) -> Path:
    """A client as domestic desktops have them: below /opt/apps, its launcher and its unit go through `current`."""
    program = f"{APP}/versions/{version}/bin"
    serve = "exec /usr/bin/python3 -m http.server 8477 --directory /var/empty"
    package = Package(
        name=CLIENT,
        version=version,
        scripts={
            "postinst": f'ln -sfn versions/{version} /{APP}/current; mkdir -p /var/empty\n{ON}',
            "prerm": f'if [ "$1" = remove ]; then systemctl disable --now --quiet {CLIENT}; rm -f /{APP}/current; fi',
        },
        files={
            f"{program}/client": f"#!/bin/sh\n{serve}\n",
            f"{program}/idle": "#!/bin/sh\n[ ! -e /run/somebody ] || { echo 'an admission is typed in'; exit 1; }\n",
            f"usr/share/applications/{CLIENT}.desktop": LAUNCHER,
            f"lib/systemd/system/{CLIENT}.service": UNIT,
        },
    )  # fmt: skip
    return make_package(folder, package)


def test_a_kiosk_is_upgraded_only_when_nobody_uses_it(site: Site, tmp_path: Path) -> None:
    idle, used = site.hospital.lab.hosts[1:]
    first = site.planned([kiosk(tmp_path, "1.0")], CLIENT, "", "exam_scheduling_stations", port="8477")
    site.upgrader(ENGINEER, "apply", first)
    site.on(used, "touch /run/somebody")
    change = site.planned([kiosk(tmp_path, "2.0")], CLIENT, "1.0", "exam_scheduling_stations", port="8477", more=BUSY)

    applied = site.upgrader(ENGINEER, "--json", "apply", change, check=False)

    assert applied.code == 32, applied.err
    assert applied.json()["counts"] == {"upgraded": 1, "busy": 1}
    assert site.installed(idle, CLIENT) == "ii 2.0 active"
    assert site.installed(used, CLIENT) == "ii 1.0 active"
    assert site.on(idle, f"readlink /{APP}/current") == "versions/2.0"
    (pending,) = site.upgrader(ENGINEER, "--json", "pending").json()["pending"]
    assert (pending["host"], pending["outcome"]) == (used.name, "busy")

    site.on(used, "rm /run/somebody")
    retried = site.upgrader(ENGINEER, "--json", "retry", change, check=False)
    assert (retried.code, retried.json()["tried"]) == (0, {used.name: "upgraded"}), retried.err
    assert site.installed(used, CLIENT) == "ii 2.0 active"


def desk(folder: Path, version: str) -> Path:
    """A client that people start themselves: below the vendor's own folder, its launcher goes through `current`."""
    home = f"{DESK_APP}/versions/{version}"
    package = Package(
        name=DESK,
        version=version,
        scripts={
            "postinst": f"ln -sfn versions/{version} /{DESK_APP}/current",
            "prerm": f'if [ "$1" = remove ]; then rm -f /{DESK_APP}/current; fi',
        },
        files={
            f"{home}/bin/client": f"#!/bin/sh\necho {version}\n",
            f"{home}/bin/check": f'#!/bin/sh\n[ "$(/{DESK_APP}/current/bin/client)" = {version} ]\n',
            f"usr/share/applications/{DESK}.desktop": f"[Desktop Entry]\nType=Application\nName=Desk\n"
            f"Exec=/{DESK_APP}/current/bin/client\n",
        },
    )
    return make_package(folder, package)


def test_a_desktop_client_without_a_service_is_upgraded_and_taken_back(site: Site, tmp_path: Path) -> None:
    host = site.hospital.lab.hosts[0]
    said = {"port": "22", "service": "", "health": f"{DESK_APP}/current/bin/check"}
    launched = f'sh -c "$(sed -n s/^Exec=//p /usr/share/applications/{DESK}.desktop)"'
    first = site.planned([desk(tmp_path, "1.5")], DESK, "", "exam_scheduling_servers", **said)
    site.upgrader(ENGINEER, "apply", first)
    assert site.on(host, launched) == "1.5"

    change = site.planned([desk(tmp_path, "2.5")], DESK, "1.5", "exam_scheduling_servers", **said)
    site.upgrader(ENGINEER, "apply", change)
    assert site.on(host, launched) == "2.5"
    site.upgrader(ENGINEER, "rollback", change, "--reason", "rehearsal")
    assert site.on(host, launched) == "1.5"
    assert site.closed(change) == "closed"
