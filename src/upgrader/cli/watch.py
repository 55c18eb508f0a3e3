"""upgrader watch CHANGE: the board, redrawn from the journal until the change rests."""

import sys
import time

import click

from upgrader import render
from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.changes.lifecycle import State
from upgrader.domain.names import ChangeId
from upgrader.language import Texts

MOVING = frozenset({State.APPLYING, State.ROLLING_BACK})


def command(texts: Texts) -> click.Command:
    @click.command("watch", help=texts("cli.watch.help"), short_help=texts("cli.watch.short"))
    @change_argument()
    @click.option(
        "--interval", type=click.FloatRange(0.2, 60), default=1.0, show_default=True, help=texts("cli.watch.interval")
    )
    @click.option(
        "--until", metavar="STATE", type=click.Choice([state.value for state in State]), help=texts("cli.watch.until")
    )
    @pass_desk
    def watch(desk: Desk, change: ChangeId, interval: float, until: str | None) -> None:
        from rich.console import Console, Group
        from rich.live import Live

        from upgrader.cli.next_step import tell_next
        from upgrader.flow.watching.status import read_change

        site = desk.open()

        def board() -> tuple[Group, State]:
            one = read_change(site, change)
            return Group(*render.change(change, one, desk.texts, because=one.stopped_because)), one.state

        drawn, state = board()
        with Live(drawn, console=Console(file=sys.stdout, highlight=False, markup=False), auto_refresh=False) as live:
            while state in MOVING or (until is not None and state != until):
                time.sleep(interval)
                drawn, state = board()
                live.update(drawn, refresh=True)
        desk.say("")
        tell_next(desk, site, change, state)

    return watch
