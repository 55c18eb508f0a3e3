"""upgrader schedule CHANGE, schedule list, schedule withdraw CHANGE"""

import click

from upgrader import render
from upgrader.cli import arguments
from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


class Schedule(click.Group):
    """`schedule CHANGE` is short for `schedule add CHANGE`: no change is called like a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if known else ["add", *args] if args else ["list"])


def command(texts: Texts) -> click.Group:
    group = Schedule("schedule", help=texts("cli.schedule.help"), short_help=texts("cli.schedule.short"))
    group.add_command(_add(texts))
    group.add_command(_list(texts))
    group.add_command(_withdraw(texts))
    return group


def _add(texts: Texts) -> click.Command:
    @click.command("add", help=texts("cli.schedule.help"), short_help=texts("cli.schedule.add"))
    @change_argument()
    @click.option("--at", metavar="TIME", help=texts("cli.schedule.at"))
    @click.option("--expires", metavar="TIME", help=texts("cli.schedule.expires"))
    @pass_desk
    def add(desk: Desk, change: ChangeId, at: str | None, expires: str | None) -> None:
        from upgrader.flow.service.schedule import schedule_change

        site = desk.open()
        starts = arguments.moment(at, site.time_zone, site.clock()) if at else None
        until = arguments.moment(expires, site.time_zone, starts or site.clock()) if expires else None
        ordered = schedule_change(site, change, at=starts, expires=until)
        desk.say(*render.ordered(ordered, desk.texts))
        desk.answer(render.ordered_json(ordered))
        desk.next("next.after.scheduled", change=change)

    return add


def _list(texts: Texts) -> click.Command:
    @click.command("list", help=texts("cli.schedule.list"), short_help=texts("cli.schedule.list"))
    @pass_desk
    def list_all(desk: Desk) -> None:
        from upgrader.flow.service.schedule import read_schedule

        site = desk.open()
        standing = read_schedule(site)
        desk.say(*render.schedule(standing, site.time_zone, desk.texts))
        beat = site.heartbeat.last()
        if standing or beat is not None:
            desk.say(render.heartbeat(beat, site.clock(), site.time_zone, desk.texts))
        desk.answer({**render.schedule_json(standing), "service": render.heartbeat_json(beat)})

    return list_all


def _withdraw(texts: Texts) -> click.Command:
    @click.command("withdraw", help=texts("cli.schedule.withdraw"), short_help=texts("cli.schedule.withdraw"))
    @change_argument()
    @click.option("--reason", required=True, metavar="TEXT", help=texts("cli.option.reason"))
    @pass_desk
    def withdraw(desk: Desk, change: ChangeId, reason: str) -> None:
        from upgrader.flow.service.schedule import withdraw as take_off

        site = desk.open()
        order = take_off(site, change, reason)
        desk.say(desk.texts("said.withdrawn", change=change, line=render.scheduled(order, site.time_zone, desk.texts)))
        desk.answer({"format": "upgrader.withdrawn/1", "change": change})
        desk.next("next.after.planned", change=change)

    return withdraw
