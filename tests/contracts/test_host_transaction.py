"""The transaction script on its own, under dash and under busybox with nothing but busybox: it must behave the same.

This is the conformance suite of the host protocol: another implementation (Windows) has to pass it too.
"""

import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.sh_host import REPOSITORY, SCRIPT, Build, ShHost, make_build, pack

KEY = "CHG-2026-0001.0123456789ab"
LATER = "CHG-2026-0002.0123456789ab"
FACTS_BEFORE_CONFIRM = ["began", "armed", "switch-started", "healthy"]


def is_as_before(host: ShHost) -> bool:
    return host.current == "1.0" and host.service_runs()


def wait_for(what: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.05)
    return what()


def test_the_script_passes_shellcheck() -> None:
    checker = shutil.which("shellcheck", path=f"{REPOSITORY}/.venv/bin:{os.environ['PATH']}")
    if checker is None:
        pytest.skip("shellcheck is not installed")
    subprocess.run([checker, "--shell=sh", "-"], input=SCRIPT.encode(), check=True)


def test_a_first_version_is_installed_and_the_second_time_nothing_is_sent(host: ShHost, tmp_path: Path) -> None:
    build = make_build(tmp_path, "1.0")

    first = host.apply(build)
    confirmed = host.run("confirm", build)
    second = host.run("apply", build)

    assert (first["outcome"], first["from"], first["current"]) == ("upgraded", "", "1.0")
    assert confirmed["outcome"] == "upgraded"
    assert confirmed["pending"] == ""
    assert (second["outcome"], second["changed"], second["need"]) == ("unchanged", False, "")
    assert host.service_runs()


def test_templates_are_filled_with_anything_a_site_writes(host: ShHost, old: Build) -> None:
    home = host.root / "versions/1.0"

    assert (home / "etc/site.conf").read_text() == (
        f"address=10.0.0.1 & <\\co>\nhome={home}\nname=1.0 of exam-scheduling\n"
    )
    assert (home / "a name with spaces/ä.txt").read_text() == "x"


def test_the_host_goes_back_when_the_new_version_is_not_healthy(host: ShHost, old: Build, tmp_path: Path) -> None:
    ill = make_build(tmp_path, "2.0", health="printf 'half \\377 \"done\"\\n\\n'; exit 1")

    fact = host.apply(ill, base="1.0")

    assert (fact["outcome"], fact["step"], fact["current"]) == ("rolled-back", "health", "1.0")
    assert "half" in fact["detail"]
    assert '"done"' in fact["detail"]
    assert is_as_before(host)
    assert host.calls[-5:] == ["start 2.0", "stop 2.0", "stop 1.0", "start 1.0"][-4:] or host.calls[-1] == "start 1.0"


def test_a_service_that_dies_while_it_settles_is_taken_back(host: ShHost, old: Build, tmp_path: Path) -> None:
    dying = make_build(tmp_path, "2.0", start='setsid sleep 0.3 </dev/null >/dev/null 2>&1 & echo $! >"$pid"; exit 0')

    fact = host.apply(dying, base="1.0", settle_seconds=1)

    assert (fact["outcome"], fact["step"]) == ("rolled-back", "settle")
    assert is_as_before(host)


def test_a_failed_way_back_is_told_as_failed(host: ShHost, tmp_path: Path) -> None:
    once = 'was=$here/../../shared/was; [ ! -e "$was" ] || { echo no licence; exit 1; }; : >"$was"'
    host.install(make_build(tmp_path, "1.0", start=once))
    ill = make_build(tmp_path, "2.0", health="exit 1")

    fact = host.apply(ill, base="1.0")

    assert (fact["outcome"], fact["changed"]) == ("failed", True)
    assert "no licence" in fact["detail"]
    assert host.facts[-1] == "undo-failed"


def test_a_first_version_that_fails_leaves_nothing_running(host: ShHost, tmp_path: Path) -> None:
    fact = host.apply(make_build(tmp_path, "1.0", health="exit 1"))

    assert (fact["outcome"], fact["current"]) == ("rolled-back", "")
    assert not (host.root / "current").exists()
    assert not host.service_runs()


@pytest.mark.parametrize("base", ["", "0.9"])
def test_another_base_version_than_planned_fails_before_any_change(host: ShHost, old: Build, base: str) -> None:
    fact = host.run("apply", make_build(host.folder, "2.0"), base=base, key=LATER)

    assert (fact["outcome"], fact["step"], fact["changed"]) == ("failed", "base", False)
    assert "found 1.0" in fact["detail"]
    assert is_as_before(host)


def test_where_the_plan_knew_no_base_the_release_says_what_it_may_follow(host: ShHost, old: Build) -> None:
    new = make_build(host.folder, "2.0")

    refused = host.run("apply", new, base="*", follows="0.*")
    taken = host.apply(new, base="*", follows="1.?")

    assert (refused["outcome"], refused["step"]) == ("failed", "base")
    assert taken["outcome"] == "upgraded"


def test_the_same_version_from_other_bytes_is_refused(host: ShHost, old: Build) -> None:
    fact = host.run("apply", make_build(host.folder, "1.0", health="exit 0 # other"), base="1.0")

    assert (fact["outcome"], fact["step"]) == ("failed", "base")


def test_a_staged_build_with_a_flipped_byte_is_asked_for_once_more(host: ShHost, old: Build) -> None:
    new = make_build(host.folder, "2.0")
    host.send(new)
    staged = host.run("stage", new)
    (kept,) = host.state.glob("*.build")
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")

    asked = host.run("apply", new, base="1.0")
    part = Path(asked["upload"] + ".0.part")
    part.write_bytes(b"damaged again")
    refused = host.run("apply", new, base="1.0", sent=1)

    assert staged["outcome"] == "unchanged"
    assert asked["need"] == "build"
    assert (refused["outcome"], refused["step"], refused["changed"]) == ("failed", "receive", False)
    assert not list(host.state.glob("*.build"))
    assert is_as_before(host)


def test_a_staged_build_is_not_sent_again(host: ShHost, old: Build) -> None:
    new = make_build(host.folder, "2.0")
    host.send(new)
    host.run("stage", new)

    fact = host.run("apply", new, base="1.0")

    assert fact["outcome"] == "upgraded"


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = tarfile.SYMTYPE
    member.linkname = target
    return member


def set_id(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode = 0o4755
    return member


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside"),
        tarfile.TarInfo("/tmp/outside"),
        tarfile.TarInfo("a/../../outside"),
        tarfile.TarInfo(".upgrader"),
        link("etc/link", "/etc/passwd"),
        set_id("bin/root"),
    ],
    ids=lambda member: member.name,
)
def test_an_archive_that_reaches_out_is_refused_before_it_is_unpacked(
    host: ShHost, old: Build, tmp_path: Path, member: tarfile.TarInfo
) -> None:
    bad = Build(pack(tmp_path / "bad.tar.gz", {"bin/service": "x"}, members=(member,)), "2.0")

    fact = host.apply(bad, base="1.0")

    assert (fact["outcome"], fact["step"], fact["changed"]) == ("failed", "unpack", False)
    assert sorted(path.name for path in (host.root / "versions").iterdir()) == ["1.0"]
    assert is_as_before(host)


def test_an_archive_cut_short_is_refused(host: ShHost, old: Build, tmp_path: Path) -> None:
    whole = make_build(tmp_path, "2.0", big=os.urandom(200_000))
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole.path.read_bytes()[:100_000])

    fact = host.apply(Build(cut, "2.0"), base="1.0")

    assert (fact["outcome"], fact["step"]) == ("failed", "unpack")
    assert sorted(path.name for path in (host.root / "versions").iterdir()) == ["1.0"]


@pytest.mark.parametrize(
    ("template", "found"),
    [("port=@port@\n", "@port@"), ("ok\nuser=a@nowhere@\n", ":2: @nowhere@")],
)
def test_a_marker_without_a_value_fails_before_the_switch(
    host: ShHost, old: Build, tmp_path: Path, template: str, found: str
) -> None:
    fact = host.apply(make_build(tmp_path, "2.0", **{"etc/site.conf.in": template}), base="1.0")

    assert (fact["outcome"], fact["step"], fact["changed"]) == ("failed", "config", False)
    assert found in fact["detail"]
    assert is_as_before(host)


def test_a_health_check_that_hangs_is_stopped_with_all_its_children(host: ShHost, old: Build, tmp_path: Path) -> None:
    hanging = make_build(tmp_path, "2.0", health="setsid sleep 777 & sleep 778 & sleep 779")

    begun = time.monotonic()
    fact = host.apply(hanging, base="1.0", health_seconds=1)

    assert time.monotonic() - begun < 10
    assert (fact["outcome"], fact["step"]) == ("rolled-back", "health")
    assert "did not end within 1 s" in fact["detail"]
    left = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in host.processes()]
    assert not [line for line in left if b"77" in line]
    assert is_as_before(host)


def test_a_start_that_hangs_is_taken_back(host: ShHost, old: Build, tmp_path: Path) -> None:
    fact = host.apply(make_build(tmp_path, "2.0", start="sleep 777"), base="1.0", start_seconds=1)

    assert (fact["outcome"], fact["step"]) == ("rolled-back", "restart")
    assert is_as_before(host)


def test_a_host_that_nobody_confirms_takes_itself_back(host: ShHost, old: Build) -> None:
    new = make_build(host.folder, "2.0")
    applied = host.apply(new, base="1.0", confirm_seconds=1)

    assert (applied["outcome"], applied["pending"]) == ("upgraded", KEY)
    assert wait_for(lambda: "taken-back" in host.facts)
    assert is_as_before(host)
    late = host.run("confirm", new)
    assert (late["outcome"], late["current"]) == ("rolled-back", "1.0")


def test_a_confirmed_host_stays_and_its_dead_man_is_gone(host: ShHost, old: Build) -> None:
    new = make_build(host.folder, "2.0")
    host.apply(new, base="1.0", confirm_seconds=1)
    host.run("confirm", new)
    time.sleep(1.5)

    assert host.current == "2.0"
    assert host.facts[-1] == "confirmed"
    assert len(host.processes()) == 1  # the service


def test_only_the_key_that_switched_can_confirm(host: ShHost, old: Build) -> None:
    new = make_build(host.folder, "2.0")
    host.apply(new, base="1.0")

    fact = host.run("confirm", new, key=LATER)

    assert (fact["outcome"], fact["step"]) == ("failed", "confirm")
    assert fact["pending"] == KEY


def test_another_change_has_to_wait_until_the_first_is_confirmed(host: ShHost, old: Build) -> None:
    host.apply(make_build(host.folder, "2.0"), base="1.0")

    fact = host.run("apply", make_build(host.folder, "3.0"), base="2.0", key=LATER)

    assert (fact["outcome"], fact["step"], fact["changed"]) == ("failed", "pending", False)


@pytest.mark.parametrize("fact", FACTS_BEFORE_CONFIRM)
def test_wherever_it_is_cut_the_same_command_goes_on_to_the_same_end(host: ShHost, old: Build, fact: str) -> None:
    new = make_build(host.folder, "2.0")
    host.send(new)
    host.run_crashing("apply", new, fact, base="1.0")

    again = host.apply(new, base="1.0")
    kept = host.run("confirm", new)

    assert (again["outcome"], again["from"]) == ("upgraded", "1.0")
    assert (kept["outcome"], kept["current"], kept["pending"]) == ("upgraded", "2.0", "")
    assert host.service_runs()
    assert not list((host.root / "versions").glob(".*"))


@pytest.mark.parametrize("fact", [*FACTS_BEFORE_CONFIRM, "confirmed"])
def test_wherever_it_is_cut_it_can_be_taken_back(host: ShHost, old: Build, fact: str) -> None:
    new = make_build(host.folder, "2.0")
    host.send(new)
    if fact == "confirmed":
        host.apply(new, base="1.0")
        host.run_crashing("confirm", new, fact)
    else:
        host.run_crashing("apply", new, fact, base="1.0")

    back = host.run("revert", new)
    again = host.run("revert", new)

    assert back["outcome"] == ("unchanged" if fact in ("began", "armed") else "rolled-back")
    assert (again["outcome"], again["current"]) == ("unchanged", "1.0")
    assert is_as_before(host)


@pytest.mark.parametrize("fact", FACTS_BEFORE_CONFIRM)
def test_a_host_that_is_cut_and_left_alone_ends_as_it_was(host: ShHost, old: Build, fact: str) -> None:
    new = make_build(host.folder, "2.0")
    host.send(new)
    host.run_crashing("apply", new, fact, base="1.0", confirm_seconds=1)

    # Before the dead-man sleeps, nothing has been changed that it could take back.
    assert fact in ("began", "armed") or wait_for(lambda: host.facts[-1] == "taken-back")
    assert wait_for(lambda: is_as_before(host))


@pytest.mark.parametrize("fact", ["undo-started"])
def test_a_way_back_that_is_cut_is_finished_by_the_next_run(host: ShHost, old: Build, fact: str) -> None:
    ill = make_build(host.folder, "2.0", health="exit 1")
    host.send(ill)
    host.run_crashing("apply", ill, fact, base="1.0", confirm_seconds=60)
    assert host.current == "2.0"

    assert host.run("revert", ill)["outcome"] == "rolled-back"
    assert is_as_before(host)


def test_after_a_power_cut_an_unconfirmed_change_is_taken_back_before_anything_else(host: ShHost, old: Build) -> None:
    new = make_build(host.folder, "2.0")
    host.send(new)
    host.run_crashing("apply", new, "switch-started", base="1.0")
    host.end()  # nothing survives a power cut
    journal = host.state / "journal"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    torn = journal.read_text().replace(boot, "00000000-0000-0000-0000-000000000000") + "2026-11-22T20:00:00Z torn"
    journal.write_text(torn)

    fact = host.apply(make_build(host.folder, "3.0"), base="1.0", key=LATER)

    assert host.facts.count("taken-back") == 1
    assert (fact["outcome"], fact["from"], fact["current"]) == ("upgraded", "1.0", "3.0")


def test_two_transactions_on_one_host_exclude_each_other(host: ShHost, old: Build) -> None:
    slow = make_build(host.folder, "2.0", health="sleep 2")
    host.send(slow)
    first = subprocess.Popen(host.command("apply"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=host.environment)
    assert first.stdin is not None
    first.stdin.write(host.lines(slow, base="1.0").encode())
    first.stdin.close()
    assert wait_for(lambda: host.facts.count("switch-started") == 2)  # that of 1.0 and this one

    second = host.run("apply", slow, base="1.0", key=LATER, wait_seconds=0)

    assert (second["outcome"], second["step"], second["changed"]) == ("failed", "lock", False)
    assert first.wait(20) == 0
    assert host.current == "2.0"


DEAD = ("999999999.1.no-boot", "999999998.2.no-boot", "999999997.3.no-boot")  # process, when it started, boot


@pytest.mark.parametrize("deaths", [1, 2, 3])
def test_a_lock_is_taken_from_a_dead_holder_though_others_died_at_taking_it(
    host: ShHost, old: Build, deaths: int
) -> None:
    links = [host.state / "lock", *(host.state / f"gone.{dead}" for dead in DEAD)]
    for link, dead in zip(links, DEAD[:deaths], strict=False):
        link.symlink_to(dead)
    (host.state / "gone.999999996.4.no-boot").symlink_to(DEAD[0])  # by one who died when all was done
    new = make_build(host.folder, "2.0")
    host.send(new)

    fact = host.apply(new, base="1.0")

    assert fact["outcome"] == "upgraded", fact
    assert [path.name for path in host.state.iterdir() if path.is_symlink()] == []


def test_a_lock_stays_when_a_living_one_is_about_to_take_it(host: ShHost, old: Build) -> None:
    stat = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (host.state / "lock").symlink_to(DEAD[0])
    (host.state / f"gone.{DEAD[0]}").symlink_to(f"{os.getpid()}.{stat[19]}.{boot}")

    fact = host.apply(make_build(host.folder, "2.0"), base="1.0", wait_seconds=0)

    assert (fact["outcome"], fact["step"]) == ("failed", "lock")
    assert (host.state / "lock").is_symlink()


def test_a_later_change_on_top_must_go_back_first(host: ShHost, old: Build) -> None:
    new, newest = make_build(host.folder, "2.0"), make_build(host.folder, "3.0")
    host.install(new, KEY)
    host.install(newest, LATER)

    refused = host.run("revert", new, key=KEY)
    assert (refused["outcome"], refused["step"]) == ("failed", "revert")
    assert LATER in refused["detail"]

    assert host.run("revert", newest, key=LATER)["outcome"] == "rolled-back"
    assert host.run("revert", new, key=KEY)["outcome"] == "rolled-back"
    assert is_as_before(host)


def test_a_change_that_never_came_here_has_nothing_to_take_back(host: ShHost, old: Build) -> None:
    fact = host.run("revert", make_build(host.folder, "2.0"), key=LATER)

    assert (fact["outcome"], fact["current"], fact["changed"]) == ("unchanged", "1.0", False)


def test_old_versions_are_pruned_but_never_the_one_to_go_back_to(host: ShHost, old: Build) -> None:
    for n in range(2, 6):
        build = make_build(host.folder, f"{n}.0")
        host.apply(build, base=host.current, key=f"CHG-2026-000{n}.x", keep=1)
        host.run("confirm", build, key=f"CHG-2026-000{n}.x", keep=1)

    assert sorted(path.name for path in (host.root / "versions").iterdir()) == ["4.0", "5.0"]


def test_a_text_cut_on_its_way_does_nothing(host: ShHost, tmp_path: Path) -> None:
    build = make_build(tmp_path, "1.0")
    script = SCRIPT.partition("#:call\n")[0]
    whole = f"{script}#:call\nmain apply <<'UPGRADER_INPUTS'\n{host.lines(build)}UPGRADER_INPUTS\n"
    ends = [*range(1, len(whole), 1777), len(whole) - len("end=inputs\nUPGRADER_INPUTS\n"), len(whole) - 20]

    for end in ends:
        subprocess.run(
            [host.shell, "-c", 'upgrader_script=$(cat) && eval "$upgrader_script"'],
            input=whole[:end].encode(),
            env=host.environment,
            capture_output=True,
            timeout=20,
            check=False,
        )

    assert not host.state.exists()
    assert not host.root.exists()


def test_asking_changes_nothing(host: ShHost, old: Build) -> None:
    def everything() -> list[tuple[str, int]]:
        return sorted((str(path), path.lstat().st_mtime_ns) for path in (host.root / "versions").rglob("*"))

    before, journal = everything(), (host.state / "journal").read_bytes()
    probe = host.run("probe", make_build(host.folder, "2.0"), base="1.0", key=LATER)
    status = host.run("status", old)

    assert (probe["outcome"], probe["would"], probe["current"]) == ("unchanged", "upgraded", "1.0")
    assert (status["running"], status["healthy"], status["digest"]) == (True, True, old.sha256)
    assert everything() == before
    assert (host.state / "journal").read_bytes() == journal


def test_a_version_whose_service_is_down_is_not_called_unchanged(host: ShHost, old: Build) -> None:
    os.kill(int((host.root / "shared/pid").read_text()), signal.SIGKILL)

    fact = host.run("apply", old, base="1.0")

    assert (fact["outcome"], fact["step"]) == ("failed", "service")


@pytest.mark.parametrize(
    "inputs",
    [
        {"system": "../etc"},
        {"version": "-rf"},
        {"key": "a b"},
        {"script": "../../bin/sh"},
        {"root": "relative"},
        {"sha256": "x"},
        {"size": "1; reboot"},
        {"base": "$(reboot)"},
        {"nonsense": "1"},
    ],
    ids=str,
)
def test_inputs_that_are_not_well_formed_are_refused(host: ShHost, old: Build, inputs: dict[str, str]) -> None:
    fact = host.run("apply", old, **inputs)

    assert (fact["outcome"], fact["step"], fact["changed"]) == ("failed", "input", False)


@pytest.mark.skipif(os.geteuid() != 0, reason="a disk of its own needs root")
def test_a_disk_that_is_too_small_fails_before_the_change(host: ShHost, tmp_path: Path) -> None:
    disk = tmp_path / "state"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "none", str(disk)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount")
    try:
        big = make_build(tmp_path, "1.0", data=os.urandom(8_000_000))
        fact = host.run("apply", big)
        assert (fact["outcome"], fact["step"], fact["changed"]) == ("failed", "space", False)
        assert not host.root.exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="a disk of its own needs root")
def test_a_disk_that_fills_while_unpacking_leaves_nothing_half(host: ShHost, tmp_path: Path) -> None:
    disk = tmp_path / "a root"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "none", str(disk)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount")
    try:
        fact = host.apply(make_build(tmp_path, "1.0", data=b"0" * 8_000_000))
        assert (fact["outcome"], fact["step"], fact["changed"]) == ("failed", "space", False)
        assert not list((host.root / "versions").iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="a disk of its own needs root")
def test_an_archive_that_would_fill_the_disk_is_stopped_while_it_is_decompressed(host: ShHost, tmp_path: Path) -> None:
    disk = tmp_path / "state"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(disk)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount")
    try:
        fact = host.apply(make_build(tmp_path, "1.0", data=b"0" * 30_000_000))
        assert (fact["outcome"], fact["step"], fact["changed"]) == ("failed", "space", False)
        assert sum(file.stat().st_size for file in disk.rglob("*") if file.is_file()) < 1_000_000
        assert not list((host.root / "versions").iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)
