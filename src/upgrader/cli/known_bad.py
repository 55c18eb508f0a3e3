"""upgrader known-bad add|unblock|list"""

from collections.abc import Callable
from typing import Any

import click

from upgrader import render
from upgrader.cli.arguments import name_of
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import RoleId, SystemId, Version
from upgrader.language import Texts

Wrap = Callable[[Any], Any]


def command(texts: Texts) -> click.Command:
    group = click.Group("known-bad", help=texts("cli.known-bad.help"), short_help=texts("cli.known-bad.short"))
    system = click.argument("system", callback=name_of(SystemId))
    version = click.argument("version", callback=name_of(Version))
    reason = click.option("--reason", required=True, metavar="TEXT", help=texts("cli.option.reason"))
    role = click.option("--role", callback=name_of(RoleId), help=texts("cli.known-bad.role"))

    @group.command("add", help=texts("cli.known-bad.add"))
    @system
    @version
    @reason
    @role
    @pass_desk
    def add(desk: Desk, system: SystemId, version: Version, reason: str, role: RoleId | None) -> None:
        from upgrader.flow.releases.known_bad import block_release

        marked = block_release(desk.open(), system, version, reason, role)
        desk.say(desk.texts("said.blocked", system=system, version=version, person=marked.records[0].person))
        desk.answer(render.known_bad_json(marked.standings))
        desk.next("next.unblock", system=system, version=version)

    @group.command("unblock", help=texts("cli.known-bad.unblock"))
    @system
    @version
    @reason
    @role
    @pass_desk
    def unblock(desk: Desk, system: SystemId, version: Version, reason: str, role: RoleId | None) -> None:
        from upgrader.flow.releases.known_bad import unblock_release

        marked = unblock_release(desk.open(), system, version, reason, role)
        lifted = all(standing.is_lifted for standing in marked.standings)
        key = "said.unblocked" if lifted else "said.unblock-signed"
        desk.say(desk.texts(key, system=system, version=version, person=marked.records[0].person))
        desk.say(*render.known_bad(marked.standings, desk.texts))
        desk.answer(render.known_bad_json(marked.standings))
        if lifted:
            desk.next("next.request", system=system, version=version)
        else:
            desk.next("next.unblock", system=system, version=version)

    @group.command("list", help=texts("cli.known-bad.list"))
    @pass_desk
    def show(desk: Desk) -> None:
        from upgrader.flow.releases.known_bad import known_bad

        standings = known_bad(desk.open())
        desk.say(*render.known_bad(standings, desk.texts))
        desk.answer(render.known_bad_json(standings))

    return group
