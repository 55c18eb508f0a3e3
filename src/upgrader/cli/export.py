"""upgrader export CHANGE FOLDER"""

from pathlib import Path

import click

from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("export", help=texts("cli.export.help"), short_help=texts("cli.export.short"))
    @change_argument()
    @click.argument("folder", type=click.Path(path_type=Path))
    @pass_desk
    def export(desk: Desk, change: ChangeId, folder: Path) -> None:
        from upgrader.flow.applying.export import export_change

        exported = export_change(desk.open(), change, folder)
        desk.say(desk.texts("said.exported", change=change, folder=exported.folder), "")
        for wave in exported.waves:
            limit = ",".join(wave)
            desk.say(f"  cd {exported.folder}/tree && ansible-playbook -i inventory --limit {limit} \\")
            desk.say("    -e @../upgrade.json playbooks/upgrade.yml")
        desk.answer(
            {
                "format": "upgrader.exported/1",
                "change": change,
                "folder": str(exported.folder),
                "waves": [list(wave) for wave in exported.waves],
            }
        )

    return export
