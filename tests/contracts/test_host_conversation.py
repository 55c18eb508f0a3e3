"""Several calls over one connection: exactly the promised bytes are taken, and every call ends with its answer."""

import json
import runpy
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from contracts.sh_host import REPOSITORY, Build, ShHost, make_build, whole_script

PLUGIN = REPOSITORY / "collections/ansible_collections/upgrader/host/plugins/plugin_utils/conversation.py"
COMMAND = runpy.run_path(str(PLUGIN))["COMMAND"]


class Talk:
    """What the controller says and hears."""

    def __init__(self, to_host: IO[bytes], from_host: IO[bytes]) -> None:
        self._to_host, self._from_host = to_host, from_host

    def say(self, words: bytes) -> None:
        self._to_host.write(words)
        self._to_host.flush()

    def hear(self) -> dict[str, Any]:
        """The next answer; empty when the host says no more."""
        line = self._from_host.readline()
        return json.loads(line) if line else {}


@contextmanager
def conversation(host: ShHost, build: Build, verb: str = "apply") -> Iterator[Talk]:
    text = whole_script().partition("#:call\n")[0]
    text += f"#:call\nconverse {verb} <<'UPGRADER_INPUTS'\n{host.lines(build)}UPGRADER_INPUTS\n"
    words = [host.shell, "-c", COMMAND.replace("BYTES", str(len(text.encode())))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=host.environment) as process:
        assert process.stdin
        assert process.stdout
        talk = Talk(process.stdin, process.stdout)
        talk.say(text.encode())
        yield talk
        process.stdin.close()


def test_one_connection_brings_applies_and_confirms(host: ShHost, old: Build, tmp_path: Path) -> None:
    new = make_build(tmp_path, "2.0", data=b"call confirm 0\n" * 20_000)  # what is sent is never taken for a call
    with conversation(host, new) as talk:
        wrong_base = talk.hear()
    assert (wrong_base["outcome"], wrong_base["step"]) == ("failed", "base")

    host.extra = "base=1.0\n"
    with conversation(host, new) as talk:
        asked = talk.hear()
        talk.say(f"take {new.size} {asked['upload']}.0.part\n".encode() + new.path.read_bytes() + b"call apply 0\n")
        applied = talk.hear()
        talk.say(b"call confirm 0\n")
        confirmed = talk.hear()

    assert (asked["need"], asked["stream"]) == ("build", "yes")
    assert (applied["outcome"], applied["current"], applied["pending"] != "") == ("upgraded", "2.0", True)
    assert (confirmed["outcome"], confirmed["pending"]) == ("upgraded", "")
    assert host.facts[-1] == "confirmed"


def test_between_two_calls_no_lock_is_held(host: ShHost, old: Build, tmp_path: Path) -> None:
    host.extra = "base=1.0\n"
    with conversation(host, make_build(tmp_path, "2.0")) as talk:
        assert talk.hear()["need"] == "build"
        assert not (host.state / "lock").is_symlink()


def test_a_build_that_cannot_be_written_is_answered_and_nothing_of_it_stays(
    host: ShHost, old: Build, tmp_path: Path
) -> None:
    host.extra = "base=1.0\n"
    new = make_build(tmp_path, "2.0")
    with conversation(host, new) as talk:
        talk.hear()
        talk.say(f"take {new.size} {tmp_path}/nowhere/x\n".encode() + new.path.read_bytes())
        answer, after = talk.hear(), talk.hear()

    assert (answer["outcome"], answer["step"], answer["changed"]) == ("failed", "receive", False)
    assert after == {}
    assert host.current == "1.0"


def test_a_conversation_that_is_cut_leaves_what_came(host: ShHost, old: Build, tmp_path: Path) -> None:
    host.extra = "base=1.0\n"
    new = make_build(tmp_path, "2.0", data=bytes(range(256)) * 100)
    with conversation(host, new) as talk:
        upload = talk.hear()["upload"]
        talk.say(f"take {new.size} {upload}.0.part\n".encode() + new.path.read_bytes()[:1000])

    with conversation(host, new) as talk:
        again = talk.hear()

    assert again["have"] == 1000


@pytest.mark.parametrize("host", ["dash"], indirect=True)  # busybox takes its own dd before any other
def test_without_a_dd_that_counts_bytes_the_build_comes_another_way(host: ShHost, old: Build, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "dd").write_text('#!/bin/sh\ncase $* in *iflag*) exit 1 ;; esac\nexec /usr/bin/dd "$@"\n')
    (programs / "dd").chmod(0o755)
    host.path = f"{programs}:{host.path}"
    host.extra = "base=1.0\n"
    with conversation(host, make_build(tmp_path, "2.0")) as talk:
        asked = talk.hear()

    assert asked["need"] == "build"
    assert asked["stream"] == ""
