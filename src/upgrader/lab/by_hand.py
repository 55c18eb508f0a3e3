"""An installation as an engineer does it by hand over ssh, without upgrader: what the lab is proven with."""

import shlex
import subprocess
from pathlib import Path

from upgrader.domain.errors import LabFailed
from upgrader.lab.host import SERVICE_PORT, LabHost
from upgrader.lab.lab import Lab
from upgrader.lab.programs import clean_environment
from upgrader.lab.releases import SYSTEM

SECONDS = 60

UNPACK = """\
set -eu
mkdir -p {home} {shared}
tar xzf - -C {home}
for template in radicale.conf exam-scheduling.service; do
    sed -e 's|@address@|{address}|g' -e 's|@port@|{port}|g' -e 's|@shared@|{shared}|g' \\
        -e 's|@root@|{system}|g' -e 's|@version@|{version}|g' {home}/etc/$template.in >{home}/etc/$template
done
"""
SWITCH = """\
set -eu
[ ! -e {system}/current ] || {system}/current/bin/service stop
ln -sfn versions/{version} {system}/current.new
mv -T {system}/current.new {system}/current
{system}/current/bin/service start
"""
SWITCH_WITH_SYSTEMD = """\
set -eu
ln -sfn versions/{version} {system}/current.new
mv -T {system}/current.new {system}/current
ln -sfn {system}/current/etc/exam-scheduling.service /etc/systemd/system/exam-scheduling.service
systemctl daemon-reload
systemctl enable --quiet exam-scheduling.service
systemctl restart exam-scheduling.service
{system}/current/bin/health 15
"""


def unpack_by_hand(lab: Lab, host: LabHost, archive: Path, version: str, system: str = SYSTEM) -> None:
    """Send a build over ssh, unpack it beside what runs and fill in its configuration. Raises LabFailed."""
    with archive.open("rb") as build:
        done = subprocess.run(
            [*lab.ssh_command(host), _script(UNPACK, host, version, system)],
            stdin=build,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            env=clean_environment(),
        )
    if done.returncode != 0:
        raise LabFailed("lab-program-failed", program="tar", reason=done.stderr.decode(errors="replace").strip())


def switch_by_hand(lab: Lab, host: LabHost, version: str, system: str = SYSTEM) -> subprocess.CompletedProcess[str]:
    """Make an unpacked version the current one and (re)start it; the return code says whether it answers."""
    template = SWITCH_WITH_SYSTEMD if host.service_manager == "systemd" else SWITCH
    return lab.run(host, _script(template, host, version, system), timeout=SECONDS)


def _script(template: str, host: LabHost, version: str, name: str) -> str:
    system = f"{host.upgrader_root}/{name}"
    return template.format(
        system=shlex.quote(system),
        home=shlex.quote(f"{system}/versions/{version}"),
        shared=shlex.quote(f"{system}/shared"),
        version=version,
        address=host.address,
        port=SERVICE_PORT,
    )
