"""notify.yml, and each way in which a message leaves: real programs, real HTTP, a real process beside the work."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import builders
from upgrader.adapters.documents.notify import read_notifiers
from upgrader.adapters.notifiers import Notifiers
from upgrader.adapters.notifiers.beside import notify_beside
from upgrader.adapters.state.deliveries import DeliveryFiles
from upgrader.adapters.trust.secret_files import SecretFiles
from upgrader.domain.changes.notification import Delivery, Notification, Topic
from upgrader.domain.errors import BadInput, PreflightFailed, Refused
from upgrader.domain.names import SiteId

STUCK = Notification("CHG-2026-0142", 31, Topic.STUCK, builders.OPENS, "lis", "4.2.1", "", ("lis-ws-07",))
WORDS = {"zh": "需要人工处理", "en": "a person is needed"}


@dataclass
class Desk:
    folder: Path

    def notifiers(self, text: str) -> Notifiers:
        file = self.folder / "notify.yml"
        file.write_text(text, encoding="utf-8")
        file.chmod(0o644)
        return Notifiers(file, SiteId("renmin"), SecretFiles(self.folder / "secrets", ()))

    def secret(self, name: str, value: str) -> None:
        (self.folder / "secrets").mkdir(exist_ok=True)
        path = self.folder / "secrets" / name
        path.write_text(value, encoding="utf-8")
        path.chmod(0o600)

    def program(self, body: str) -> Path:
        path = self.folder / "send-sms"
        path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    def failed(self, text: str) -> str:
        with pytest.raises(PreflightFailed) as caught:
            self.notifiers(text).send("duty", STUCK, WORDS)
        assert caught.value.code == "notification-not-delivered"
        return caught.value.fields["reason"]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def command(path: Path, more: str = "") -> str:
    return f"notifiers: [{{name: duty, by: command, run: [{path}, --night], to: [on-duty], timeout: 5s{more}}}]"


def lives(process: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about yet does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# The file


def test_nobody_is_told_without_a_file(tmp_path: Path) -> None:
    nobody = Notifiers(tmp_path / "notify.yml", SiteId("renmin"), SecretFiles(tmp_path, ()))

    assert (nobody.names(), nobody.who_wants(Topic.STUCK)) == ((), [])


def test_each_hears_of_what_it_asked_for(desk: Desk) -> None:
    text = """
notifiers:
  - {name: duty, by: command, run: [/bin/true], about: [stuck, refused], per_minute: 30}
  - {name: chat, by: robot, url: "https://chat.example/send?key={secret}", secret: chat-key}
"""
    both = desk.notifiers(text)

    assert (both.who_wants(Topic.STUCK), both.who_wants(Topic.BEGUN)) == (["duty", "chat"], ["chat"])
    assert (both.pause("duty"), both.pause("chat")) == (2.0, 3.0)


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("notifiers: []", 1, "empty-not-allowed"),
        ("notifiers: [{name: duty, by: pigeon}]", 1, "wrong-value"),
        ("notifiers:\n- {name: duty, by: command}", 2, "missing-key"),
        ("notifiers:\n- {name: duty, by: webhook, run: [/bin/true]}", 2, "missing-key"),
        ("notifiers:\n- {name: duty, by: command, run: [send-sms]}", 2, "wrong-form"),
        ("notifiers:\n- {name: duty, by: webhook, url: 'ftp://sms.example'}", 2, "wrong-form"),
        ("notifiers:\n- {name: duty, by: webhook, url: 'https://me:secret@sms.example'}", 2, "wrong-form"),
        ("notifiers:\n- {name: duty, by: command, run: [/bin/true], about: [everything]}", 2, "wrong-value"),
        ("notifiers:\n- {name: duty, by: command, run: [/bin/true], timeout: 1h}", 2, "wrong-value"),
        (
            "notifiers:\n- {name: duty, by: command, run: [/bin/true]}\n- {name: duty, by: command, run: [/bin/true]}",
            3,
            "duplicate-value",
        ),
    ],
)
def test_a_wrong_file_is_told_with_its_place(text: str, line: int, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_notifiers(text.encode(), "notify.yml")

    assert [(problem.line, problem.code) for problem in caught.value.problems] == [(line, code)]


def test_a_file_that_others_may_write_runs_no_program(desk: Desk) -> None:
    ours = desk.notifiers(command(Path("/bin/true")))
    (desk.folder / "notify.yml").chmod(0o666)

    with pytest.raises(Refused) as caught:
        ours.names()
    assert caught.value.code == "notifiers-file-mode"


def test_a_link_is_no_file_of_ours(desk: Desk) -> None:
    desk.notifiers(command(Path("/bin/true")))
    (desk.folder / "notify.yml").rename(desk.folder / "elsewhere.yml")
    (desk.folder / "notify.yml").symlink_to("elsewhere.yml")

    with pytest.raises(Refused) as caught:
        Notifiers(desk.folder / "notify.yml", SiteId("renmin"), SecretFiles(desk.folder, ())).names()
    assert caught.value.code == "notifiers-file-mode"


# Programs


def test_a_program_gets_the_message_and_nothing_of_our_environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPGRADER_KEY", "/run/keys/li.na")
    out = desk.folder / "got"
    path = desk.program(f'echo "$@" >{out}.args; env >{out}.env; cat >{out}.json')

    desk.notifiers(command(path)).send("duty", STUCK, WORDS)

    got = json.loads(out.with_suffix(".json").read_bytes())
    assert (got["format"], got["site"], got["to"]) == ("upgrader.notification/1", "renmin", ["on-duty"])
    assert (got["change"], got["topic"], got["hosts"], got["text"]) == ("CHG-2026-0142", "stuck", ["lis-ws-07"], WORDS)
    assert out.with_suffix(".args").read_text() == "--night\n"
    assert "UPGRADER" not in out.with_suffix(".env").read_text()


def test_a_secret_comes_on_the_first_line_and_in_no_argument(desk: Desk) -> None:
    desk.secret("sms-token", "s3cr3t-token")
    out = desk.folder / "got"
    path = desk.program(
        f'read -r token; echo "$token" >{out}; cat >{out}.json; tr "\\0" " " </proc/$$/cmdline >{out}.cmd'
    )

    desk.notifiers(command(path, ", secret: sms-token")).send("duty", STUCK, WORDS)

    assert out.read_text() == "s3cr3t-token\n"
    assert json.loads(out.with_suffix(".json").read_bytes())["topic"] == "stuck"
    assert "s3cr3t" not in out.with_suffix(".cmd").read_text()


def test_a_program_that_fails_is_told_in_its_own_words(desk: Desk) -> None:
    assert (
        desk.failed(command(desk.program("echo 'modem: no carrier' >&2; exit 3"))) == "exit status 3: modem: no carrier"
    )


def test_a_program_that_hangs_is_stopped_with_its_children(desk: Desk) -> None:
    path = desk.program(f"sleep 600 & echo $! >{desk.folder}/child; wait")

    told = desk.failed(command(path).replace("5s", "1s"))

    assert told == "not ended after 1 s"
    assert not lives(int((desk.folder / "child").read_text()))


def test_a_program_that_is_not_there_is_told(desk: Desk) -> None:
    assert desk.failed(command(Path("/nowhere/send-sms"))) == "No such file or directory"


# HTTP


@dataclass
class Gateway:
    """A web server that keeps what it gets, and answers as it is told."""

    status: int = 200
    answer: bytes = b'{"errcode": 0, "errmsg": "ok"}'
    got: list[tuple[str, str, Any]] = field(default_factory=list)
    port: int = 0

    @contextmanager
    def open(self) -> Iterator["Gateway"]:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                gateway.got.append((self.path, self.headers.get("Authorization", ""), body))
                self.send_response(gateway.status)
                self.send_header("Content-Length", str(len(gateway.answer)))
                self.end_headers()
                self.wfile.write(gateway.answer)

            def log_message(self, format: str, *arguments: object) -> None:
                """Nobody reads it."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def text(self, by: str, more: str = "", path: str = "/send") -> str:
        return f'notifiers: [{{name: duty, by: {by}, url: "http://127.0.0.1:{self.port}{path}", to: [on-duty]{more}}}]'


def test_a_gateway_gets_the_message_and_the_token(desk: Desk) -> None:
    desk.secret("sms-token", "s3cr3t-token")
    with Gateway().open() as gateway:
        desk.notifiers(gateway.text("webhook", ", secret: sms-token")).send("duty", STUCK, WORDS)

    ((path, token, body),) = gateway.got
    assert (path, token, body["topic"], body["text"]) == ("/send", "Bearer s3cr3t-token", "stuck", WORDS)


def test_a_robot_gets_words_and_its_key_in_the_address(desk: Desk) -> None:
    desk.secret("chat-key", "s3cr3t&key")
    with Gateway().open() as gateway:
        text = gateway.text("robot", ", secret: chat-key", "/send?key={secret}")
        desk.notifiers(text).send("duty", STUCK, WORDS)

    content = "需要人工处理\na person is needed\non-duty"
    assert gateway.got == [("/send?key=s3cr3t%26key", "", {"msgtype": "text", "text": {"content": content}})]


@pytest.mark.parametrize(
    ("by", "gateway", "reason"),
    [
        ("webhook", Gateway(status=503), "HTTP 503 Service Unavailable"),
        ("webhook", Gateway(status=302), "HTTP 302 Found"),
        ("robot", Gateway(answer=b'{"errcode": 45009, "errmsg": "api freq out of limit"}'), "45009"),
        ("robot", Gateway(answer=b"<html>"), "<html>"),
    ],
)
def test_what_a_gateway_did_not_take_is_told(desk: Desk, by: str, gateway: Gateway, reason: str) -> None:
    with gateway.open():
        assert reason in desk.failed(gateway.text(by))


def test_a_gateway_that_is_down_is_told(desk: Desk) -> None:
    with Gateway().open() as gateway:
        text = gateway.text("webhook")

    assert "refused" in desk.failed(text)


# What arrived, and the process beside the work


def test_the_last_try_of_each_message_is_kept(tmp_path: Path) -> None:
    files = DeliveryFiles(tmp_path / "notifications")
    first, other = Delivery(4, "duty", builders.OPENS, "busy"), Delivery(4, "chat", builders.OPENS)
    for delivery in (first, other, Delivery(4, "duty", builders.OPENS)):
        files.remember("CHG-2026-0142", delivery)

    assert set(files.tried("CHG-2026-0142")) == {other, Delivery(4, "duty", builders.OPENS)}
    (tmp_path / "notifications" / "CHG-2026-0142.json").write_text("[{", encoding="utf-8")
    assert files.tried("CHG-2026-0142") == ()


def test_whoever_calls_waits_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], Mapping[str, Any]]] = []
    monkeypatch.setattr("subprocess.Popen", lambda command, **how: started.append((command, how)))
    monkeypatch.setenv("UPGRADER_KEY", "x")

    notify_beside(tmp_path / "clone", tmp_path / "state")

    ((command, how),) = started
    assert command[1:] == ["-m", "upgrader", "--site", f"{tmp_path}/clone", "--state", f"{tmp_path}/state", "notify"]
    assert how["start_new_session"]
    assert "UPGRADER_KEY" not in how["env"]
