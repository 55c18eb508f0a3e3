"""The lab's record, `lab.json`: written before anything is started, so that a lab cut off half made can be ended."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path

from upgrader.domain.errors import LabFailed
from upgrader.lab.host import HostKind, LabHost

FORMAT = "upgrader.lab/1"
FIRST_HOST_OCTET = 11
MOST_HOSTS = 240
SSH_PORTS = {HostKind.SSHD: 2222, HostKind.MACHINE: 22}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabRecord:
    """All that is needed to find everything of a lab again. `subnet` is the first three octets of its addresses."""

    id: str
    kind: HostKind
    hosts: int
    user: str
    subnet: str

    def lab_hosts(self, directory: Path) -> tuple[LabHost, ...]:
        return tuple(self._host(directory, number) for number in range(1, self.hosts + 1))

    def _host(self, directory: Path, number: int) -> LabHost:
        name = f"exam-{number:02d}"
        return LabHost(
            name=name,
            kind=self.kind,
            address=f"{self.subnet}.{FIRST_HOST_OCTET + number - 1}",
            port=SSH_PORTS[self.kind],
            user=self.user,
            directory=directory / "hosts" / name,
        )


def new_lab_id() -> str:
    return secrets.token_hex(4)


def has_record(directory: Path) -> bool:
    return _path(directory).is_file()


def read_record(directory: Path) -> LabRecord:
    """Return the record of the lab in this folder, or raise LabFailed."""
    try:
        text = _path(directory).read_text(encoding="utf-8")
    except OSError as error:
        raise LabFailed("lab-absent", directory=directory) from error
    try:
        fields = json.loads(text)
        if fields.pop("format") != FORMAT:
            raise LabFailed("lab-record-unreadable", directory=directory)
        return LabRecord(**(fields | {"kind": HostKind(fields["kind"])}))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LabFailed("lab-record-unreadable", directory=directory) from error


def write_record(directory: Path, record: LabRecord) -> None:
    """Replace the record in one move; the old one stays whole until then."""
    fresh = _path(directory).with_name("lab.json.new")
    with fresh.open("w", encoding="utf-8") as file:
        json.dump({"format": FORMAT} | asdict(record), file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(_path(directory))


@contextmanager
def only_one_at_a_time(directory: Path) -> Iterator[None]:
    """Let one process at a time start or end this lab; the kernel lets go when that process dies."""
    with (directory / "lab.lock").open("w", encoding="ascii") as file:
        flock(file, LOCK_EX)
        yield


def _path(directory: Path) -> Path:
    return directory / "lab.json"
