"""upgrader calendar check|next"""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

from upgrader.cli.arguments import duration, moment
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain import plain
from upgrader.domain.errors import ExitCode
from upgrader.domain.hospital.calendar import Answer, Calendar
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    group = click.Group("calendar", help=texts("cli.calendar.help"), short_help=texts("cli.calendar.short"))
    at_option = click.option("--at", default="now", show_default=True, help=texts("cli.calendar.at"))
    groups_option = click.option("--group", "groups", multiple=True, help=texts("cli.calendar.group"))
    length_option = click.option(
        "--for", "length", callback=duration, default="2h", show_default=True, help=texts("cli.calendar.length")
    )

    @group.command("check", help=texts("cli.calendar.check"))
    @at_option
    @groups_option
    @length_option
    @pass_desk
    def check(desk: Desk, at: str, groups: tuple[str, ...], length: timedelta) -> int:
        from upgrader.flow.planning.calendar import calendar_here

        site = desk.open()
        calendar = calendar_here(site)
        answer = calendar.ask(groups, moment(at, calendar.zone, site.clock()))
        opening = answer.at if answer.may_run else calendar.next_opening(groups, answer.at, length)
        desk.say(*_told(desk, calendar, answer, groups))
        if not answer.may_run:
            desk.say(_opening(desk, calendar, opening, length))
        desk.answer(_answer_json(answer, groups, opening))
        return ExitCode.DONE if answer.may_run else ExitCode.OUTSIDE_WINDOW

    @group.command("next", help=texts("cli.calendar.next"))
    @at_option
    @groups_option
    @length_option
    @pass_desk
    def next_opening(desk: Desk, at: str, groups: tuple[str, ...], length: timedelta) -> int:
        from upgrader.flow.planning.calendar import calendar_here

        site = desk.open()
        calendar = calendar_here(site)
        opening = calendar.next_opening(groups, moment(at, calendar.zone, site.clock()), length)
        provisional = _provisional(desk, calendar, calendar.ask(groups, opening)) if opening else []
        desk.say(_opening(desk, calendar, opening, length), *provisional)
        desk.answer(
            {
                "format": "upgrader.opening/1",
                "groups": list(groups),
                "opens": plain.to_plain(opening) if opening else "",
            }
        )
        return ExitCode.DONE if opening else ExitCode.OUTSIDE_WINDOW

    return group


def _told(desk: Desk, calendar: Calendar, answer: Answer, groups: tuple[str, ...]) -> list[str]:
    texts = desk.texts
    key = "calendar.may" if answer.may_run else "calendar.may-not"
    named = ", ".join(groups) or texts("calendar.everything")
    lines = [texts(key, at=_on_the_wall(answer.at, calendar), zone=calendar.zone, groups=named)]
    for rule in answer.frozen_by:
        lines.append(f"  ✗ {texts('calendar.frozen', rule=rule.name[texts.language], id=rule.id)}")
    for closed in answer.closed:
        group = texts("calendar.everything") if closed == "*" else closed
        lines.append(f"  ✗ {texts('calendar.closed', group=group)}")
    return lines + _provisional(desk, calendar, answer)


def _provisional(desk: Desk, calendar: Calendar, answer: Answer) -> list[str]:
    year = answer.at.astimezone(ZoneInfo(calendar.zone)).year
    return [f"  ! {desk.texts('calendar.provisional', year=year)}"] if answer.provisional else []


def _opening(desk: Desk, calendar: Calendar, opening: datetime | None, length: timedelta) -> str:
    minutes = int(length.total_seconds()) // 60
    shown = f"{minutes // 60}h{minutes % 60:02d}m" if minutes % 60 else f"{minutes // 60}h"
    if opening is None:
        return desk.texts("calendar.never", length=shown)
    return desk.texts("calendar.next", length=shown, at=_on_the_wall(opening, calendar), zone=calendar.zone)


def _on_the_wall(at: datetime, calendar: Calendar) -> str:
    return f"{at.astimezone(ZoneInfo(calendar.zone)):%Y-%m-%d %H:%M}"


def _answer_json(answer: Answer, groups: tuple[str, ...], opening: datetime | None) -> dict[str, Any]:
    return {
        "format": "upgrader.calendar/1",
        "at": plain.to_plain(answer.at),
        "groups": list(groups),
        "may_run": answer.may_run,
        "frozen_by": [rule.id for rule in answer.frozen_by],
        "closed": list(answer.closed),
        "provisional": answer.provisional,
        "opens": plain.to_plain(opening) if opening else "",
    }
