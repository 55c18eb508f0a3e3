"""The command line: parse, call a verb of the flow, render, exit code. One file per verb or pair of verbs.

A verb's module is imported when the verb is called, so `upgrader --help` stays fast.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from upgrader import __version__
from upgrader.language import Texts

# The verbs in the order of a change's life, and the module that has each. Reading this is reading the whole command.
VERBS: Mapping[str, str] = {
    "init": "init",
    "trust": "trust",
    "doctor": "doctor",
    "systems": "systems",
    "stage": "stage",
    "record": "record",
    "calendar": "calendar",
    "request": "request",
    "plan": "plan",
    "form": "form",
    "dry-run": "dry_run",
    "sign": "sign",
    "approvals": "approvals",
    "prestage": "prestage",
    "schedule": "schedule",
    "serve": "serve",
    "apply": "apply",
    "debts": "debts",
    "status": "status",
    "notify": "notify",
    "locks": "locks",
    "host-state": "host_state",
    "watch": "watch",
    "soak": "soak",
    "pause": "pause",
    "resume": "resume",
    "abort": "abort",
    "stop": "stop",
    "rollback": "rollback",
    "known-bad": "known_bad",
    "accept": "accept",
    "exception": "exception",
    "pending": "pending",
    "retry": "retry",
    "check-in": "check_in",
    "close": "close",
    "cancel": "cancel",
    "export": "export",
    "evidence": "evidence",
    "audit": "audit",
    "inspect": "inspect",
    "lab": "lab",
    "demo": "demo",
    "completion": "completion",
}


class Verbs(click.Group):
    """A group whose commands are imported when they are asked for."""

    def __init__(self, texts: Texts, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._texts = texts

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: click.Command = import_module(f"upgrader.cli.{VERBS[name]}").command(self._texts)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was typed; one that is nearly another is told which."""
        close = get_close_matches(args[0], VERBS, n=1) if args[0] not in VERBS else []
        if close and not ctx.resilient_parsing:
            raise click.UsageError(self._texts("cli.nearly", typed=args[0], close=close[0]), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, self._texts(f"cli.{name}.short")) for name in VERBS]
        with formatter.section(self._texts("cli.verbs")):
            formatter.write_dl(rows)


def build(texts: Texts) -> click.Group:
    """The whole command line in one language."""
    options: list[click.Parameter] = [
        click.Option(["--site"], type=click.Path(file_okay=False), help=texts("cli.option.site")),
        click.Option(["--state"], type=click.Path(file_okay=False), help=texts("cli.option.state")),
        click.Option(["--as", "person"], metavar="PERSON", help=texts("cli.option.as")),
        click.Option(["--key"], type=click.Path(dir_okay=False), help=texts("cli.option.key")),
        click.Option(["--lang"], type=click.Choice(["zh", "en"]), help=texts("cli.option.lang"), expose_value=False),
        click.Option(["--json", "as_json"], is_flag=True, help=texts("cli.option.json")),
    ]
    group = Verbs(texts, name="upgrader", help=texts("cli.help"), params=options, callback=_open(texts))
    return click.version_option(__version__, prog_name="upgrader")(group)


def _open(texts: Texts) -> Any:
    @click.pass_context
    def open_desk(
        ctx: click.Context, site: str | None, state: str | None, person: str | None, key: str | None, *, as_json: bool
    ) -> None:
        from upgrader.cli.desk import Desk

        ctx.obj = Desk(texts, site, state, person, key, as_json)

    return open_desk
