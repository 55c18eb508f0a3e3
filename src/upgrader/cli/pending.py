"""upgrader pending"""

import click

from upgrader import render
from upgrader.cli.desk import Desk, pass_desk
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("pending", help=texts("cli.pending.help"), short_help=texts("cli.pending.short"))
    @pass_desk
    def pending(desk: Desk) -> None:
        from upgrader.flow.watching.pending import read_pending

        site = desk.open()
        found = read_pending(site)
        desk.say(*render.pending(found, site.time_zone, desk.texts))
        desk.answer(render.pending_json(found))
        unowned = next((one for one in found if one.exception is None), None)
        if unowned:
            desk.next("next.except", change=unowned.change, hosts=unowned.host)
        elif found:
            desk.next("next.settle", change=found[0].change, host=found[0].host)

    return pending
