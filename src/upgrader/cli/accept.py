"""upgrader accept CHANGE"""

import click

from upgrader import render
from upgrader.cli.arguments import change_argument, name_of
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import ChangeId, RoleId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("accept", help=texts("cli.accept.help"), short_help=texts("cli.accept.short"))
    @change_argument()
    @click.option("--role", callback=name_of(RoleId), help=texts("cli.sign.role"))
    @click.option("--reason", default="", metavar="TEXT", help=texts("cli.option.reason"))
    @click.option("--yes", is_flag=True, help=texts("cli.sign.yes"))
    @pass_desk
    def accept(desk: Desk, change: ChangeId, role: RoleId | None, reason: str, *, yes: bool) -> None:
        from upgrader.flow.closing.accept import accept_change
        from upgrader.flow.watching.status import read_change

        site = desk.open()
        desk.say(*render.change(change, read_change(site, change), desk.texts), "")
        if not yes:
            click.confirm(desk.texts("ask.accept", change=change, person=site.person), abort=True, err=True)
        accepted = accept_change(site, change, role, reason)
        desk.say(desk.texts("said.accepted", **render.plain_record(accepted.record)))
        desk.answer(render.record_json(accepted.record))
        if accepted.missing:
            desk.next("next.accept-more", change=change, missing=render.rows(accepted.missing))
        else:
            desk.next("next.after.accepted", change=change)

    return accept
