"""upgrader lab up|status|down"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.errors import ExitCode
from upgrader.language import Texts

if TYPE_CHECKING:
    from upgrader.lab.lab import Lab

FOLDER = click.option(
    "--in", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("lab"), show_default=True
)


def command(texts: Texts) -> click.Command:
    group = click.Group("lab", help=texts("cli.lab.help"), short_help=texts("cli.lab.short"))

    @group.command("up", help=texts("cli.lab.up"))
    @FOLDER
    @click.option("--hosts", type=click.IntRange(1, 200), default=12, show_default=True, help=texts("cli.lab.hosts"))
    @click.option("--machines", is_flag=True, help=texts("cli.lab.machines"))
    @click.option("--no-drop", is_flag=True, help=texts("cli.lab.no-drop"))
    @pass_desk
    def up(desk: Desk, folder: Path, hosts: int, *, machines: bool, no_drop: bool) -> None:
        from upgrader.lab.drop import build_drop, default_cache
        from upgrader.lab.lab import Lab

        lab = Lab.up(folder, hosts=hosts, machines=machines, progress=_teller(desk))
        if not no_drop:
            build_drop(lab.drop, default_cache() / "lab-drop", _teller(desk))
        _tell(desk, lab)
        desk.next("next.lab", folder=folder)

    @group.command("status", help=texts("cli.lab.status"))
    @FOLDER
    @pass_desk
    def status(desk: Desk, folder: Path) -> int:
        from upgrader.lab.lab import Lab

        return ExitCode.DONE if _tell(desk, Lab.load(folder)) else ExitCode.PREFLIGHT_FAILED

    @group.command("down", help=texts("cli.lab.down"))
    @FOLDER
    @pass_desk
    def down(desk: Desk, folder: Path) -> None:
        from upgrader.lab.lab import Lab

        Lab.load(folder).down()
        desk.say(desk.texts("said.lab-down", folder=folder))
        desk.answer({"format": "upgrader.lab-down/1", "folder": str(folder)})

    return group


def _teller(desk: Desk) -> Callable[[str], None]:
    return lambda code: desk.progress(f"progress.{code}", {})


def _tell(desk: Desk, lab: "Lab") -> bool:
    """Say where the lab is and how every host does. Gives whether all are up."""
    states = lab.status()
    desk.say(desk.texts("lab.head", folder=lab.directory, count=len(states)))
    for state in states:
        mark = "✓" if state.is_up else "✗"
        desk.say(f"  {mark} {state.host.name}  {state.host.address}:{state.host.port}")
    desk.answer(
        {"format": "upgrader.lab/1", "folder": str(lab.directory), "hosts": [s.host.name for s in states if s.is_up]}
    )
    return all(state.is_up for state in states)
