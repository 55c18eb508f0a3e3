"""upgrader demo"""

import tempfile
import time
from pathlib import Path

import click

from upgrader.cli.desk import Desk, pass_desk
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("demo", help=texts("cli.demo.help"), short_help=texts("cli.demo.short"))
    @click.option("--in", "folder", type=click.Path(file_okay=False, path_type=Path), help=texts("cli.demo.in"))
    @click.option("--hosts", type=click.IntRange(2, 100), default=12, show_default=True, help=texts("cli.lab.hosts"))
    @click.option("--machines", is_flag=True, help=texts("cli.lab.machines"))
    @pass_desk
    def demo(desk: Desk, folder: Path | None, hosts: int, *, machines: bool) -> None:
        from upgrader.lab.demo import play

        started = time.monotonic()
        directory = (folder or Path(tempfile.mkdtemp(prefix="upgrader-demo-"))).absolute()
        language = desk.texts.language.value
        shown = play(directory, hosts=hosts, machines=machines, language=language, say=desk.texts, tell=desk.say)
        desk.say("", desk.texts("demo.done", seconds=int(time.monotonic() - started)))
        for report, bundle in zip(shown.reports, shown.bundles, strict=True):
            desk.say(f"  {desk.texts('said.report')}: {report}", f"  {desk.texts('said.bundle')}: {bundle}")
        desk.answer(
            {
                "format": "upgrader.demo/1",
                "reports": [str(path) for path in shown.reports],
                "bundles": [str(path) for path in shown.bundles],
            }
        )

    return demo
