"""Notifiers: one file for each way in which a message leaves, and who wants which, as notify.yml says."""

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from upgrader.adapters import documents
from upgrader.adapters.notifiers.command import call_command
from upgrader.adapters.notifiers.message import Message, message_of
from upgrader.adapters.notifiers.webhook import call_robot, call_webhook
from upgrader.domain.changes.notification import Notification, NotifierTerms, Topic, Way
from upgrader.domain.errors import Refused
from upgrader.domain.names import SiteId
from upgrader.ports import Secrets

LARGEST = 64 * 1024
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

# Reading this dict is reading the whole plugin system. Each raises PreflightFailed `notification-not-delivered`.
WAYS: Mapping[Way, Callable[[NotifierTerms, Message, str], None]] = {
    Way.COMMAND: call_command,
    Way.WEBHOOK: call_webhook,
    Way.ROBOT: call_robot,
}


class Notifiers:
    """Those of one site. Nobody is told anything where there is no file."""

    def __init__(self, file: Path, site: SiteId, secrets: Secrets) -> None:
        self._file = file
        self._site = site
        self._secrets = secrets

    def who_wants(self, topic: Topic) -> Sequence[str]:
        """The notifiers for a topic. Raises BadInput for a wrong notify.yml, Refused for one that others may write."""
        return [name for name, terms in self._terms.items() if topic in terms.about]

    def pause(self, name: str) -> float:
        """How many seconds lie between two messages to one notifier."""
        return 60 / self._terms[name].per_minute

    def names(self) -> Sequence[str]:
        return tuple(self._terms)

    def send(self, name: str, notification: Notification, words: Mapping[str, str]) -> None:
        """Bring one message. Raises PreflightFailed `notification-not-delivered`, and what secrets raise."""
        terms = self._terms[name]
        secret = self._secrets.read([terms.secret])[terms.secret] if terms.secret else ""
        WAYS[terms.by](terms, message_of(self._site, notification, words, terms.to), secret)

    @cached_property
    def _terms(self) -> Mapping[str, NotifierTerms]:
        content = _read(self._file)
        return {} if content is None else documents.read_notifiers(content, str(self._file))


def _read(file: Path) -> bytes | None:
    """A file that only its owner may have written; None where there is none."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused("notifiers-file-mode", file=file, found=error.strerror) from error
    with os.fdopen(descriptor, "rb") as opened:
        found = os.fstat(descriptor)
        ours = stat.S_ISREG(found.st_mode) and found.st_uid in (0, os.geteuid())
        if not ours or found.st_mode & OTHERS_WRITE:
            told = f"mode {stat.S_IMODE(found.st_mode):04o}, owner {found.st_uid}"
            raise Refused("notifiers-file-mode", file=file, found=told)
        return opened.read(LARGEST)
