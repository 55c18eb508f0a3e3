"""upgrader close CHANGE [--to FOLDER] [--together]"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.changes.lifecycle import State
from upgrader.domain.names import ChangeId
from upgrader.flow.site import Site
from upgrader.language import Texts

if TYPE_CHECKING:
    from upgrader.flow.closing.close import Closed


def command(texts: Texts) -> click.Command:
    @click.command("close", help=texts("cli.close.help"), short_help=texts("cli.close.short"))
    @change_argument()
    @click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), help=texts("cli.close.to"))
    @click.option("--together", is_flag=True, help=texts("cli.close.together"))
    @pass_desk
    def close(desk: Desk, change: ChangeId, folder: Path | None, *, together: bool) -> None:
        from upgrader.flow.closing.close import close_change

        site = desk.open()
        if together:
            _close_together(desk, site, change, folder)
            return
        closed = close_change(site, change, folder or site.change_folder(change) / "closed")
        _tell(desk, change, closed)
        desk.answer(_as_json(change, closed))
        desk.next("next.verify-evidence", bundle=closed.bundle, root=site.trust.fingerprint())

    return close


def _close_together(desk: Desk, site: Site, change: ChangeId, folder: Path | None) -> None:
    """Each change of one request, with its own report and its own bundle."""
    from upgrader.cli.next_step import tell_next
    from upgrader.flow.closing.together import close_together

    answers = []
    for one, closed in close_together(site, change, folder):
        _tell(desk, one, closed)
        answers.append(_as_json(one, closed))
    desk.answer({"format": "upgrader.closed-together/1", "changes": answers})
    tell_next(desk, site, change, State.CLOSED)


def _tell(desk: Desk, change: ChangeId, closed: "Closed") -> None:
    ending = desk.texts(f"ending.{closed.closure.ending}")
    desk.say(desk.texts("said.closed", change=change, ending=ending))
    desk.say(f"  {desk.texts('said.report')}: {closed.report}", f"  {desk.texts('said.bundle')}: {closed.bundle}")


def _as_json(change: ChangeId, closed: "Closed") -> dict[str, Any]:
    return {
        "format": "upgrader.closed/1",
        "change": change,
        "ending": closed.closure.ending,
        "report": str(closed.report),
        "bundle": str(closed.bundle),
        "sha256": closed.digest.hex,
    }
