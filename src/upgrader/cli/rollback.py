"""upgrader rollback CHANGE --reason TEXT [--together]"""

import click

from upgrader import render
from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.errors import ExitCode
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("rollback", help=texts("cli.rollback.help"), short_help=texts("cli.rollback.short"))
    @change_argument()
    @click.option("--reason", required=True, metavar="TEXT", help=texts("cli.option.reason"))
    @click.option("--together", is_flag=True, help=texts("cli.rollback.together"))
    @pass_desk
    def rollback(desk: Desk, change: ChangeId, reason: str, *, together: bool) -> int:
        from upgrader.cli.next_step import tell_next, told_of_the_others
        from upgrader.flow.applying.joint import roll_back_joint, roll_back_together

        site = desk.open()
        with told_of_the_others(desk, site, change):
            take_back = roll_back_together if together else roll_back_joint
            taken = take_back(site, change, reason, desk.progress)
        told = taken.of or change
        desk.say(*render.change(told, taken.change, desk.texts, because=taken.because))
        desk.answer(render.change_json(told, taken.change, exit_code=taken.exit_code))
        tell_next(desk, site, change, taken.change.state)
        return ExitCode.DONE if taken.exit_code is ExitCode.ROLLED_BACK else taken.exit_code

    return rollback
