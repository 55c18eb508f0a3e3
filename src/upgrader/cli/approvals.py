"""upgrader approvals CHANGE"""

import click

from upgrader import render
from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.errors import ExitCode
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("approvals", help=texts("cli.approvals.help"), short_help=texts("cli.approvals.short"))
    @change_argument()
    @pass_desk
    def approvals(desk: Desk, change: ChangeId) -> int:
        from upgrader.flow.approval.authorize import check_release_not_bad, examine

        site = desk.open()
        with examine(site, change) as examined:
            desk.say(*render.standing(examined.standing, examined.plan, examined.trust, desk.texts))
            desk.answer(render.standing_json(examined.standing))
            check_release_not_bad(site, examined)
            complete = examined.standing.is_complete
        desk.next("next.apply" if complete else "next.sign", change=change)
        return ExitCode.DONE if complete else ExitCode.REFUSED

    return approvals
