"""upgrader debts"""

import click

from upgrader import render
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.errors import ExitCode
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("debts", help=texts("cli.debts.help"), short_help=texts("cli.debts.short"))
    @pass_desk
    def debts(desk: Desk) -> int:
        from upgrader.flow.approval.debts import debts as all_debts
        from upgrader.flow.approval.debts import standing_of

        site = desk.open()
        standings = [standing_of(site, debt) for debt in all_debts(site)]
        trust, now = site.trust.load(), site.clock()
        desk.say(*render.debts(standings, trust, now, site.time_zone, desk.texts))
        desk.answer(render.debts_json(standings, now))
        owing = [standing.debt for standing in standings if not standing.is_paid]
        if owing:
            desk.next("next.debt", change=owing[0].change)
        return ExitCode.REFUSED if any(debt.is_overdue(now) for debt in owing) else ExitCode.DONE

    return debts
