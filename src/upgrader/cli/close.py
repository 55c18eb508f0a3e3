"""upgrader close CHANGE [--to FOLDER]"""

from pathlib import Path

import click

from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("close", help=texts("cli.close.help"), short_help=texts("cli.close.short"))
    @change_argument()
    @click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), help=texts("cli.close.to"))
    @pass_desk
    def close(desk: Desk, change: ChangeId, folder: Path | None) -> None:
        from upgrader.flow.closing.close import close_change

        site = desk.open()
        closed = close_change(site, change, folder or site.change_folder(change) / "closed")
        ending = desk.texts(f"ending.{closed.closure.ending}")
        desk.say(desk.texts("said.closed", change=change, ending=ending))
        desk.say(f"  {desk.texts('said.report')}: {closed.report}", f"  {desk.texts('said.bundle')}: {closed.bundle}")
        desk.answer(
            {
                "format": "upgrader.closed/1",
                "change": change,
                "ending": closed.closure.ending,
                "report": str(closed.report),
                "bundle": str(closed.bundle),
                "sha256": closed.digest.hex,
            }
        )
        desk.next("next.verify-evidence", bundle=closed.bundle, root=site.trust.fingerprint())

    return close
