"""A program of the site that brings messages: the message as JSON on standard input, delivered when it exits with 0."""

import os
import signal
import subprocess

from upgrader.adapters.notifiers.message import Message
from upgrader.domain.changes.notification import NotifierTerms
from upgrader.domain.errors import PreflightFailed

PASSED_ON = ("PATH", "HOME", "LANG", "TZ")


def call_command(terms: NotifierTerms, message: Message, secret: str) -> None:
    """Run it, and stop it with all its children at its limit. A secret is its first line of input, before the JSON.

    Raises PreflightFailed `notification-not-delivered`.
    """
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    given = (f"{secret}\n".encode() if secret else b"") + message.body + b"\n"
    try:
        process = subprocess.Popen(
            terms.run,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise _failed(terms, error.strerror or "-") from error
    with process:
        try:
            _, told = process.communicate(given, terms.timeout)
        except subprocess.TimeoutExpired as error:
            raise _failed(terms, f"not ended after {terms.timeout} s") from error
        finally:
            _end_all(process)
    if process.returncode:
        lines = told.decode("utf-8", errors="replace").strip().splitlines()
        raise _failed(terms, f"exit status {process.returncode}: {lines[-1] if lines else '-'}")


def _end_all(process: "subprocess.Popen[bytes]") -> None:
    """End the program and whatever it started; nobody is left where all have ended."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _failed(terms: NotifierTerms, reason: str) -> PreflightFailed:
    return PreflightFailed("notification-not-delivered", notifier=terms.name, reason=reason[:200])
