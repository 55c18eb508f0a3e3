"""Can a lock in this folder be relied on? A file system may take locks that nobody else sees, or none at all.

The kernel tells what is mounted where (/proc/self/mountinfo, see proc_pid_mountinfo(5)). NFSv4 carries flock(2) between
machines as it is; NFSv3 through its lock manager, unless a mount option says that locks stay local (nfs(5)); CIFS does
unless `nobrl` (mount.cifs(8)). Remote storage through FUSE and the shared folders of virtual machines keep locks to us.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from upgrader.domain.errors import PreflightFailed

MOUNTS = Path("/proc/self/mountinfo")
OCTAL = re.compile(r"\\([0-7]{3})")
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "ceph", "ocfs2", "gfs2"})
LOCAL_ONLY = frozenset({"nolock", "local_lock=flock", "local_lock=all", "nobrl"})
NOT_SHARED = re.compile(
    r"fuse\.(sshfs|s3fs|rclone|gcsfuse|vmhgfs-fuse)|9p|vboxsf|vmhgfs|prl_fs|davfs|fuse\.davfs2?|afs|coda"
)


@dataclass(frozen=True, slots=True)
class Mount:
    place: Path
    kind: str
    options: frozenset[str]

    @property
    def weakness(self) -> str:
        """Why a lock here may not be seen by others; empty when it will."""
        if NOT_SHARED.fullmatch(self.kind):
            return self.kind
        local = sorted(self.options & LOCAL_ONLY) if self.kind in NETWORK else []
        return f"{self.kind} {','.join(local)}" if local else ""


def check_locks_hold(folder: Path) -> None:
    """Raises PreflightFailed `locks-not-shared` for a folder in which two controllers could both hold one lock."""
    try:
        mounts = read_mounts(MOUNTS.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError:
        return  # not Linux as we know it: flock itself will say
    found = mount_of(folder.resolve(), mounts)
    if found is not None and found.weakness:
        raise PreflightFailed("locks-not-shared", folder=folder, found=found.weakness, mount=found.place)


def mount_of(folder: Path, mounts: list[Mount]) -> Mount | None:
    """The mount that a folder lies on: the deepest one above it, the last where several are mounted over each other."""
    above = [mount for mount in mounts if folder.is_relative_to(mount.place)]
    return max(enumerate(above), key=lambda pair: (len(pair[1].place.parts), pair[0]))[1] if above else None


def read_mounts(text: str) -> list[Mount]:
    """Every mount of /proc/self/mountinfo; a line of another form is left out."""
    mounts = []
    for line in text.splitlines():
        before, parted, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if parted and len(fields) > 5 and len(rest) > 2:
            options = frozenset([*fields[5].split(","), *rest[2].split(",")])
            mounts.append(Mount(Path(_unescaped(fields[4])), rest[0], options))
    return mounts


def _unescaped(text: str) -> str:
    return OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
