"""upgrader apply CHANGE [--leave-rest WHY]"""

import click

from upgrader import render
from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("apply", help=texts("cli.apply.help"), short_help=texts("cli.apply.short"))
    @change_argument()
    @click.option("--leave-rest", metavar="TEXT", help=texts("cli.apply.leave-rest"))
    @pass_desk
    def apply(desk: Desk, change: ChangeId, leave_rest: str | None) -> int:
        from upgrader.cli.next_step import tell_next, told_of_the_others
        from upgrader.flow.applying import leave_rest as leaving
        from upgrader.flow.applying.joint import apply_joint

        site = desk.open()
        with told_of_the_others(desk, site, change):
            if leave_rest is None:
                applied = apply_joint(site, change, desk.progress)
            else:
                applied = leaving.leave_rest(site, change, leave_rest, desk.progress)
        told = applied.of or change
        desk.say(*render.change(told, applied.change, desk.texts, because=applied.because))
        desk.answer(render.change_json(told, applied.change, exit_code=applied.exit_code))
        tell_next(desk, site, change, applied.change.state)
        return applied.exit_code

    return apply
