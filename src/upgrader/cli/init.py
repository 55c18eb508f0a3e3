"""upgrader init DIRECTORY"""

from pathlib import Path

import click

from upgrader.cli.arguments import name_of
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import SiteId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("init", help=texts("cli.init.help"), short_help=texts("cli.init.short"))
    @click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
    @click.option("--name", "site", required=True, callback=name_of(SiteId), help=texts("cli.init.name"))
    @click.option("--hospital", nargs=2, metavar="ZH EN", required=True, help=texts("cli.init.hospital"))
    @click.option("--time-zone", default="Asia/Shanghai", show_default=True, help=texts("cli.init.time-zone"))
    @click.option("--remote", metavar="URL", help=texts("cli.init.remote"))
    @click.option(
        "--inventory", type=click.Path(exists=True, file_okay=False, path_type=Path), help=texts("cli.init.inventory")
    )
    @pass_desk
    def init(
        desk: Desk,
        directory: Path,
        site: SiteId,
        hospital: tuple[str, str],
        time_zone: str,
        remote: str | None,
        inventory: Path | None,
    ) -> None:
        from upgrader.app import SiteToBe, initialise_site

        wanted = SiteToBe(directory.absolute(), site, hospital, time_zone, remote, inventory, desk.person, desk.key)
        commit = initialise_site(wanted)
        desk.say(desk.texts("said.initialised", folder=directory, commit=commit[:12]))
        desk.answer({"format": "upgrader.initialised/1", "folder": str(directory), "commit": commit})
        desk.next("next.trust-init", folder=directory)

    return init
