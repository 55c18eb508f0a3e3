"""upgrader pause CHANGE --reason TEXT"""

import click

from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("pause", help=texts("cli.pause.help"), short_help=texts("cli.pause.short"))
    @change_argument()
    @click.option("--reason", required=True, metavar="TEXT", help=texts("cli.option.reason"))
    @pass_desk
    def pause(desk: Desk, change: ChangeId, reason: str) -> None:
        from upgrader.flow.applying.pause import pause_change

        asked = pause_change(desk.open(), change, reason)
        key = "said.paused" if asked.noted else "said.pause-asked"
        desk.say(desk.texts(key, change=change, person=asked.brake.person))
        desk.answer({"format": "upgrader.paused/1", "change": change, "noted": asked.noted})
        desk.next("next.paused", change=change)

    return pause
