"""The seam against real hosts: real sshd, real ansible-playbook, the real transaction."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.sh_host import Build, make_build
from contracts.ssh_fleet import HEALTH, SshFleet, server_files
from upgrader.adapters.hosts.ansible import AnsibleFleet, Ledger
from upgrader.domain.changes.playbook import HostOutcome, HostReport, PlaybookResult, PlaybookRun
from upgrader.domain.errors import PlaybookFailed, Refused

pytestmark = pytest.mark.lab


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[SshFleet]:
    made = SshFleet(tmp_path / "fleet", 3)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def old(tmp_path: Path) -> Build:
    return make_build(tmp_path, "1.0", **server_files("1.0"))


@pytest.fixture
def new(tmp_path: Path) -> Build:
    return make_build(tmp_path, "2.0", **server_files("2.0"))


def order(fleet: SshFleet, build: Build, verb: str = "upgrade", **changed: Any) -> PlaybookRun:
    return PlaybookRun(
        playbook=f"playbooks/{verb}.yml",
        tree=str(fleet.tree),
        hosts=fleet.names,
        upgrade=fleet.upgrade(build, **changed),
        forks=5,
        timeout_seconds=120,
        dry_run=False,
    )


def run(fleet: SshFleet, what: PlaybookRun, reports: list[HostReport] | None = None) -> PlaybookResult:
    told = reports if reports is not None else []
    artifacts = fleet.folder / "artifacts"
    return AnsibleFleet(artifacts, fleet.key).run(what, told.append)


def outcomes(result: PlaybookResult) -> list[str]:
    return [report.outcome.value for report in result.reports]


def test_hosts_are_upgraded_left_alone_and_taken_back(fleet: SshFleet, old: Build, new: Build) -> None:
    reports: list[HostReport] = []

    first = run(fleet, order(fleet, old))
    second = run(fleet, order(fleet, new, base="1.0", change="CHG-2026-0002"), reports)
    again = run(fleet, order(fleet, new, base="1.0", change="CHG-2026-0002"))
    seen = run(fleet, order(fleet, new, "verify"))
    back = run(fleet, order(fleet, new, "rollback", change="CHG-2026-0002"))
    nothing_left = run(fleet, order(fleet, new, "rollback", change="CHG-2026-0002"))

    assert outcomes(first) == outcomes(second) == ["upgraded"] * 3
    assert {report.host for report in reports} == set(fleet.names)
    report = second.reports[0]
    assert (report.from_version, report.to_version, report.current) == ("1.0", "2.0", "2.0")
    assert report.bytes_sent > new.size
    assert report.downtime_ms > 0
    assert outcomes(again) == ["unchanged"] * 3
    assert again.reports[0].bytes_sent < 80_000
    assert outcomes(seen) == ["unchanged"] * 3
    assert seen.reports[0].facts["digest"] == new.sha256
    assert outcomes(back) == ["rolled-back"] * 3
    assert outcomes(nothing_left) == ["unchanged"] * 3
    assert all(fleet.host(name).current == "1.0" and fleet.host(name).service_runs() for name in fleet.names)


def test_no_host_begins_once_somebody_asked_for_a_stop_and_the_way_back_is_not_held(
    fleet: SshFleet, old: Build, new: Build, tmp_path: Path
) -> None:
    run(fleet, order(fleet, old))
    stop = tmp_path / "all.stop"
    what = replace(order(fleet, new, base="1.0", change="CHG-2026-0002"), forks=1, holding=(str(stop),))
    told: list[HostReport] = []

    def stop_after_the_first(report: HostReport) -> None:
        told.append(report)
        stop.touch()

    result = AnsibleFleet(fleet.folder / "artifacts", fleet.key).run(what, stop_after_the_first)

    begun = [report for report in result.reports if not report.is_held]
    assert {report.outcome.value for report in begun} == {"upgraded"}
    assert len(begun) < 3
    assert {fleet.host(name).current for name in fleet.names} == {"1.0", "2.0"}
    back = run(fleet, replace(order(fleet, new, "rollback", change="CHG-2026-0002"), holding=(str(stop),)))
    assert {fleet.host(name).current for name in fleet.names} == {"1.0"}
    assert "not-run" not in outcomes(back)


def test_a_host_that_is_off_and_a_host_with_another_key_block_nobody(fleet: SshFleet, old: Build) -> None:
    fleet.stop_host("host-01")
    known = fleet.tree / "inventory" / "known_hosts"
    lines = known.read_text().splitlines()
    known.write_text(
        "\n".join([lines[0], lines[0].replace(fleet.address("host-01"), fleet.address("host-02")), lines[2]])
    )

    result = run(fleet, order(fleet, old))

    assert outcomes(result) == ["unreachable", "unreachable", "upgraded"]
    assert result.reports[0].step == "connect"
    assert "key" in result.reports[1].detail
    assert fleet.host("host-02").current == ""


def test_an_unhealthy_version_fails_the_task_and_says_rolled_back(fleet: SshFleet, old: Build, tmp_path: Path) -> None:
    run(fleet, order(fleet, old))
    ill = make_build(tmp_path, "2.0", **server_files("2.0", health="echo 数据库连接失败; exit 3\n"))

    result = run(fleet, order(fleet, ill, base="1.0"))

    assert outcomes(result) == ["rolled-back"] * 3
    assert (result.reports[0].step, result.reports[0].detail) == ("health", "数据库连接失败")
    assert result.status == "failed"
    assert fleet.host("host-01").current == "1.0"


def test_a_wrong_base_fails_only_that_host_and_before_any_change(fleet: SshFleet, old: Build, new: Build) -> None:
    run(fleet, order(fleet, old))
    upgrade = fleet.upgrade(new, base="1.0")
    upgrade["base"]["host-02"] = "0.9"

    result = run(fleet, replace(order(fleet, new), upgrade=upgrade))

    assert outcomes(result) == ["upgraded", "failed", "upgraded"]
    assert result.reports[1].step == "base"
    assert result.reports[1].facts["changed"] is False


def test_a_dry_run_tells_and_touches_nothing(fleet: SshFleet, old: Build) -> None:
    result = run(fleet, replace(order(fleet, old), dry_run=True))

    assert outcomes(result) == ["unchanged"] * 3
    assert result.reports[0].facts["would"] == "upgraded"
    assert "+1.0" in Path(result.output).read_text()
    assert not fleet.host("host-01").state.exists()


def test_preflight_before_there_is_a_plan_tells_what_is_installed(fleet: SshFleet, old: Build, new: Build) -> None:
    run(fleet, order(fleet, old))
    whole = fleet.upgrade(new)
    asked = ("format", "change", "system", "version", "strategy", "digest", "builds", "service")
    question = {name: whole[name] for name in asked}

    result = run(fleet, replace(order(fleet, new, "preflight"), upgrade={**question, "plan": "0" * 64}))

    assert outcomes(result) == ["unchanged"] * 3
    assert result.reports[0].current == "1.0"
    assert result.reports[0].facts["digest"] == old.sha256


def test_when_the_link_dies_under_way_the_host_takes_itself_back(fleet: SshFleet, old: Build, tmp_path: Path) -> None:
    run(fleet, order(fleet, old))
    slow = make_build(tmp_path, "2.0", **server_files("2.0", health="sleep 2\n" + HEALTH))
    host = fleet.host("host-01")

    def cut() -> None:
        while "switch-started" not in host.facts[-1:]:
            time.sleep(0.05)
        fleet.stop_host("host-01")

    cutter = threading.Thread(target=cut)
    cutter.start()
    result = run(fleet, order(fleet, slow, base="1.0", change="CHG-2026-0002", confirm_seconds=2))
    cutter.join()

    assert outcomes(result) == ["unreachable", "upgraded", "upgraded"]
    assert result.reports[0].step == "link"
    end = time.monotonic() + 20
    while host.facts[-1] != "taken-back" and time.monotonic() < end:
        time.sleep(0.1)
    assert host.current == "1.0"
    assert host.service_runs()
    assert fleet.host("host-02").current == "2.0"


def test_the_same_playbook_runs_by_hand(fleet: SshFleet, old: Build, tmp_path: Path) -> None:
    variables = tmp_path / "upgrade.json"
    variables.write_text(json.dumps({"upgrade": fleet.upgrade(old)}))
    program = Path(sys.executable).parent / "ansible-playbook"
    command = [str(program), "-i", "inventory", "--limit", "host-02", "-e", f"@{variables}"]
    command += ["--private-key", str(fleet.key), "playbooks/upgrade.yml"]

    ended = subprocess.run(command, cwd=fleet.tree, capture_output=True, text=True, timeout=300, check=False)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert fleet.host("host-02").current == "1.0"
    assert fleet.host("host-01").current == ""


def test_without_the_variable_nothing_runs(fleet: SshFleet) -> None:
    program = Path(sys.executable).parent / "ansible-playbook"
    command = [str(program), "-i", "inventory", "--private-key", str(fleet.key), "playbooks/upgrade.yml"]

    ended = subprocess.run(command, cwd=fleet.tree, capture_output=True, text=True, timeout=300, check=False)

    assert ended.returncode != 0
    assert "upgrade" in ended.stdout
    assert not fleet.host("host-01").state.exists()


def test_an_error_while_a_report_is_written_stops_the_run_and_is_not_lost(fleet: SshFleet, old: Build) -> None:
    def full_disk(_: HostReport) -> None:
        raise OSError(28, "no space left on device")

    with pytest.raises(OSError, match="no space left"):
        AnsibleFleet(fleet.folder / "artifacts", fleet.key).run(order(fleet, old), full_disk)


def test_a_run_that_takes_too_long_is_stopped_and_nobody_is_called_well(fleet: SshFleet, old: Build) -> None:
    for name in fleet.names:  # hosts that accept and then say nothing
        os.kill(int((fleet.folder / name / "sshd.pid").read_text()), signal.SIGSTOP)
    try:
        result = run(fleet, replace(order(fleet, old), timeout_seconds=3))
    finally:
        for name in fleet.names:  # going on they would begin what nobody waits for any more
            fleet.stop_host(name)

    assert result.status == "timeout"
    assert outcomes(result) == ["failed"] * 3  # they may have begun: whoever takes back must look at them
    assert "no proof" in result.reports[0].detail


def test_nothing_of_the_person_reaches_ansible_and_no_trace_is_left(
    fleet: SshFleet, old: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ansible.cfg").write_text("[defaults]\nremote_user = nobody\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ANSIBLE_REMOTE_USER", "nobody")
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    before = sorted(path.name for path in fleet.tree.rglob("*"))

    result = run(fleet, order(fleet, old))

    assert outcomes(result) == ["upgraded"] * 3
    kept = sorted(Path(result.output).parent.iterdir())
    assert [path.name for path in kept] == ["rc", "status", "stderr", "stdout"]
    assert "hunter2" not in "".join(path.read_text() for path in kept)
    assert sorted(path.name for path in fleet.tree.rglob("*")) == before


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"hosts": ()}, "playbook-no-hosts"),
        ({"hosts": ("host-01", "host-01")}, "playbook-host-twice"),
        ({"hosts": ("-oProxyCommand=reboot",)}, "host-name-malformed"),
        ({"hosts": ("all:host",)}, "host-name-malformed"),
        ({"playbook": "../evil.yml"}, "playbook-not-in-tree"),
        ({"playbook": "playbooks/none.yml"}, "playbook-not-in-tree"),
        ({"upgrade": {"version": "{{ lookup('pipe', 'id') }}"}}, "upgrade-holds-template"),
    ],
    ids=str,
)
def test_a_run_that_names_nothing_or_too_much_is_refused(tmp_path: Path, changed: dict[str, Any], code: str) -> None:
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks/upgrade.yml").write_text("")
    whole = PlaybookRun(
        playbook="playbooks/upgrade.yml",
        tree=str(tmp_path),
        hosts=("host-01",),
        upgrade={},
        forks=1,
        timeout_seconds=1,
        dry_run=False,
    )

    with pytest.raises(Refused) as refused:
        AnsibleFleet(tmp_path / "artifacts").run(replace(whole, **changed), lambda _: None)

    assert refused.value.code == code
    assert not (tmp_path / "artifacts").exists()


def test_a_host_name_that_is_a_group_stops_the_run(fleet: SshFleet, old: Build) -> None:
    with pytest.raises(PlaybookFailed) as failed:
        run(fleet, replace(order(fleet, old, "preflight"), hosts=("stations",)))

    assert failed.value.code == "playbook-strange-hosts"


def event(kind: str, host: str = "host-01", proof: object = None, action: str = "upgrader.host.transaction") -> Any:
    result = {"msg": "said so"} if proof is None else {"msg": "said so", "upgrader": proof}
    return {"event": f"runner_on_{kind}", "event_data": {"host": host, "task_action": action, "res": result}}


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ([], HostOutcome.NOT_RUN),
        ([event("start", action="ansible.builtin.assert")], HostOutcome.NOT_RUN),
        ([event("start")], HostOutcome.FAILED),
        ([event("ok")], HostOutcome.FAILED),
        ([event("ok", action="ansible.builtin.debug", proof={"outcome": "upgraded"})], HostOutcome.FAILED),
        ([event("failed")], HostOutcome.FAILED),
        ([event("unreachable")], HostOutcome.UNREACHABLE),
        ([event("ok", proof={"outcome": "upgraded"})], HostOutcome.UPGRADED),
        ([event("ok", proof={"outcome": "fine"})], HostOutcome.FAILED),
        ([event("ok", proof="upgraded")], HostOutcome.FAILED),
        ([event("failed", proof={"outcome": "upgraded"})], HostOutcome.FAILED),
        ([event("failed", proof={"outcome": "rolled-back"})], HostOutcome.ROLLED_BACK),
        (
            [event("failed", proof={"outcome": "failed"}), event("ok", proof={"outcome": "upgraded"})],
            HostOutcome.FAILED,
        ),
        ([event("ok", host="host-02", proof={"outcome": "upgraded"})], HostOutcome.NOT_RUN),
    ],
)
def test_only_the_transactions_own_result_is_proof(events: list[Any], outcome: HostOutcome) -> None:
    ledger = Ledger(("host-01",))

    for one in events:
        ledger.take(one)
    list(ledger.silent())

    (report,) = ledger.reports()
    assert report.outcome is outcome
    assert bool(ledger.strangers) == (len(events) == 1 and events[0]["event_data"]["host"] == "host-02")


SECRET = "s3cret of äxam-db $`'\"%"
MARKS = re.compile(r"upgrader-journals-\d+$")  # the last lines of journals: digests, no secret


def with_secret(fleet: SshFleet, folder: Path, health: str = HEALTH) -> Build:
    """A release whose configuration asks for a password, and hosts whose password is a secret."""
    hosts = fleet.tree / "inventory" / "hosts.yml"
    hosts.write_text(hosts.read_text().replace("port: 8477", "port: 8477\n            password: secret:exam-db"))
    files = server_files("1.0", health)
    files["etc/database.conf.in"] = "password=@password@\n"
    return make_build(folder, "1.0", **files)


def run_with_secret(fleet: SshFleet, build: Build) -> PlaybookResult:
    seam = AnsibleFleet(fleet.folder / "artifacts", fleet.key, read_secrets=lambda names: dict.fromkeys(names, SECRET))
    config = [{"from": f"etc/{name}.conf.in", "to": f"etc/{name}.conf"} for name in ("site", "database")]
    return seam.run(replace(order(fleet, build, config=config), secrets=("exam-db",)), lambda _: None)


def readable_by_all(stop: threading.Event, seen: list[str]) -> None:
    """What `ps` shows to everybody, and the environment of our own processes, while Ansible runs."""
    while not stop.wait(0.02):
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    content = (process / name).read_bytes().decode(errors="replace")
                except OSError:
                    continue
                if SECRET in content:
                    seen.append(f"{process.name} {name}")


def test_a_secret_reaches_the_configuration_of_a_host_and_no_other_place(fleet: SshFleet, tmp_path: Path) -> None:
    build = with_secret(fleet, tmp_path)
    stop, seen = threading.Event(), list[str]()
    watching = threading.Thread(target=readable_by_all, args=(stop, seen))
    watching.start()
    try:
        result = run_with_secret(fleet, build)
    finally:
        stop.set()
        watching.join()

    assert outcomes(result) == ["upgraded"] * 3
    for name in fleet.names:
        assert (fleet.host(name).root / "current" / "etc" / "database.conf").read_text() == f"password={SECRET}\n"
    assert seen == []
    assert SECRET not in json.dumps([report.facts for report in result.reports], ensure_ascii=False)
    left = [path for path in (fleet.folder / "artifacts").rglob("*") if path.is_file()]
    assert left != []
    assert [path for path in left if SECRET.encode() in path.read_bytes()] == []
    assert [path.name for path in Path("/dev/shm").glob("upgrader-*") if not MARKS.match(path.name)] == []


def test_what_a_host_says_of_a_secret_is_told_by_its_name(fleet: SshFleet, tmp_path: Path) -> None:
    build = with_secret(fleet, tmp_path, 'echo "no login with $(sed s/password=// etc/database.conf)"; exit 3\n')

    result = run_with_secret(fleet, build)

    assert outcomes(result) != ["upgraded"] * 3
    said = json.dumps([report.facts for report in result.reports], ensure_ascii=False)
    assert "<secret:exam-db>" in said
    assert SECRET not in said
    assert SECRET not in Path(result.output).read_text()


def test_without_its_value_nothing_is_sent_to_a_host(fleet: SshFleet, tmp_path: Path) -> None:
    result = run(fleet, order(fleet, with_secret(fleet, tmp_path)))

    assert outcomes(result) == ["failed"] * 3
    assert "the secret exam-db is not here" in result.reports[0].detail
    assert fleet.host("host-01").current == ""
