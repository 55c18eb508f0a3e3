"""A real message service is upgraded under its senders: drained, replayed, counted; taken back without losing any."""

import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from contracts.sh_host import SERVICE, Build, ShHost, make_build
from upgrader.lab import gateway

PROGRAM = f"#!{sys.executable} -IS\n" + Path(gateway.__file__).read_text(encoding="utf-8")
START = 'rm -f "$here/../../shared/port"; alive || { setsid "$here/bin/gateway" run </dev/null >/dev/null 2>&1 & '
START += 'echo $! >"$pid"; }'
TERMS: dict[str, Any] = {
    "base": "1.0",
    "intake_stop": "bin/gateway stop",
    "intake_start": "bin/gateway start",
    "queue": "bin/gateway queue",
    "drain_seconds": 30,
    "count_in": "bin/gateway in",
    "count_out": "bin/gateway out",
    "replay": "bin/gateway replay",
    "held_back": "held",
}
SERVED = "i=0; until [ -s ../../shared/port ]; do i=$((i+1)); [ $i -lt 40 ] || exit 1; sleep 0.1; done"


def interface(folder: Path, version: str, health: str = "", **files: str) -> Build:
    service = SERVICE.replace("@version@", version).replace("@start@", START).replace("@stop@", ":")
    program = {"bin/gateway": PROGRAM, "bin/service": service, **files}
    return make_build(folder, version, health=f"{SERVED}\n{health}", **program)


def send(host: ShHost, *names: str) -> list[str]:
    """What the service answers a sender, message by message."""
    port = int((host.root / "shared/port").read_text())
    with socket.create_connection(("127.0.0.1", port), timeout=20) as service, service.makefile("rw") as lines:
        answers = []
        for name in names:
            lines.write(f"{name} ORU^R01\n")
            lines.flush()
            answers.append(lines.readline().strip())
        return answers


def delivered(host: ShHost, count: int) -> list[str]:
    """What has arrived at the receiver, once so many have."""
    for _ in range(300):
        arrived = sorted(path.name for path in (host.root / "shared/delivered").iterdir())
        if len(arrived) >= count:
            return arrived
        time.sleep(0.1)
    return arrived


@pytest.fixture
def running(host: ShHost, tmp_path: Path) -> Build:
    """Version 1.0 serves, and three messages have gone through it."""
    build = interface(tmp_path, "1.0")
    host.install(build)
    assert send(host, "a1", "a2", "a3") == ["AA a1", "AA a2", "AA a3"]
    return build


def hold(host: ShHost, *names: str) -> None:
    """Messages that wait in the held folder, as those do that come while the version changes."""
    for name in names:
        (host.root / "shared/held" / name).write_text("ORU^R01")


def is_open(host: ShHost) -> bool:
    return not (host.root / "shared/closed").exists()


def test_the_queue_is_drained_what_was_held_is_replayed_and_all_are_counted(
    host: ShHost, running: Build, tmp_path: Path
) -> None:
    hold(host, "b1", "b2")

    fact = host.apply(interface(tmp_path, "2.0"), **TERMS)

    assert (fact["outcome"], fact["current"]) == ("upgraded", "2.0"), fact
    assert "2 in, 2 out since the intake stopped; 5 in, 5 out in all" in fact["detail"]
    assert delivered(host, 5) == ["a1", "a2", "a3", "b1", "b2"]
    assert is_open(host)
    assert send(host, "c1") == ["AA c1"]
    order = [fact for fact in host.facts if fact in ("armed", "intake-stopped", "drained", "switch-started",
             "replaying", "counted", "intake-started", "healthy")]  # fmt: skip
    assert order[-8:] == ["armed", "intake-stopped", "drained", "switch-started", "replaying", "counted",
                          "intake-started", "healthy"]  # fmt: skip


@pytest.mark.parametrize("host", ["dash"], indirect=True)
def test_a_queue_that_does_not_drain_leaves_the_old_version_as_it_serves(
    host: ShHost, running: Build, tmp_path: Path
) -> None:
    delivered(host, 3)
    (host.root / "shared/away").touch()
    send(host, "b1", "b2")

    fact = host.apply(interface(tmp_path, "2.0"), **{**TERMS, "drain_seconds": 1})

    assert (fact["outcome"], fact["step"], fact["current"]) == ("failed", "drain", "1.0")
    assert "2 messages still wait in the queue" in fact["detail"]
    assert "switch-started" not in host.facts[host.facts.index("intake-stopped") :]
    assert is_open(host)
    (host.root / "shared/away").unlink()
    assert delivered(host, 5) == ["a1", "a2", "a3", "b1", "b2"]


def test_a_version_that_loses_messages_is_taken_back_and_they_are_replayed_there(
    host: ShHost, running: Build, tmp_path: Path
) -> None:
    hold(host, "b1", "b2")

    fact = host.apply(interface(tmp_path, "2.0", **{"etc/loses": "all of them"}), **TERMS)

    assert (fact["outcome"], fact["step"], fact["current"]) == ("rolled-back", "counts", "1.0"), fact
    assert "2 messages were replayed, 2 came in, 0 went out" in fact["detail"]
    assert "replayed again" in fact["detail"]
    assert delivered(host, 5) == ["a1", "a2", "a3", "b1", "b2"]
    assert is_open(host)
    assert send(host, "c1") == ["AA c1"]


@pytest.mark.parametrize("host", ["dash"], indirect=True)
def test_a_version_that_is_not_well_never_gets_a_message(host: ShHost, running: Build, tmp_path: Path) -> None:
    hold(host, "b1")

    fact = host.apply(interface(tmp_path, "2.0", health="exit 1"), **TERMS)

    assert (fact["outcome"], fact["step"]) == ("rolled-back", "health")
    assert "replaying" not in host.facts
    assert delivered(host, 4) == ["a1", "a2", "a3", "b1"]
    assert is_open(host)


@pytest.mark.parametrize("host", ["dash"], indirect=True)
@pytest.mark.parametrize("fact", ["intake-stopped", "switch-started", "replaying", "counted"])
def test_cut_at_any_step_the_next_call_loses_no_message(
    host: ShHost, running: Build, tmp_path: Path, fact: str
) -> None:
    hold(host, "b1", "b2")
    build = interface(tmp_path, "2.0")
    host.send(build)
    host.run_crashing("apply", build, fact, **TERMS, sent=1)

    told = host.apply(build, **TERMS)

    assert (told["outcome"], told["current"]) == ("upgraded", "2.0"), told
    assert delivered(host, 5) == ["a1", "a2", "a3", "b1", "b2"]
    assert is_open(host)


@pytest.mark.parametrize("host", ["dash"], indirect=True)
def test_a_rollback_drains_what_the_new_version_took(host: ShHost, running: Build, tmp_path: Path) -> None:
    build = interface(tmp_path, "2.0")
    assert host.apply(build, **TERMS)["outcome"] == "upgraded"
    assert host.run("confirm", build, **TERMS)["outcome"] == "upgraded"
    send(host, "b1", "b2")

    fact = host.run("revert", build, **TERMS)

    assert (fact["outcome"], fact["current"]) == ("rolled-back", "1.0"), fact
    assert delivered(host, 5) == ["a1", "a2", "a3", "b1", "b2"]
    assert is_open(host)
    assert not list(host.state.glob("held.*"))
