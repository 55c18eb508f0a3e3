"""upgrader plan CHANGE [--diff] [--together]"""

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
    @click.option("--together", is_flag=True, help=texts("cli.plan.together"))
    @pass_desk
    def plan(desk: Desk, change: ChangeId, *, diff: bool, together: bool) -> None:
        if together:
            if diff:
                raise click.UsageError(desk.texts("cli.plan.together-diff"))
            _plan_together(desk, change)
            return
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


def _plan_together(desk: Desk, change: ChangeId) -> None:
    """All changes of one request, each with its own plan."""
    from upgrader.flow.planning.together import plan_together

    plans = []
    for planned in plan_together(desk.open(), change, desk.progress):
        desk.say(*render.plan(planned.plan, desk.texts), "")
        plans.append(planned.plan)
    desk.answer({"format": "upgrader.planned-together/1", "plans": [render.plan_json(plan) for plan in plans]})
    desk.next("next.sign-together", change=plans[0].change)
