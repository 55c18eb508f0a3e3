"""upgrader abort CHANGE --reason TEXT"""

import click

from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("abort", help=texts("cli.abort.help"), short_help=texts("cli.abort.short"))
    @change_argument()
    @click.option("--reason", required=True, metavar="TEXT", help=texts("cli.option.reason"))
    @pass_desk
    def abort(desk: Desk, change: ChangeId, reason: str) -> int:
        from upgrader.flow.applying.abort import abort_change

        aborted = abort_change(desk.open(), change, reason, desk.progress)
        key = "said.abort-asked" if aborted.asked else "said.aborted"
        desk.say(desk.texts(key, change=change, state=desk.texts(f"state.{aborted.state}")))
        desk.answer({"format": "upgrader.aborted/1", "change": change, "state": aborted.state, "asked": aborted.asked})
        if aborted.asked:
            desk.next("next.watch", change=change)
        else:
            desk.next(f"next.after.{aborted.state}", change=change)
        return aborted.exit_code

    return abort
