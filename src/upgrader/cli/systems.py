"""upgrader systems [SYSTEM] [--ask]"""

import click

from upgrader import render
from upgrader.cli.arguments import name_of
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import SystemId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("systems", help=texts("cli.systems.help"), short_help=texts("cli.systems.short"))
    @click.argument("system", required=False, callback=name_of(SystemId))
    @click.option("--ask", is_flag=True, help=texts("cli.systems.ask"))
    @pass_desk
    def systems(desk: Desk, system: SystemId | None, *, ask: bool) -> None:
        from upgrader.flow.watching.systems import ask_hosts
        from upgrader.flow.watching.systems import systems as known_systems

        if ask and system is None:
            raise click.UsageError(desk.texts("cli.systems.ask-one"))
        site = desk.open()
        if ask and system is not None:
            ask_hosts(site, system, desk.progress)
        views = known_systems(site, system)
        desk.answer(render.systems_json(views))
        if system is None:
            desk.say(*render.systems(views, desk.texts))
            desk.next("next.systems" if views else "next.describe-systems")
        else:
            desk.say(*render.system(views[0], site.time_zone, desk.texts))
            desk.next("next.system", system=system)

    return systems
