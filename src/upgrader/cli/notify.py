"""upgrader notify [--try]"""

import click

from upgrader import render
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.errors import ExitCode
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("notify", help=texts("cli.notify.help"), short_help=texts("cli.notify.short"))
    @click.option("--try", "trial", is_flag=True, help=texts("cli.notify.try"))
    @pass_desk
    def notify(desk: Desk, *, trial: bool) -> int:
        from upgrader.flow.service.notify import notify_people, try_notifiers

        site = desk.open()
        sent = []
        words = render.notification_words
        for one in try_notifiers(site, words) if trial else notify_people(site, words):
            desk.say(render.notified(one, desk.texts))
            sent.append(one)
        if not sent:
            desk.say(desk.texts("notify.nothing" if site.people.notifiers.names() else "notify.nobody"))
        desk.answer({"format": "upgrader.notified/1", "messages": [render.notified_json(one) for one in sent]})
        return ExitCode.PREFLIGHT_FAILED if any(one.reason for one in sent) else ExitCode.DONE

    return notify
