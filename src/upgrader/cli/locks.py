"""upgrader locks"""

import click

from upgrader import render
from upgrader.cli.desk import Desk, pass_desk
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("locks", help=texts("cli.locks.help"), short_help=texts("cli.locks.short"))
    @pass_desk
    def locks(desk: Desk) -> None:
        held = desk.open().locks.list_held()
        desk.say(*render.locks(held, desk.texts))
        desk.answer(render.locks_json(held))

    return locks
