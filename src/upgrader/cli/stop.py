"""upgrader stop --all | --lift"""

import click

from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain import plain
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("stop", help=texts("cli.stop.help"), short_help=texts("cli.stop.short"))
    @click.option("--all", "everything", is_flag=True, help=texts("cli.stop.all"))
    @click.option("--lift", is_flag=True, help=texts("cli.stop.lift"))
    @click.option("--reason", metavar="TEXT", help=texts("cli.option.reason"))
    @pass_desk
    def stop(desk: Desk, reason: str | None, *, everything: bool, lift: bool) -> None:
        from upgrader.flow.applying.stop import lift_stop, stop_all

        if everything is lift:
            raise click.UsageError(texts("cli.stop.one-of"))
        if reason is None:
            raise click.UsageError(texts("cli.stop.why"))
        stopped = lift_stop(desk.open(), reason) if lift else stop_all(desk.open(), reason)
        brake = stopped.brake
        desk.say(
            desk.texts("said.stop-lifted" if lift else "said.stopped", person=brake.person, reason=brake.reason),
            *[f"  {change}" for change in stopped.written_down],
        )
        desk.answer(
            {
                "format": "upgrader.stopped/1",
                "stopped": not lift,
                **{key: text for key, text in plain.to_plain(brake).items() if key != "ask"},
                "changes": list(stopped.written_down),
            }
        )
        desk.next("next.stop-lifted" if lift else "next.stopped")

    return stop
