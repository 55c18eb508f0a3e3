"""upgrader stage DROP"""

from pathlib import Path

import click

from upgrader import render
from upgrader.cli.desk import Desk, pass_desk
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("stage", help=texts("cli.stage.help"), short_help=texts("cli.stage.short"))
    @click.argument("drop", type=click.Path(file_okay=False, path_type=Path))
    @pass_desk
    def stage(desk: Desk, drop: Path) -> None:
        from upgrader.adapters.build_inspection import inspect_build
        from upgrader.adapters.vendor_drop import VendorDrop
        from upgrader.flow.stage import stage as stage_drop

        site = desk.open()
        staged = stage_drop(site, VendorDrop(drop).read(), inspect_build, desk.progress)
        desk.say(*render.staged(staged, desk.texts))
        desk.answer(render.staged_json(staged))
        desk.next("next.record-test", system=staged.release.system, version=staged.release.version)

    return stage
