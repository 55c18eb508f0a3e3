"""upgrader apply CHANGE"""

import click

from upgrader import render
from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("apply", help=texts("cli.apply.help"), short_help=texts("cli.apply.short"))
    @change_argument()
    @pass_desk
    def apply(desk: Desk, change: ChangeId) -> int:
        from upgrader.cli.next_step import tell_next, told_of_the_others
        from upgrader.flow.applying.joint import apply_joint

        site = desk.open()
        with told_of_the_others(desk, site, change):
            applied = apply_joint(site, change, desk.progress)
        told = applied.of or change
        desk.say(*render.change(told, applied.change, desk.texts, because=applied.because))
        desk.answer(render.change_json(told, applied.change, exit_code=applied.exit_code))
        tell_next(desk, site, change, applied.change.state)
        return applied.exit_code

    return apply
