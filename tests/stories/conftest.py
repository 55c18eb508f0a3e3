"""The hospital of the stories: real sshd hosts, a real git remote, real signatures, the real command line."""

from collections.abc import Iterator

import pytest

from stories.hosts import enter_appointment
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import Hospital, Start
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.programs import missing_programs
from upgrader.lab.warm_commands import warm_commands

HOSTS = 3
BASE = "3.1.9"
MISSING = missing_programs(("sshd", "ssh", "ssh-keygen", "git"))


@pytest.fixture(scope="session")
def warm() -> Iterator[Start]:
    """Commands without the imports of their start, for stories that type hundreds of them."""
    with warm_commands() as commands:
        yield commands.run


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, warm: Start) -> Iterator[Hospital]:
    """A hospital of three hosts that run 3.1.9, with one appointment booked on each. It ends with the module."""
    if MISSING:
        pytest.skip(f"NO LAB: {', '.join(MISSING)} is not installed; run tools/system-packages as root")
    directory = tmp_path_factory.mktemp("hospital")
    with temporary_lab(directory / "lab", hosts=HOSTS) as lab:
        hospital = Hospital.build(directory, lab, default_cache() / "lab-drop", start=warm)
        hospital.install_by_hand(BASE)
        for host in lab.hosts:
            enter_appointment(host)
        yield hospital
