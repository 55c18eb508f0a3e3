"""The lab of sshd hosts, and the vendor's drop, tried for real."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from upgrader.adapters.builds.build_inspection import inspect_build
from upgrader.adapters.builds.vendor_drop import VendorDrop
from upgrader.adapters.probes.command import CommandProbe
from upgrader.adapters.probes.http import HttpProbe
from upgrader.adapters.probes.tcp import TcpProbe
from upgrader.domain.changes.verdict import Reading
from upgrader.domain.errors import LabFailed
from upgrader.domain.releases.probe import ProbeKind
from upgrader.lab.by_hand import switch_by_hand, unpack_by_hand
from upgrader.lab.drop import Drop, build_drop, default_cache, log_in, put_appointment, read_appointment
from upgrader.lab.host import SERVICE_PORT, LabHost
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.keys import RELEASE_NAMESPACE
from upgrader.lab.lab import Lab, silent
from upgrader.lab.processes import every_process, look_at, serving, with_marker
from upgrader.lab.programs import missing_programs
from upgrader.ports import ProbedHost

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        bool(missing_programs(("sshd", "ssh", "ssh-keygen"))),
        reason="NO LAB: openssh-server is not installed; run tools/system-packages as root",
    ),
]

APPOINTMENT = "CT abdomen 张三 bed 12"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with temporary_lab(tmp_path_factory.mktemp("lab"), hosts=3) as lab:
        yield lab


@pytest.fixture(scope="module")
def drop(tmp_path_factory: pytest.TempPathFactory) -> Drop:
    return build_drop(tmp_path_factory.mktemp("vendor") / "drop", default_cache() / "lab-drop", silent)


def everything_of(lab: Lab) -> list[int]:
    """Whatever still runs of a lab, however it can be known."""
    marked = with_marker("UPGRADER_LAB", lab.record.id)
    sessions = serving([(host.address, host.port) for host in lab.hosts], name="sshd")
    return [process.pid for process in (*marked, *sessions)]


def test_every_host_answers_with_its_pinned_key(lab: Lab) -> None:
    said = [lab.run(host, "echo $UPGRADER_LAB_HOST").stdout.strip() for host in lab.hosts]

    assert said == [f"{lab.record.id}.{host.name}" for host in lab.hosts]


def test_a_host_with_another_key_is_not_talked_to(lab: Lab) -> None:
    first, second = lab.hosts[:2]
    pinned = lab.inventory / "known_hosts"
    before = pinned.read_text()
    pinned.write_text(before.replace(first.known_as, "nobody").replace(second.known_as, first.known_as))

    done = lab.run(first, "true")

    pinned.write_text(before)
    assert done.returncode == 255
    assert "verification failed" in done.stderr


def test_what_a_host_starts_is_seen_and_ends_with_the_lab(tmp_path: Path) -> None:
    with temporary_lab(tmp_path, hosts=2) as lab:
        folder = lab.hosts[0].upgrader_root
        lab.run(lab.hosts[0], f"setsid tail -F {folder}/nothing </dev/null >/dev/null 2>&1 &")
        first, second = lab.status()
        assert (first.is_up, second.is_up) == (True, True)
        assert [f"{folder}/nothing" in line for line in first.services] == [True]
        assert second.services == ()

    assert everything_of(lab) == []
    assert [status.is_up for status in lab.status()] == [False, False]


def test_down_finds_everything_after_half_of_it_was_killed(tmp_path: Path) -> None:
    with temporary_lab(tmp_path, hosts=4) as lab:
        session = subprocess.Popen(
            [*lab.ssh_command(lab.hosts[0]), "echo ready; exec sleep 600"], stdout=subprocess.PIPE
        )
        assert session.stdout is not None
        session.stdout.readline()
        for host in lab.hosts:
            lab.run(host, "setsid sleep 600 </dev/null >/dev/null 2>&1 &")
        for status in lab.status()[:2]:  # the listeners die, their sessions and services live on
            assert status.pid is not None
            os.kill(status.pid, signal.SIGKILL)

        lab.down()

        assert everything_of(lab) == []
        assert session.wait(timeout=10) == 255
        session.stdout.close()


def test_up_again_mends_what_died_and_leaves_alone_what_lives(tmp_path: Path) -> None:
    with temporary_lab(tmp_path, hosts=2) as lab:
        before = lab.status()
        assert before[0].pid is not None
        os.kill(before[0].pid, signal.SIGKILL)

        after = Lab.up(tmp_path, hosts=3).status()

        assert [status.is_up for status in after] == [True, True, True]
        assert after[0].pid != before[0].pid
        assert after[1].pid == before[1].pid


def test_a_host_without_power_keeps_its_disk(tmp_path: Path) -> None:
    with temporary_lab(tmp_path, hosts=1) as lab:
        (host,) = lab.hosts
        lab.run(host, f"echo kept >{host.root}/opt/file; setsid sleep 600 </dev/null >/dev/null 2>&1 &")

        lab.power_off(host)
        assert everything_of(lab) == []
        assert lab.run(host, "true").returncode == 255
        lab.power_on(host)

        assert lab.run(host, f"cat {host.root}/opt/file").stdout == "kept\n"


def test_two_labs_never_meet(lab: Lab, tmp_path: Path) -> None:
    with temporary_lab(tmp_path, hosts=2) as other:
        assert other.record.subnet != lab.record.subnet

    assert all(status.is_up for status in lab.status())


def test_the_janitor_ends_the_lab_of_an_owner_that_was_killed(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"up\n"
    lab = Lab.load(tmp_path)
    mains = [status.pid for status in lab.status()]
    assert all(mains)

    owner.kill()
    owner.wait()
    owner.stdout.close()

    deadline = time.monotonic() + 20
    while everything_of(lab) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert everything_of(lab) == []
    assert [look_at(pid) for pid in mains if pid] == [None, None]
    assert str(tmp_path) not in " ".join(janitors())


OWNER = """
import sys, time
from pathlib import Path
from upgrader.lab.janitor import temporary_lab

with temporary_lab(Path(sys.argv[1]), hosts=2) as lab:
    lab.run(lab.hosts[0], "setsid sleep 600 </dev/null >/dev/null 2>&1 &")
    print("up", flush=True)
    time.sleep(600)
"""


def janitors() -> list[str]:
    time.sleep(1)  # the janitor looks once more after the last process has gone
    lines = [Path(f"/proc/{p.pid}/cmdline") for p in every_process() if p.name.startswith("python")]
    return [text for path in lines if path.exists() and "upgrader.lab.janitor" in (text := path.read_text())]


def test_a_folder_without_a_lab_says_so(tmp_path: Path) -> None:
    with pytest.raises(LabFailed) as caught:
        Lab.load(tmp_path)

    assert caught.value.code == "lab-absent"


def test_ansible_reads_the_inventory(lab: Lab, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("ansible-inventory")
    if not program.exists():
        pytest.skip("ansible-core is not installed beside this Python")
    strict = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1", "ANSIBLE_INVENTORY_IGNORE_REGEX": "^known_hosts$"}
    done = subprocess.run(
        [str(program), "-i", str(lab.inventory), "--host", "exam-02"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=os.environ | strict,
    )

    variables = json.loads(done.stdout)
    assert variables["ansible_host"] == lab.hosts[1].address
    assert variables["upgrader_root"] == str(lab.hosts[1].root / "opt")
    assert variables["upgrader_service_manager"] == "script"
    assert variables["upgrader_parameters"] == {"address": lab.hosts[1].address, "port": SERVICE_PORT}


# --- the drop


def test_each_release_is_signed_by_the_vendor_and_lists_every_file(drop: Drop, tmp_path: Path) -> None:
    signers = tmp_path / "allowed_signers"
    signers.write_text(f"{drop.vendor} {drop.vendor_public_key.read_text()}")

    for release in drop.releases:
        folder = drop.release(release.version)
        listed = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
        found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        command = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", drop.vendor, "-n", RELEASE_NAMESPACE]
        with (folder / "SHA256SUMS").open("rb") as sums:
            subprocess.run(
                [*command, "-s", str(folder / "SHA256SUMS.sig")], stdin=sums, check=True, capture_output=True
            )
        assert listed == {name: digest for name, digest in found.items() if not name.startswith("SHA256SUMS")}


def test_a_build_holds_only_plain_files_that_no_machine_marked(drop: Drop) -> None:
    for release in drop.releases:
        with tarfile.open(drop.archive(release.version)) as tar:
            entries = tar.getmembers()
        names = [entry.name for entry in entries]
        assert all(entry.isfile() or entry.isdir() for entry in entries)
        assert {(entry.uid, entry.gid) for entry in entries} == {(0, 0)}
        assert len({entry.mtime for entry in entries}) == 1
        assert len({name.lower() for name in names}) == len(names)
        assert not [name for name in names if "__pycache__" in name or name.endswith("/RECORD")]
        assert {"bin/run", "bin/service", "bin/health", "bin/version", "VERSION", "LICENSE"} <= set(names)


def test_the_drop_is_one_that_upgrader_stages(drop: Drop) -> None:
    for release in drop.releases:
        staged = VendorDrop(drop.release(release.version)).read()

        assert (staged.release.system, staged.release.version) == ("exam-scheduling", release.version)
        assert staged.release.follows == release.follows
        assert [probe.login for probe in staged.release.probes] == [False, False, True, False]
        inspect_build(drop.archive(release.version))


def test_the_same_build_comes_out_of_an_empty_cache(drop: Drop, tmp_path: Path) -> None:
    for wheels in (default_cache() / "lab-drop").glob("wheels-*"):  # fetched before, but packed anew
        shutil.copytree(wheels, tmp_path / "cache" / wheels.name)

    again = build_drop(tmp_path / "drop", tmp_path / "cache", silent)

    for release in drop.releases:
        assert drop.archive(release.version).read_bytes() == again.archive(release.version).read_bytes()
        assert (drop.release(release.version) / "release.yml").read_bytes() == (
            again.release(release.version) / "release.yml"
        ).read_bytes()


def test_data_survives_the_good_upgrade_and_the_way_back(lab: Lab, drop: Drop) -> None:
    host = lab.hosts[0]
    for version in ("3.1.9", "3.5.10"):
        unpack_by_hand(lab, host, drop.archive(version), version)

    assert switch_by_hand(lab, host, "3.1.9").returncode == 0
    put_appointment(host.address, SERVICE_PORT, "one", APPOINTMENT)
    assert switch_by_hand(lab, host, "3.5.10").returncode == 0
    put_appointment(host.address, SERVICE_PORT, "two", "booked with the new version")
    assert read_appointment(host.address, SERVICE_PORT, "one") == APPOINTMENT
    assert lab.run(host, f"{host.upgrader_root}/exam-scheduling/current/bin/version").stdout == "3.5.10\n"

    assert switch_by_hand(lab, host, "3.1.9").returncode == 0
    assert read_appointment(host.address, SERVICE_PORT, "one") == APPOINTMENT
    assert read_appointment(host.address, SERVICE_PORT, "two") == "booked with the new version"


def test_the_release_with_a_package_missing_dies_at_its_start(lab: Lab, drop: Drop) -> None:
    host = lab.hosts[1]
    unpack_by_hand(lab, host, drop.archive("3.6.1"), "3.6.1")

    done = switch_by_hand(lab, host, "3.6.1")

    assert done.returncode == 1
    assert "No module named 'defusedxml'" in done.stderr
    current = f"{host.upgrader_root}/exam-scheduling/current"
    assert lab.run(host, f"{current}/bin/service status").returncode == 3
    assert lab.run(host, f"{current}/bin/health 1").returncode == 1


def test_only_the_ordinary_log_in_sees_what_is_wrong_with_the_changed_default(lab: Lab, drop: Drop) -> None:
    host = lab.hosts[2]
    unpack_by_hand(lab, host, drop.archive("3.5.10"), "3.5.10")
    unpack_by_hand(lab, host, drop.archive("3.7.1"), "3.7.1")
    switch_by_hand(lab, host, "3.5.10")
    assert log_in(host.address, SERVICE_PORT)
    assert set(ask_probes(lab, host, drop, "3.5.10").values()) == {Reading.HEALTHY}

    done = switch_by_hand(lab, host, "3.7.1")

    assert done.returncode == 0
    assert lab.run(host, f"{host.upgrader_root}/exam-scheduling/current/bin/health").returncode == 0
    assert ask_probes(lab, host, drop, "3.7.1") == {
        "web page": Reading.HEALTHY,
        "port": Reading.HEALTHY,
        "ordinary log-in": Reading.UNHEALTHY,
        "version file": Reading.HEALTHY,
    }


def ask_probes(lab: Lab, host: LabHost, drop: Drop, version: str) -> dict[str, Reading]:
    """What the release's own probes see, asked once each by upgrader's own adapters."""
    command = CommandProbe(lab.ssh_key, lab.inventory / "known_hosts")
    kinds: dict[ProbeKind, HttpProbe | TcpProbe | CommandProbe]
    kinds = {ProbeKind.HTTP: HttpProbe(), ProbeKind.TCP: TcpProbe(), ProbeKind.COMMAND: command}
    root = f"{host.upgrader_root}/exam-scheduling"
    facts = {"address": host.address, "port": str(SERVICE_PORT), "root": root}
    asked = ProbedHost(name=host.name, address=host.address, port=host.port, user=host.user, facts=facts)
    probes = VendorDrop(drop.release(version)).read().release.probes
    try:
        return {probe.name: kinds[probe.kind].measure(probe, asked, datetime.now(UTC)).reading for probe in probes}
    finally:
        command.close()


def test_the_vendors_script_knows_a_stale_pid_and_can_be_called_twice(lab: Lab, drop: Drop) -> None:
    host = lab.hosts[0]
    unpack_by_hand(lab, host, drop.archive("3.5.10"), "3.5.10")
    switch_by_hand(lab, host, "3.5.10")
    system = f"{host.upgrader_root}/exam-scheduling"
    service = f"{system}/current/bin/service"
    assert "already running" in lab.run(host, f"{service} start").stdout
    assert lab.run(host, f"{service} stop && {service} stop").returncode == 0

    lab.run(host, f"echo {os.getpid()} >{system}/shared/run/exam-scheduling.pid")  # a stranger's number
    assert lab.run(host, f"{service} status").returncode == 3
    assert lab.run(host, f"{service} start").returncode == 0
    assert lab.run(host, f"{service} stop").returncode == 0
