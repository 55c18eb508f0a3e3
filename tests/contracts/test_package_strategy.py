"""Releases of Debian packages: the real dpkg puts them in without a network, and what goes wrong goes back."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contracts.deb_host import CONFIGURATION, DATA, HOME, MISSING, DebHost, Package, make_deb, make_package
from contracts.sh_host import SYSTEM, Build

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"NO PACKAGES TRIED: missing {', '.join(MISSING)}")
LATER = "CHG-2026-0002.0123456789ab"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[DebHost]:
    made = DebHost(tmp_path, shutil.which("dash") or "/bin/sh", "/usr/bin:/bin")  # Debian's own sh
    made.make_system()
    yield made
    made.end()


@pytest.fixture
def old(host: DebHost, tmp_path: Path) -> Build:
    """Version 1.0, installed and running, its configuration and its data changed since."""
    build = make_deb(tmp_path, "1.0")
    host.install(build)
    host.file(CONFIGURATION).write_text("colour=red\n")
    host.file(f"{DATA}/rows").write_text("one row\n")
    return build


def is_as_before(host: DebHost) -> bool:
    return (
        host.installed(SYSTEM) == "ii 1.0"
        and host.service_runs()
        and host.dpkg("dpkg", "--audit") == ""
        and host.file(CONFIGURATION).read_text() == "colour=red\n"
        and host.file(f"{DATA}/rows").read_text() == "one row\n"
        and host.file(f"etc/{SYSTEM}/site.conf").read_text()
        == "address=10.0.0.1 & <\\co>\nname=1.0 of exam-scheduling\n"
        and sorted(path.name for path in host.file(f"etc/{SYSTEM}").iterdir()) == ["main.conf", "site.conf"]
    )


def library(folder: Path, version: str = "1.4") -> Build:
    return Build(
        make_package(folder, Package(name="libexam", version=version, files={"usr/lib/libexam": "x"})), version
    )


def test_packages_are_put_in_and_taken_back_with_configuration_and_data(host: DebHost, old: Build) -> None:
    new = make_deb(host.folder, "2.0", default="colour=green", epoch="1:", postinst=f'echo 2 >"$DPKG_ROOT/{DATA}/rows"')

    fact = host.apply(new, base="1.0", key=LATER)
    kept = host.run("confirm", new, key=LATER)
    again = host.apply(new, base="1.0", key=LATER)

    assert (fact["outcome"], fact["from"], fact["current"], fact["digest"]) == ("upgraded", "1.0", "2.0", new.sha256)
    assert fact["detail"].endswith(f"/{CONFIGURATION}")
    assert (kept["outcome"], again["outcome"]) == ("upgraded", "unchanged")
    assert host.installed(SYSTEM) == "ii 1:2.0"
    assert host.file(CONFIGURATION).read_text() == "colour=red\n"
    assert host.file(f"{CONFIGURATION}.dpkg-dist").read_text() == "colour=green\n"

    back = host.run("revert", new, key=LATER)

    assert (back["outcome"], back["current"], back["digest"]) == ("rolled-back", "1.0", old.sha256)
    assert is_as_before(host)


def test_a_release_brings_the_packages_that_it_needs(host: DebHost, old: Build) -> None:
    new, needed = make_deb(host.folder, "2.0", depends="libexam (>= 1.4)"), library(host.folder)

    alone = host.apply(new, base="1.0", key=LATER)
    assert (alone["outcome"], alone["step"]) == ("failed", "dependencies")
    assert "Depends: libexam (>= 1.4)" in alone["detail"]
    assert is_as_before(host)

    together = host.apply(new, base="1.0", key=LATER, more=(needed,))
    assert (together["outcome"], together["current"]) == ("upgraded", "2.0")
    assert host.installed("libexam") == "ii 1.4"

    host.run("revert", new, key=LATER, more=(needed,))
    assert host.installed("libexam") == ""
    assert is_as_before(host)


@pytest.mark.parametrize(
    ("script", "because"),
    [
        ("exit 3", "post-installation script subprocess returned error exit status 3"),
        ("setsid sleep 500 & sleep 500", "did not end within 2 s"),
    ],
    ids=["fails", "hangs and forks"],
)
def test_a_maintainer_script_that_does_not_work_is_taken_back(
    host: DebHost, old: Build, script: str, because: str
) -> None:
    new = make_deb(host.folder, "2.0", postinst=script)

    fact = host.apply(new, base="1.0", key=LATER, limit_seconds=2)

    assert (fact["outcome"], fact["step"]) == ("rolled-back", "switch")
    assert because in fact["detail"]
    assert is_as_before(host)
    assert len(host.processes()) == 1  # the service


def test_scripts_of_the_failed_version_do_not_stand_in_the_way_back(host: DebHost, old: Build) -> None:
    new = make_deb(host.folder, "2.0", health="exit 1", prerm="exit 1", postrm="exit 1")

    assert host.apply(new, base="1.0", key=LATER)["outcome"] == "rolled-back"
    assert is_as_before(host)


def test_a_first_package_that_fails_leaves_nothing(host: DebHost, tmp_path: Path) -> None:
    fact = host.apply(make_deb(tmp_path, "1.0", health="exit 1"))

    assert (fact["outcome"], fact["current"]) == ("rolled-back", "")
    assert host.installed(SYSTEM) == ""
    assert not host.file(HOME).exists()
    assert not host.service_runs()


def test_a_held_package_is_left_alone_unless_the_release_lifts_it(host: DebHost, old: Build) -> None:
    host.dpkg("dpkg", "--set-selections", stdin=f"{SYSTEM} hold\n")
    new = make_deb(host.folder, "2.0")

    refused = host.run("apply", new, base="1.0", key=LATER)
    assert (refused["outcome"], refused["step"], refused["changed"]) == ("failed", "held", False)

    assert host.apply(new, base="1.0", key=LATER, held="lift")["outcome"] == "upgraded"
    assert host.installed(SYSTEM) == "hi 2.0"
    host.run("revert", new, key=LATER, held="lift")
    assert host.installed(SYSTEM) == "hi 1.0"


def test_what_an_earlier_run_of_dpkg_left_is_recognised_and_finished_if_the_release_says_so(
    host: DebHost, old: Build
) -> None:
    other = make_package(
        host.folder, Package(name="viewer", version="1", scripts={"postinst": '[ -e "$DPKG_ROOT/disk" ]'})
    )
    host.dpkg("dpkg", "-i", str(other))
    assert host.installed("viewer") == "iF 1"
    new = make_deb(host.folder, "2.0")

    refused = host.run("apply", new, base="1.0", key=LATER)
    assert (refused["outcome"], refused["step"]) == ("failed", "dpkg")
    assert "viewer" in refused["detail"]
    unmended = host.apply(new, base="1.0", key=LATER, unfinished="repair")
    assert (unmended["outcome"], unmended["step"]) == ("failed", "dpkg")
    assert is_as_before_but_for_the_viewer(host)

    host.file("disk").touch()
    mended = host.apply(new, base="1.0", key=LATER, unfinished="repair")
    assert (mended["outcome"], host.installed("viewer")) == ("upgraded", "ii 1")
    assert "viewer" in mended["detail"]


def is_as_before_but_for_the_viewer(host: DebHost) -> bool:
    return host.installed(SYSTEM) == "ii 1.0" and host.service_runs()


def test_without_the_packages_of_before_there_is_no_way_back_and_nothing_begins(host: DebHost, old: Build) -> None:
    shutil.rmtree(host.state / "packages")  # as on a host that somebody installed by hand
    new = make_deb(host.folder, "2.0")

    asked = host.run("probe", new, base="1.0", key=LATER)
    refused = host.apply(new, base="1.0", key=LATER)

    assert (asked["would"], asked["step"]) == ("failed", "previous")
    assert (refused["outcome"], refused["step"], refused["changed"]) == ("failed", "previous", False)
    assert f"{SYSTEM}_1.0" in refused["detail"]
    assert is_as_before(host)


@pytest.mark.parametrize("source", ["apt's cache", "the controller"])
def test_packages_of_before_come_from_where_they_still_are(host: DebHost, old: Build, source: str) -> None:
    shutil.rmtree(host.state / "packages")
    sent = (old,) if source == "the controller" else ()
    if not sent:
        shutil.copy(old.path, host.file("var/cache/apt/archives"))
    new = make_deb(host.folder, "2.0", health="exit 1")

    fact = host.apply(new, base="1.0", key=LATER, sent_before=sent)

    assert (fact["outcome"], fact["step"]) == ("rolled-back", "health")
    assert is_as_before(host)


def test_another_program_that_holds_dpkg_is_waited_for_within_bounds(host: DebHost, old: Build) -> None:
    new = make_deb(host.folder, "2.0")
    host.send(new)
    host.run("stage", new)

    with holding_dpkg(host):
        refused = host.run("apply", new, base="1.0", key=LATER, lock_seconds=1)
    assert (refused["outcome"], refused["step"]) == ("failed", "dpkg")
    assert "locked by another process" in refused["detail"]
    assert is_as_before(host)

    with holding_dpkg(host, seconds=1.5):
        assert host.apply(new, base="1.0", key=LATER)["outcome"] == "upgraded"


HOLDER = """
import fcntl, sys, time
with open(sys.argv[1], "w") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def holding_dpkg(host: DebHost, seconds: float = 60) -> Iterator[None]:
    """Another process has dpkg's lock, as unattended-upgrades has while it works."""
    lock = str(host.file("var/lib/dpkg/lock"))
    command = [sys.executable, "-c", HOLDER, lock, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
        process.kill()


def test_a_package_that_is_not_what_its_name_says_is_refused(host: DebHost, old: Build) -> None:
    other = make_deb(host.folder, "2.1")
    named = other.path.rename(host.folder / f"{SYSTEM}_2.0_all.deb")

    fact = host.apply(Build(named, "2.0"), base="1.0", key=LATER)

    assert (fact["outcome"], fact["step"]) == ("failed", "unpack")
    assert "2.1" in fact["detail"]
    assert is_as_before(host)


@pytest.mark.parametrize("fact", ["began", "armed", "switch-started", "healthy"])
def test_power_lost_at_any_fact_ends_in_one_whole_version(host: DebHost, old: Build, fact: str) -> None:
    new, key = make_deb(host.folder, "2.0"), LATER
    host.send(new)
    host.run_crashing("apply", new, fact, base="1.0", key=key)
    host.end()  # nothing survives a power cut
    forget_boot(host)

    told = host.apply(new, base="1.0", key=key)

    assert (told["outcome"], host.installed(SYSTEM), host.service_runs()) == ("upgraded", "ii 2.0", True)
    host.run("revert", new, key=key)
    assert is_as_before(host)


def test_power_lost_inside_dpkg_is_taken_back_at_boot(host: DebHost, old: Build) -> None:
    new = make_deb(host.folder, "2.0", preinst="kill -KILL $PPID; sleep 5")
    host.send(new)
    host.run_crashing("apply", new, "undo-started", base="1.0", key=LATER)
    host.end()
    forget_boot(host)

    host.run("revert", new, key=LATER)

    assert is_as_before(host)


def forget_boot(host: DebHost) -> None:
    """The journal as a host finds it that has booted since."""
    journal = host.state / "journal"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    journal.write_text(journal.read_text().replace(boot, "00000000-0000-0000-0000-000000000000"))


def test_packages_are_pruned_but_never_those_to_go_back_to(host: DebHost, old: Build) -> None:
    for number in range(2, 5):
        build, key = make_deb(host.folder, f"{number}.0"), f"CHG-2026-000{number}.x"
        host.apply(build, base=host.installed(SYSTEM)[3:], key=key, keep=1)
        host.run("confirm", build, key=key, keep=1)

    assert sorted(path.name for path in (host.state / "packages").iterdir()) == ["3.0", "4.0"]
    assert [path.name for path in host.state.glob("kept.*")] == ["kept.CHG-2026-0004.x"]


def test_the_installed_package_tells_whether_somebody_works(host: DebHost, old: Build) -> None:
    idle = host.file(f"{HOME}/bin/idle")
    idle.write_text("#!/bin/sh\n[ ! -e somebody ]\n")
    idle.chmod(0o755)
    host.file("somebody").touch()
    new = make_deb(host.folder, "2.0")
    asked = {"base": "1.0", "key": LATER, "busy": f"{HOME}/bin/idle", "busy_seconds": 0}

    assert host.apply(new, **asked)["outcome"] == "busy"
    assert is_as_before(host)
    host.file("somebody").unlink()
    assert host.apply(new, **asked)["outcome"] == "upgraded"
