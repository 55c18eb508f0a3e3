"""The system of the machines: a small Debian, made once with debootstrap and kept in a cache."""

import hashlib
import os
import shutil
import subprocess
from fcntl import LOCK_EX, flock
from pathlib import Path

from upgrader.domain.errors import LabFailed
from upgrader.lab.programs import SEARCH_PATH, find_program, run_program

SUITE = "bookworm"
PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "openssh-server",
    "procps",
    "python3",
    "sudo",
    "systemd",
    "systemd-sysv",
)
# Nothing a machine of the lab needs, and each costs time at boot.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-timesyncd.service",
)
SSHD_CONFIG = """\
MaxStartups 500
MaxSessions 500
UseDNS no
PasswordAuthentication no
PermitRootLogin prohibit-password
"""
RECIPE = "1"  # raise it when `_settle` changes
MAKE_SECONDS = 1200


def ensure_rootfs(cache: Path) -> Path:
    """Return the folder with the machines' system, made now (about a minute) if the cache does not have it.

    Raises LabFailed when debootstrap can't make it; nothing half made is left under the cache's name.
    """
    recipe = hashlib.sha256("\n".join((SUITE, RECIPE, *PACKAGES, *MASKED, SSHD_CONFIG)).encode()).hexdigest()
    rootfs = cache / f"rootfs-{SUITE}-{recipe[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f".{rootfs.name}.lock").open("w", encoding="ascii") as lock:
        flock(lock, LOCK_EX)
        if not rootfs.is_dir():
            fresh = cache / f".{rootfs.name}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            _debootstrap(fresh)
            _settle(fresh)
            fresh.rename(rootfs)
    return rootfs


def _debootstrap(target: Path) -> None:
    command = [find_program("debootstrap"), "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(target)]
    if mirror := _configured_mirror():
        command.append(mirror)
    try:
        # debootstrap needs the caller's environment: that is where the site names its proxy.
        subprocess.run(
            command, capture_output=True, check=True, timeout=MAKE_SECONDS, env=os.environ | {"PATH": SEARCH_PATH}
        )
    except subprocess.CalledProcessError as error:
        reason = (error.stdout + error.stderr).decode(errors="replace").strip()[-400:]
        raise LabFailed("lab-system", suite=SUITE, reason=reason) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabFailed("lab-system", suite=SUITE, reason=error) from error


def _configured_mirror() -> str | None:
    """The mirror that this machine's own apt uses for the same suite; None leaves the choice to debootstrap."""
    if shutil.which("apt-get", path=SEARCH_PATH) is None:
        return None
    targets = run_program("apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages")
    for line in targets.splitlines():
        codename, _, uri = line.partition(" ")
        if codename == SUITE:
            return uri
    return None


def _settle(rootfs: Path) -> None:
    """Make the system one that can be many machines: no identity, network from a file, ssh for root by key."""
    for key in (rootfs / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (rootfs / "etc/machine-id").write_text("", encoding="ascii")
    (rootfs / "var/lib/dbus/machine-id").unlink(missing_ok=True)  # systemd would take its identity from here
    (rootfs / "etc/ssh/sshd_config.d/lab.conf").write_text(SSHD_CONFIG, encoding="ascii")
    units = rootfs / "etc/systemd/system"
    wanted = units / "multi-user.target.wants/systemd-networkd.service"
    wanted.symlink_to("/lib/systemd/system/systemd-networkd.service")
    for unit in MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    for package in (rootfs / "var/cache/apt/archives").glob("*.deb"):
        package.unlink()
