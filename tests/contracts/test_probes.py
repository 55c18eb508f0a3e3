"""Probes look at real servers on this machine: one contract for every kind, then what each kind promises alone."""

import getpass
import os
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from upgrader.adapters.clock import system_clock
from upgrader.adapters.hosts.host_clocks import SshClocks
from upgrader.adapters.probes import PROBES, Access, Prober, Rounds
from upgrader.adapters.probes.command import CommandProbe
from upgrader.domain.changes.verdict import Measurement, Reading
from upgrader.domain.releases.probe import Probe, ProbeKind
from upgrader.ports import ProbedHost

AT = datetime(2026, 11, 21, 15, 4, tzinfo=UTC)
SSHD = "/usr/sbin/sshd"


def a_probe(kind: ProbeKind, **fields: Any) -> Probe:
    told = {"name": "p", "interval_seconds": 10, "count": 3, "failures_allowed": 0, "timeout_seconds": 2, **fields}
    return Probe(kind=kind, **told)


def a_host(**facts: str) -> ProbedHost:
    return ProbedHost(name="exam-01", address="127.0.0.1", port=22, user="nobody", facts=facts)


@pytest.fixture
def look(tmp_path: Path) -> Callable[[Probe, ProbedHost], Measurement]:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text("")

    def ask(probe: Probe, host: ProbedHost) -> Measurement:
        with closing(PROBES[probe.kind](Access(None, known_hosts))) as probing:
            return probing.measure(probe, host, AT)

    return ask


# every kind


def test_there_is_one_adapter_for_every_kind() -> None:
    assert set(PROBES) == set(ProbeKind)


@pytest.mark.parametrize("kind", ProbeKind)
def test_a_probe_without_its_question_gives_no_answer(
    kind: ProbeKind, look: Callable[[Probe, ProbedHost], Measurement]
) -> None:
    seen = look(a_probe(kind), a_host())

    assert seen.reading is Reading.NO_ANSWER
    assert "the probe has no" in seen.detail
    assert (seen.host, seen.probe, seen.at) == ("exam-01", "p", AT)


@pytest.mark.parametrize("kind", ProbeKind)
def test_a_fact_that_the_host_does_not_have_gives_no_answer(
    kind: ProbeKind, look: Callable[[Probe, ProbedHost], Measurement]
) -> None:
    asks = a_probe(kind, url="http://{address}:{window}/", address="{address}", port="{window}", run="true {window}")

    seen = look(asks, a_host())

    assert (seen.reading, seen.detail) == (Reading.NO_ANSWER, "the host has no fact 'window'")


# http


class Service(BaseHTTPRequestHandler):
    """A service with every habit that was seen: good, strict, moved, broken, slow."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        match self.path:
            case "/well":
                self._answer(200, "预约系统 运行正常".encode())
            case "/large":
                self._answer(200, b"x" * 200_000 + b"the end")
            case "/moved":
                self._answer(302, b"", Location="http://127.0.0.9/secret")
            case "/echo":
                self._answer(200, repr(sorted(self.headers.items())).encode())
            case "/drip":
                self._drip()
            case "/garbage":
                self.wfile.write(b"\x00\xff nothing like HTTP\r\n\r\n")
                self.close_connection = True
            case "/reset":
                self.connection.shutdown(socket.SHUT_RDWR)
            case _:
                self._answer(404, b"")

    def do_PROPFIND(self) -> None:
        signed_in = self.headers.get("Authorization") == "Basic bnVyc2U6"  # nurse, and no password
        self._answer(207 if signed_in else 401, b"<multistatus/>")

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status, "\x1b[31mwords of the server")
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(100):
            try:
                self.wfile.write(b".")
            except OSError:
                return
            time.sleep(0.1)


@pytest.fixture(scope="module")
def service() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("fields", "reading", "detail"),
    [
        ({"url": "/well"}, Reading.HEALTHY, "200 OK"),
        ({"url": "/well", "expect_status": 200, "expect_text": "运行正常"}, Reading.HEALTHY, "200 OK"),
        (
            {"url": "/well", "expect_text": "停机"},
            Reading.UNHEALTHY,
            "200 OK, but the answer does not hold '停机'",
        ),
        ({"url": "/absent"}, Reading.UNHEALTHY, "404 Not Found, expected below 400"),
        (
            {"url": "/", "method": "PROPFIND", "expect_status": 207},
            Reading.UNHEALTHY,
            "401 Unauthorized, expected 207",
        ),
        (
            {"url": "/", "method": "PROPFIND", "expect_status": 207, "user": "{login}"},
            Reading.HEALTHY,
            "207 Multi-Status",
        ),
        (
            {"url": "/moved", "expect_status": 200},
            Reading.UNHEALTHY,
            "302 Found to http://127.0.0.9/secret, expected 200",
        ),
        ({"url": "/echo", "headers": {"X-Ward": "{ward}"}, "expect_text": "'X-Ward', '7B'"}, Reading.HEALTHY, "200 OK"),
        (
            {"url": "/large", "expect_text": "the end"},
            Reading.UNHEALTHY,
            "200 OK, but the answer does not hold 'the end'",
        ),
        ({"url": "/garbage"}, Reading.UNHEALTHY, "not an HTTP answer: BadStatusLine"),
        ({"url": "/reset"}, Reading.UNHEALTHY, "connection reset"),
        (
            {"url": "/drip", "expect_text": "never", "timeout_seconds": 1},
            Reading.NO_ANSWER,
            "no whole answer within 1 s",
        ),
        ({"url": "/a b"}, Reading.NO_ANSWER, "the probe makes no request"),
        ({"url": "/well", "headers": {"X": "a\r\nHost: b"}}, Reading.NO_ANSWER, "the probe makes no request"),
    ],
)
def test_what_a_service_says_is_what_is_told(
    service: int,
    look: Callable[[Probe, ProbedHost], Measurement],
    fields: Mapping[str, Any],
    reading: Reading,
    detail: str,
) -> None:
    asks = a_probe(ProbeKind.HTTP, **{**fields, "url": "http://{address}:{port}" + fields["url"]})

    seen = look(asks, a_host(port=str(service), login="nurse", ward="7B"))

    assert seen.reading is reading, seen.detail
    assert seen.detail.startswith(detail)
    assert "\x1b" not in seen.detail


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/", "http:///x", "http://u:p@h/", "http://[/"])
def test_only_plain_web_addresses_are_asked(url: str, look: Callable[[Probe, ProbedHost], Measurement]) -> None:
    seen = look(a_probe(ProbeKind.HTTP, url=url), a_host())

    assert seen.reading is Reading.NO_ANSWER
    assert "is not a URL to ask" in seen.detail


def test_a_proxy_of_the_environment_is_not_asked(
    service: int, look: Callable[[Probe, ProbedHost], Measurement], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    seen = look(a_probe(ProbeKind.HTTP, url="http://{address}:{port}/well"), a_host(port=str(service)))

    assert seen.reading is Reading.HEALTHY


def test_plain_words_on_a_port_that_should_speak_tls_are_unhealthy(
    service: int, look: Callable[[Probe, ProbedHost], Measurement]
) -> None:
    seen = look(a_probe(ProbeKind.HTTP, url="https://{address}:{port}/well"), a_host(port=str(service)))

    assert seen.reading is Reading.UNHEALTHY
    assert seen.detail.startswith("TLS failed")


@contextmanager
def a_silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def a_closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_service_that_takes_the_call_and_is_silent_gives_no_answer_in_time(
    look: Callable[[Probe, ProbedHost], Measurement],
) -> None:
    with a_silent_port() as port:
        began = time.monotonic()
        seen = look(a_probe(ProbeKind.HTTP, url="http://{address}:{port}/", timeout_seconds=1), a_host(port=str(port)))

    assert seen.reading is Reading.NO_ANSWER
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("kind", [ProbeKind.HTTP, ProbeKind.TCP])
def test_a_refused_connection_is_unhealthy(kind: ProbeKind, look: Callable[[Probe, ProbedHost], Measurement]) -> None:
    asks = a_probe(kind, url="http://{address}:{port}/", port="{port}")

    seen = look(asks, a_host(port=str(a_closed_port())))

    assert (seen.reading, seen.detail) == (Reading.UNHEALTHY, "connection refused")


def test_no_way_to_the_host_is_no_answer(look: Callable[[Probe, ProbedHost], Measurement]) -> None:
    for kind in (ProbeKind.HTTP, ProbeKind.TCP):
        asks = a_probe(kind, url="http://255.255.255.255:80/", address="255.255.255.255", port="80", timeout_seconds=1)

        assert look(asks, a_host()).reading is Reading.NO_ANSWER


# tcp


def test_an_open_port_is_healthy(look: Callable[[Probe, ProbedHost], Measurement]) -> None:
    with a_silent_port() as port:
        seen = look(a_probe(ProbeKind.TCP, port="{service}"), a_host(service=str(port)))

    assert (seen.reading, seen.detail) == (Reading.HEALTHY, f"port {port} open")


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "８０"])
def test_what_is_no_port_is_not_asked(port: str, look: Callable[[Probe, ProbedHost], Measurement]) -> None:
    assert look(a_probe(ProbeKind.TCP, port=port), a_host()).reading is Reading.NO_ANSWER


# command


@dataclass(frozen=True, slots=True)
class Station:
    """A real sshd of this test's own."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def key(self) -> Path:
        return self.folder / "user"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def host(self) -> ProbedHost:
        return ProbedHost(
            name="exam-01", address="127.0.0.1", port=self.port, user=getpass.getuser(), facts={"root": "/opt"}
        )


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    if not Path(SSHD).exists():
        pytest.skip("no sshd on this machine")
    folder = tmp_path_factory.mktemp("station")
    for name in ("host", "user", "other"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(keygen, check=True)
    port = a_closed_port()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    options = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "user.pub",
        "PidFile": "none",
        "UsePAM": "no",
        "StrictModes": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "SetEnv": f"HOME={folder}",  # not the .bashrc of whoever runs the tests
    }
    (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in options.items()))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.DEVNULL)
    _wait_for(port)
    yield Station(folder, port, process)
    process.terminate()
    process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nothing answers on port {port}")


@pytest.fixture
def commands(station: Station) -> Iterator[CommandProbe]:
    with closing(CommandProbe(station.key, station.known_hosts)) as probing:
        yield probing


@pytest.mark.parametrize(
    ("fields", "reading", "detail"),
    [
        ({"run": "echo worn >&2; echo 40"}, Reading.HEALTHY, "40"),
        ({"run": "echo 40; echo worn >&2"}, Reading.HEALTHY, "40"),
        ({"run": "echo 40; echo worn >&2; exit 3"}, Reading.UNHEALTHY, "exit status 3: worn"),
        ({"run": "true"}, Reading.HEALTHY, "exit status 0"),
        ({"run": "echo first; echo last"}, Reading.HEALTHY, "last"),
        ({"run": "test {root} = /opt"}, Reading.HEALTHY, "exit status 0"),
        ({"run": "echo 'it''s' \"$((6*7))\"", "expect_text": "42"}, Reading.HEALTHY, "its 42"),
        ({"run": "echo no", "expect_text": "42"}, Reading.UNHEALTHY, "the output does not hold '42'"),
        ({"run": "echo broken >&2; exit 3"}, Reading.UNHEALTHY, "exit status 3: broken"),
        ({"run": "exit 7"}, Reading.UNHEALTHY, "exit status 7"),
        ({"run": "no-such-program"}, Reading.UNHEALTHY, "exit status 127: "),
        ({"run": r"printf 'bad \377\033[31m bytes'"}, Reading.HEALTHY, "bad ��[31m bytes"),
        ({"run": "yes | head -c 3000000; exit 5"}, Reading.UNHEALTHY, "exit status 5: y"),
        ({"run": "sleep 60", "timeout_seconds": 1}, Reading.UNHEALTHY, "not ended after 1 s"),
        ({"run": "cat", "timeout_seconds": 1}, Reading.HEALTHY, "exit status 0"),
        ({"run": "kill -9 $PPID; sleep 1", "timeout_seconds": 5}, Reading.UNHEALTHY, "ended by a signal"),
    ],
)
def test_what_a_command_does_is_what_is_told(
    commands: CommandProbe, station: Station, fields: Mapping[str, Any], reading: Reading, detail: str
) -> None:
    seen = commands.measure(a_probe(ProbeKind.COMMAND, **{"timeout_seconds": 10, **fields}), station.host, AT)

    assert seen.reading is reading, seen.detail
    assert seen.detail.startswith(detail)


def test_a_command_that_hangs_is_ended_on_the_host_too(commands: CommandProbe, station: Station) -> None:
    asks = a_probe(ProbeKind.COMMAND, run="echo $$ > {root}/pid; sleep 60 & wait", timeout_seconds=1)

    commands.measure(asks, replace(station.host, facts={"root": str(station.folder)}), AT)

    pid = int((station.folder / "pid").read_text())
    time.sleep(0.2)
    assert not Path(f"/proc/{pid}").exists()


def test_a_host_tells_its_clock_and_one_that_is_away_is_left_out(station: Station) -> None:
    away = replace(station.host, name="exam-02", port=a_closed_port())
    tolerance, slow = timedelta(seconds=120), timedelta(hours=1)

    def asked(clock: Callable[[], datetime]) -> Mapping[str, timedelta]:
        return SshClocks(clock, station.key, station.known_hosts, tolerance).ahead([station.host, away])

    assert asked(system_clock) == {"exam-01": timedelta()}
    found = asked(lambda: system_clock() - slow)
    assert set(found) == {"exam-01"}
    assert abs(found["exam-01"] - slow) < tolerance


def test_one_connection_serves_all_measurements(commands: CommandProbe, station: Station) -> None:
    asks = a_probe(ProbeKind.COMMAND, run="echo $SSH_CONNECTION")

    seen = {commands.measure(asks, station.host, AT).detail for _ in range(3)}

    assert len(seen) == 1


def test_a_lost_connection_is_no_answer_once_and_then_made_anew(commands: CommandProbe, station: Station) -> None:
    cut = a_probe(ProbeKind.COMMAND, run="kill -9 $(ps -o ppid= -p $PPID)", timeout_seconds=5)
    fine = a_probe(ProbeKind.COMMAND, run="true", timeout_seconds=5)
    assert commands.measure(fine, station.host, AT).reading is Reading.HEALTHY

    assert commands.measure(cut, station.host, AT).reading is Reading.NO_ANSWER

    assert commands.measure(fine, station.host, AT).reading is Reading.HEALTHY


@pytest.mark.parametrize("known", ["", "127.0.0.1 ssh-ed25519 AAAA\n", "*", "nonsense\n\x00\n"])
def test_a_host_that_is_not_known_is_not_asked(station: Station, tmp_path: Path, known: str) -> None:
    """Not even with its key in the caller's own ~/.ssh: only the site's file counts."""
    home = tmp_path / ".ssh"
    home.mkdir()
    (home / "known_hosts").write_text(station.known_hosts.read_text())
    known_hosts = tmp_path / "known_hosts"
    other = (station.folder / "other.pub").read_text()
    known_hosts.write_text(f"[127.0.0.1]:{station.port} {other}" if known == "*" else known)
    before = known_hosts.read_text()

    with pytest.MonkeyPatch.context() as patch, closing(CommandProbe(station.key, known_hosts)) as probing:
        patch.setenv("HOME", str(tmp_path))
        seen = probing.measure(a_probe(ProbeKind.COMMAND, run="true"), station.host, AT)

    assert seen.reading is Reading.NO_ANSWER
    assert "no ssh to the host" in seen.detail
    assert known_hosts.read_text() == before


def test_another_key_is_not_let_in_and_nothing_else_is_tried(station: Station) -> None:
    with closing(CommandProbe(station.folder / "other", station.known_hosts)) as probing:
        seen = probing.measure(a_probe(ProbeKind.COMMAND, run="true"), station.host, AT)

    assert seen.reading is Reading.NO_ANSWER


@pytest.mark.parametrize("missing", ["key", "known_hosts"])
def test_a_missing_file_is_no_answer(station: Station, tmp_path: Path, missing: str) -> None:
    key = tmp_path / "none" if missing == "key" else station.key
    known_hosts = tmp_path / "none" if missing == "known_hosts" else station.known_hosts

    with closing(CommandProbe(key, known_hosts)) as probing:
        seen = probing.measure(a_probe(ProbeKind.COMMAND, run="true"), station.host, AT)

    assert seen.reading is Reading.NO_ANSWER


def test_no_sshd_and_a_silent_one_are_no_answer(station: Station) -> None:
    asks = a_probe(ProbeKind.COMMAND, run="true", timeout_seconds=1)

    with a_silent_port() as silent, closing(CommandProbe(station.key, station.known_hosts)) as probing:
        for port in (silent, a_closed_port()):
            began = time.monotonic()
            assert probing.measure(asks, replace(station.host, port=port), AT).reading is Reading.NO_ANSWER
            assert time.monotonic() - began < 4


# the prober


class Night:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def clock(self) -> datetime:
        return AT + timedelta(seconds=self.now)

    def ticks(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def prober(self, parallel: int = 4) -> Prober:
        return Prober(self.clock, None, Path("/nonexistent"), parallel, sleep=self.sleep, ticks=self.ticks)


def hosts_with(port: int, count: int) -> list[ProbedHost]:
    return [replace(a_host(port=str(port)), name=f"exam-{number:02d}") for number in range(count)]


def test_every_probe_is_asked_as_often_as_it_wants_at_its_interval(service: int) -> None:
    night = Night()
    slow = a_probe(ProbeKind.HTTP, name="slow", url="http://{address}:{port}/well", count=2, interval_seconds=60)
    quick = a_probe(ProbeKind.TCP, name="quick", port="{port}", count=4, interval_seconds=10)

    with night.prober() as prober:
        seen = list(prober.measure_all([slow, quick], hosts_with(service, 3)))

    times = {probe: sorted((m.at - AT).seconds for m in seen if m.probe == probe) for probe in ("slow", "quick")}
    assert times == {"slow": [0, 0, 0, 60, 60, 60], "quick": [0, 0, 0, 10, 10, 10, 20, 20, 20, 30, 30, 30]}
    assert {m.reading for m in seen} == {Reading.HEALTHY}


def test_one_round_asks_once(service: int) -> None:
    night = Night()

    seen = list(night.prober().measure_all([a_probe(ProbeKind.TCP, port="{port}")], hosts_with(service, 5), Rounds.ONE))

    assert sorted(m.host for m in seen) == [f"exam-{number:02d}" for number in range(5)]
    assert not night.slept


def test_a_host_that_can_not_be_found_stable_any_more_is_not_asked_again(service: int) -> None:
    night = Night()
    asks = a_probe(ProbeKind.TCP, port="{port}", count=10, failures_allowed=1)
    good, bad = hosts_with(service, 1)[0], replace(hosts_with(a_closed_port(), 1)[0], name="broken")

    seen = list(night.prober().measure_all([asks], [good, bad]))

    assert [m.host for m in seen].count("broken") == 2
    assert [m.host for m in seen].count(good.name) == 10


def test_measurements_come_as_they_are_made_and_a_reader_may_leave(service: int) -> None:
    night = Night()
    asks = a_probe(ProbeKind.TCP, port="{port}", count=1000)

    coming = night.prober().measure_all([asks], hosts_with(service, 2))
    assert isinstance(coming, Generator)
    first = next(coming)
    coming.close()

    assert first.reading is Reading.HEALTHY
    assert night.now < 20


def test_hosts_that_say_nothing_are_waited_for_together() -> None:
    asks = a_probe(ProbeKind.HTTP, url="http://{address}:{port}/", count=1, timeout_seconds=1)

    with a_silent_port() as port:
        began = time.monotonic()
        prober = Prober(lambda: AT, None, Path("/nonexistent"), parallel=20)
        seen = list(prober.measure_all([asks], hosts_with(port, 20)))

    assert {m.reading for m in seen} == {Reading.NO_ANSWER}
    assert time.monotonic() - began < 5


def test_real_hosts_are_asked_over_one_connection_each(station: Station) -> None:
    asks = a_probe(ProbeKind.COMMAND, run="echo $SSH_CONNECTION", interval_seconds=0, count=3, timeout_seconds=10)
    hosts = [replace(station.host, name=f"exam-{number:02d}") for number in range(4)]

    with Prober(lambda: AT, station.key, station.known_hosts, parallel=4) as prober:
        seen = list(prober.measure_all([asks], hosts))

    assert len(seen) == 12
    assert len({(m.host, m.detail) for m in seen}) == 4
