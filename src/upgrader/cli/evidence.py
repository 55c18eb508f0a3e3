"""upgrader evidence verify FILE [--root FINGERPRINT]"""

from pathlib import Path

import click

from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain import plain
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    group = click.Group("evidence", help=texts("cli.evidence.help"), short_help=texts("cli.evidence.short"))

    @group.command("verify", help=texts("cli.evidence.verify"))
    @click.argument("bundle", type=click.Path(exists=True, dir_okay=False, path_type=Path))
    @click.option("--root", metavar="FINGERPRINT", help=texts("cli.evidence.root"))
    @pass_desk
    def verify(desk: Desk, bundle: Path, root: str | None) -> None:
        from upgrader.app import open_auditor
        from upgrader.flow.closing.verify_evidence import verify_evidence

        verified = verify_evidence(open_auditor(), bundle, root)
        closure = verified.closure
        root_key = "evidence.root-known" if verified.root_was_given else "evidence.root"
        desk.say(
            desk.texts("evidence.whole", file=bundle.name),
            f"  {closure.change}  {closure.system} {closure.version}  {desk.texts(f'ending.{closure.ending}')}",
            f"  {desk.texts('evidence.signatures', count=len(verified.signatures))}",
            *[f"    ✓ {name}" for name in verified.signatures],
            f"  {desk.texts('evidence.journal', entries=verified.entries, head=closure.journal.short)}",
            f"  {desk.texts(root_key, root=verified.root)}",
        )
        desk.answer(
            {
                "format": "upgrader.evidence/1",
                "closure": plain.to_plain(closure),
                "root": str(verified.root),
                "root_was_given": verified.root_was_given,
                "signatures": list(verified.signatures),
            }
        )

    return group
