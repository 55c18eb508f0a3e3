"""A person's desk: the language they read, where their site is, who they are, and how they want the answer."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.errors import UpgraderError
from upgrader.flow.site import Site
from upgrader.language import Texts


@dataclass(frozen=True, slots=True)
class Desk:
    texts: Texts
    site_folder: str | None
    state: str | None
    person: str | None
    key: str | None
    as_json: bool

    def open(self) -> Site:
        """The site that the person stands in. Raises PreflightFailed `site-not-found` with what to do."""
        site = self.open_quietly()
        self.texts.learn("role", lambda: _role_names(site, self.texts))
        self._tell_of_debts(site)
        return site

    def open_quietly(self) -> Site:
        """The same site, opened anew, with nothing said."""
        from upgrader.app import Choices, open_site

        folder = self.site_folder or os.environ.get("UPGRADER_SITE")
        return open_site(Choices(Path(folder) if folder else Path.cwd(), self.state, self.person, self.key))

    def _tell_of_debts(self, site: Site) -> None:
        """Every command says it, on stderr, while an emergency owes its signatures and they are due."""
        if not site.journals.unclosed_with(Event.DEBT_OPENED):  # nearly always; then nothing more is read
            return
        from upgrader.flow.approval.debts import overdue

        try:
            late = [str(debt.change) for debt in overdue(site)]
        except UpgraderError:  # a damaged journal is told by the verb that needs it
            return
        if late:
            click.echo(f"! {self.texts('debt.notice', changes=late)}", err=True)

    def say(self, *parts: Any) -> None:
        """People's text, to stdout; silent with --json, or if there is none. Parts are texts or what rich can draw."""
        if self.as_json or not parts:
            return
        if all(isinstance(part, str) for part in parts):  # nearly always, and rich takes longer to import than to draw
            click.echo("\n".join(parts))
        else:
            self._console(sys.stdout).print(*parts, sep="\n")

    def answer(self, value: Mapping[str, Any]) -> None:
        """The one versioned object of --json, to stdout; silent without it."""
        if self.as_json:
            click.echo(json.dumps(value, ensure_ascii=False, indent=2))

    def warn(self, *lines: str) -> None:
        """What a person should not overlook, to stderr; with --json the answer says it."""
        if not self.as_json:
            click.echo("\n".join(lines), err=True)

    def progress(self, key: str, fields: Mapping[str, object]) -> None:
        """One line of progress to stderr, for keys that have a text."""
        if self.texts.has(key):
            click.echo(f"  {self.texts(key, **fields)}", err=True)

    def line(self, text: str, value: Mapping[str, Any]) -> None:
        """One line of a service, to stdout: for people, or with --json an object on one line."""
        click.echo(json.dumps(value, ensure_ascii=False) if self.as_json else text)

    def next(self, key: str, **fields: object) -> None:
        """The next step, last, in people's text."""
        self.say(f"{self.texts('cli.next')}: {self.texts(key, **fields)}")

    def _console(self, stream: Any) -> Any:
        from rich.console import Console

        return Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)


def _role_names(site: Site, texts: Texts) -> Mapping[str, str]:
    """What the hospital calls its roles; nothing where there is no trust file to read: then their ids are shown."""
    try:
        roles = site.trust.load().roles
    except UpgraderError:
        return {}
    return {id: role.name.get(texts.language, id) for id, role in roles.items()}


pass_desk = click.make_pass_decorator(Desk)
