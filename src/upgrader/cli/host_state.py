"""upgrader host-state SYSTEM [--hosts PATTERN]"""

import click

from upgrader import render
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.errors import ExitCode
from upgrader.domain.names import SystemId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("host-state", help=texts("cli.host-state.help"), short_help=texts("cli.host-state.short"))
    @click.argument("system", type=SystemId)
    @click.option("--hosts", "pattern", default="all", metavar="PATTERN", help=texts("cli.host-state.hosts"))
    @pass_desk
    def host_state(desk: Desk, system: SystemId, pattern: str) -> int:
        from upgrader.flow.watching.host_state import Match, host_states

        found = host_states(desk.open(), system, pattern, desk.progress)
        desk.say(*render.host_states(found, desk.texts))
        desk.answer(render.host_states_json(system, found))
        silent = any(one.match is Match.SILENT for one in found)
        return ExitCode.OFFLINE_LEFT if silent else ExitCode.DONE

    return host_state
