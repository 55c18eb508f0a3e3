"""upgrader accept CHANGE [--together]"""

import click

from upgrader import render
from upgrader.cli.arguments import change_argument, name_of
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.approval.trust import Row
from upgrader.domain.changes.lifecycle import State
from upgrader.domain.names import ChangeId, RoleId
from upgrader.flow.site import Site
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("accept", help=texts("cli.accept.help"), short_help=texts("cli.accept.short"))
    @change_argument()
    @click.option("--role", callback=name_of(RoleId), help=texts("cli.sign.role"))
    @click.option("--reason", default="", metavar="TEXT", help=texts("cli.option.reason"))
    @click.option("--together", is_flag=True, help=texts("cli.accept.together"))
    @click.option("--yes", is_flag=True, help=texts("cli.sign.yes"))
    @pass_desk
    def accept(desk: Desk, change: ChangeId, role: RoleId | None, reason: str, *, together: bool, yes: bool) -> None:
        from upgrader.cli.next_step import tell_next
        from upgrader.flow.closing.accept import accept_change
        from upgrader.flow.watching.status import read_change

        site = desk.open()
        if together:
            _accept_together(desk, site, change, role, reason, yes=yes)
            return
        desk.say(*render.change(change, read_change(site, change), desk.texts), "")
        if not yes:
            click.confirm(desk.texts("ask.accept", change=change, person=site.person), abort=True, err=True)
        accepted = accept_change(site, change, role, reason)
        desk.say(desk.texts("said.accepted", **render.plain_record(accepted.record)))
        desk.answer(render.record_json(accepted.record))
        if accepted.missing:
            desk.next("next.accept-more", change=change, missing=render.rows(accepted.missing))
        else:
            tell_next(desk, site, change, State.ACCEPTED)

    return accept


def _accept_together(desk: Desk, site: Site, change: ChangeId, role: RoleId | None, reason: str, *, yes: bool) -> None:
    """All results of one request are shown before the one question; then each is accepted by itself."""
    from upgrader.cli.next_step import tell_next
    from upgrader.flow.closing.together import accept_together, results_to_accept
    from upgrader.flow.watching.status import read_change

    changes = results_to_accept(site, change)
    for one in changes:
        desk.say(*render.change(one, read_change(site, one), desk.texts), "")
    if not yes:
        said = {"person": site.person, "count": len(changes), "changes": ", ".join(changes)}
        click.confirm(desk.texts("ask.accept-together", **said), abort=True, err=True)
    answers, missing = [], list[Row]()
    for one, accepted in accept_together(site, changes, role, reason):
        desk.say(desk.texts("said.accepted", **render.plain_record(accepted.record)))
        answers.append({"change": one, "record": render.plain_record(accepted.record)})
        missing += [row for row in accepted.missing if row not in missing]
    desk.answer({"format": "upgrader.accepted-together/1", "changes": answers})
    if missing:
        desk.next("next.accept-more-together", change=change, missing=render.rows(missing))
    else:
        tell_next(desk, site, change, State.ACCEPTED)
