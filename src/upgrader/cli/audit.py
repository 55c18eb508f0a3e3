"""upgrader audit CHANGE | --all"""

import click

from upgrader import render
from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.errors import ExitCode
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("audit", help=texts("cli.audit.help"), short_help=texts("cli.audit.short"))
    @change_argument(required=False)
    @click.option("--all", "everything", is_flag=True, help=texts("cli.audit.all"))
    @pass_desk
    def audit(desk: Desk, change: ChangeId | None, *, everything: bool) -> int:
        from upgrader.flow.closing.audit import audit_all, audit_change

        if everything == (change is not None):
            raise click.UsageError(texts("cli.audit.which"))
        site = desk.open()
        audited = [audit_change(site, change)] if change is not None else audit_all(site)
        holds = all(one.holds for one in audited)
        for one in audited:
            desk.say(*render.audited(one, site.time_zone, desk.texts))
        desk.say(desk.texts("audit.all-hold" if holds else "audit.not-all-hold", count=len(audited)))
        desk.answer(render.audited_json(audited))
        if not holds:
            desk.next("next.audit-differs")
        return ExitCode.DONE if holds else ExitCode.INTEGRITY

    return audit
