"""upgrader prestage CHANGE"""

import click

from upgrader import render
from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("prestage", help=texts("cli.prestage.help"), short_help=texts("cli.prestage.short"))
    @change_argument()
    @pass_desk
    def prestage(desk: Desk, change: ChangeId) -> int:
        from upgrader.flow.applying.prestage import prestage_change

        prestaged = prestage_change(desk.open(), change, desk.progress)
        desk.say(*render.prestaged(change, prestaged, desk.texts))
        desk.answer(render.prestaged_json(change, prestaged))
        desk.next("next.prestaged", change=change)
        return prestaged.exit_code

    return prestage
