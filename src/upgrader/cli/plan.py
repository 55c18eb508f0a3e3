"""upgrader plan CHANGE [--diff]"""

import click

from upgrader import render
from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("plan", help=texts("cli.plan.help"), short_help=texts("cli.plan.short"))
    @change_argument()
    @click.option("--diff", is_flag=True, help=texts("cli.plan.diff"))
    @pass_desk
    def plan(desk: Desk, change: ChangeId, *, diff: bool) -> None:
        from upgrader.flow.planning.calendar import foresee
        from upgrader.flow.planning.forecast import outlook
        from upgrader.flow.planning.plan import plan_change

        site = desk.open()
        planned = plan_change(site, change, desk.progress, publish=not diff)
        expected = outlook(site, planned.plan)
        desk.say(*render.plan(planned.plan, desk.texts))
        desk.say(*render.outlook(expected, planned.plan.window.zone, desk.texts))
        if (answer := foresee(site, planned.plan)) is not None:
            desk.say(*render.foreseen(answer, desk.texts))
        if diff:
            desk.say("", *(planned.diff() or [desk.texts("said.plan-same")]))
        desk.answer({**render.plan_json(planned.plan), "forecast": render.outlook_json(expected)})
        if not diff:
            desk.next("next.form" if planned.plan.release.correction is None else "next.dry-run", change=change)

    return plan
