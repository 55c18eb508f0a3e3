"""upgrader check-in --host NAME"""

import click

from upgrader.cli.arguments import name_of
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain import plain
from upgrader.domain.names import HostName
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("check-in", help=texts("cli.check-in.help"), short_help=texts("cli.check-in.short"))
    @click.option("--host", required=True, callback=name_of(HostName), help=texts("cli.check-in.host"))
    @pass_desk
    def check_in(desk: Desk, host: HostName) -> None:
        from upgrader.flow.service.check_in import check_in

        at = check_in(desk.open(), host)
        desk.say(desk.texts("said.checked-in", host=host))
        desk.answer({"format": "upgrader.checked-in/1", "host": host, "at": plain.to_plain(at)})

    return check_in
