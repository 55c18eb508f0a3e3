"""upgrader sign CHANGE [approve|reject|withdraw]"""

import click

from upgrader import render
from upgrader.cli.arguments import change_argument, name_of
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import ChangeId, RoleId
from upgrader.domain.record import Decision
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("sign", help=texts("cli.sign.help"), short_help=texts("cli.sign.short"))
    @change_argument()
    @click.argument("decision", type=click.Choice([choice.value for choice in Decision]), default="approve")
    @click.option("--role", callback=name_of(RoleId), help=texts("cli.sign.role"))
    @click.option("--reason", default="", metavar="TEXT", help=texts("cli.option.reason"))
    @click.option("--yes", is_flag=True, help=texts("cli.sign.yes"))
    @pass_desk
    def sign(desk: Desk, change: ChangeId, decision: str, role: RoleId | None, reason: str, *, yes: bool) -> None:
        from upgrader.flow.sign import Word, plan_to_sign
        from upgrader.flow.sign import sign as sign_plan

        site = desk.open()
        plan = plan_to_sign(site, change)
        desk.say(*render.plan(plan, desk.texts), "")
        if not yes:
            question = desk.texts(f"ask.{decision}", change=change, digest=plan.digest.short, person=site.person)
            click.confirm(question, abort=True, err=True)
        record = sign_plan(site, plan, Word(Decision(decision), role, reason))
        desk.say(desk.texts("said.signed", **render.plain_record(record)))
        desk.answer(render.record_json(record))
        desk.next("next.approvals", change=change)

    return sign
