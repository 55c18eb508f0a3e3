"""upgrader soak CHANGE [--once]"""

import click

from upgrader import render
from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("soak", help=texts("cli.soak.help"), short_help=texts("cli.soak.short"))
    @change_argument()
    @click.option("--once", is_flag=True, help=texts("cli.soak.once"))
    @click.option("--again", is_flag=True, help=texts("cli.soak.again"))
    @pass_desk
    def soak(desk: Desk, change: ChangeId, *, once: bool, again: bool) -> int:
        from upgrader.cli.next_step import tell_next
        from upgrader.flow.closing.soak import soak_change

        site = desk.open()
        soaked = soak_change(site, change, desk.progress, wait=not once, again=again)
        desk.say(*render.soaked(change, soaked, desk.texts))
        desk.answer(render.soaked_json(change, soaked))
        tell_next(desk, site, change, soaked.change.state)
        return soaked.exit_code

    return soak
