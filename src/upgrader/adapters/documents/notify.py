"""notify.yml: whom the controller tells of what, and how. It lies in the state folder, never in the repository:
what it names is run and called without anybody's signature, so whoever may write the branch must not write it.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated
from urllib.parse import urlsplit

from upgrader.adapters.documents.fields import Line
from upgrader.adapters.documents.models import Finding, Model, at_least_one, no_two_alike, reads, repeated
from upgrader.adapters.documents.reading import read_document
from upgrader.adapters.documents.values import matching, one_of, seconds, whole
from upgrader.domain.changes.notification import NotifierTerms, Topic, Way
from upgrader.domain.secret import SecretName


def read_notifiers(content: bytes, file: str) -> Mapping[str, NotifierTerms]:
    """Read a notify.yml. Raises BadInput `document-invalid` with everything that is wrong with it."""
    model = read_document(_Notify, content, file).model
    return {one.name: one.to_domain() for one in model.notifiers}


class _Notifier(Model):
    name: Annotated[str, reads(matching(r"[a-z][a-z0-9-]{0,39}", "duty-phone", str))]
    by: Annotated[Way, reads(one_of(Way))]
    run: tuple[Line, ...] = ()
    url: Annotated[str, reads(matching(r"https?://[^\s]{1,900}", "https://sms.example/send", str))] = ""
    secret: Annotated[str, reads(matching(r".+", "sms-token", SecretName))] = ""
    to: tuple[Line, ...] = ()
    about: Annotated[tuple[Annotated[Topic, reads(one_of(Topic))], ...], at_least_one(), no_two_alike()] = tuple(Topic)
    per_minute: Annotated[int, reads(whole(1, 600))] = 20
    timeout: Annotated[int, reads(seconds(1, 60))] = 10

    def findings(self) -> Iterator[Finding]:
        needed, other = ("run", "url") if self.by is Way.COMMAND else ("url", "run")
        if not getattr(self, needed):
            yield Finding((), "missing-key", {"key": needed})
        elif getattr(self, other):
            yield Finding((other,), "wrong-value", {"expected": f"{needed} ({self.by})", "found": other})
        if self.run and not self.run[0].startswith("/"):
            yield Finding(("run", 0), "wrong-form", {"expected": "/usr/local/bin/send-sms", "found": self.run[0]})
        if self.url and not _can_be_called(self.url):
            yield Finding(("url",), "wrong-form", {"expected": "https://sms.example/send", "found": self.url})

    def to_domain(self) -> NotifierTerms:
        return NotifierTerms(
            name=self.name,
            by=self.by,
            run=self.run,
            url=self.url,
            secret=self.secret,
            to=self.to,
            about=frozenset(self.about),
            per_minute=self.per_minute,
            timeout=self.timeout,
        )


class _Notify(Model):
    notifiers: Annotated[tuple[_Notifier, ...], at_least_one()]

    def findings(self) -> Iterator[Finding]:
        yield from repeated(("notifiers", n, "name", one.name) for n, one in enumerate(self.notifiers))


def _can_be_called(text: str) -> bool:
    """Whether it is an address without a name and password in it, and with a port that exists."""
    try:
        url = urlsplit(text)
        return bool(url.hostname) and url.port != 0 and url.username is None
    except ValueError:
        return False
