"""upgrader cancel CHANGE --reason TEXT"""

import click

from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("cancel", help=texts("cli.cancel.help"), short_help=texts("cli.cancel.short"))
    @change_argument()
    @click.option("--reason", required=True, metavar="TEXT", help=texts("cli.option.reason"))
    @pass_desk
    def cancel(desk: Desk, change: ChangeId, reason: str) -> None:
        from upgrader.flow.applying.cancel import cancel_change

        state = cancel_change(desk.open(), change, reason)
        desk.say(desk.texts("said.cancelled", change=change))
        desk.answer({"format": "upgrader.cancelled/1", "change": change, "state": state})

    return cancel
