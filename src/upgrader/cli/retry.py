"""upgrader retry CHANGE"""

import click

from upgrader import render
from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("retry", help=texts("cli.retry.help"), short_help=texts("cli.retry.short"))
    @change_argument()
    @click.option("--look", is_flag=True, help=texts("cli.retry.look"))
    @pass_desk
    def retry(desk: Desk, change: ChangeId, *, look: bool) -> int:
        from upgrader.flow.applying.retry_pending import retry_pending

        retried = retry_pending(desk.open(), change, desk.progress, look=look)
        desk.say(*render.retried(change, retried, desk.texts))
        desk.answer(render.retried_json(change, retried))
        if retried.waiting:
            desk.next("next.pending")
        return retried.exit_code

    return retry
