"""upgrader resume CHANGE --reason TEXT"""

import click

from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("resume", help=texts("cli.resume.help"), short_help=texts("cli.resume.short"))
    @change_argument()
    @click.option("--reason", required=True, metavar="TEXT", help=texts("cli.option.reason"))
    @pass_desk
    def resume(desk: Desk, change: ChangeId, reason: str) -> None:
        from upgrader.flow.applying.pause import resume_change

        asked = resume_change(desk.open(), change, reason)
        desk.say(desk.texts("said.resumed" if asked.noted else "said.resume-asked", change=change))
        desk.answer({"format": "upgrader.resumed/1", "change": change, "noted": asked.noted})
        desk.next("next.resumed", change=change)

    return resume
