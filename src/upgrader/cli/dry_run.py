"""upgrader dry-run CHANGE [--all]"""

import click

from upgrader import render
from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.errors import ExitCode
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("dry-run", help=texts("cli.dry-run.help"), short_help=texts("cli.dry-run.short"))
    @change_argument()
    @click.option("--all", "all_rows", is_flag=True, help=texts("cli.dry-run.all"))
    @pass_desk
    def dry_run(desk: Desk, change: ChangeId, *, all_rows: bool) -> ExitCode:
        from upgrader.flow.planning.dry_run import dry_run as run_dry

        told = run_dry(desk.open(), change, desk.progress)
        desk.say(*render.dry_run(told, desk.texts, all_rows=all_rows))
        desk.answer(render.dry_run_json(told))
        if told.exit_code is ExitCode.DONE:
            desk.next("next.sign", change=change)
        else:
            desk.next("next.plan-anew", change=change)
        return told.exit_code

    return dry_run
