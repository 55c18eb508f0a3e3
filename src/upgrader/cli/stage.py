"""upgrader stage SOURCE"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from upgrader import render
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.errors import BadInput
from upgrader.language import Texts

if TYPE_CHECKING:
    from upgrader.adapters.sources import Source


def command(texts: Texts) -> click.Command:
    file = click.Path(exists=True, dir_okay=False, path_type=Path)

    @click.command("stage", help=texts("cli.stage.help"), short_help=texts("cli.stage.short"))
    @click.argument("source")
    @click.option("--host-key", "host_keys", multiple=True, metavar="SHA256:…", help=texts("cli.stage.host-key"))
    @click.option("--identity", type=file, help=texts("cli.stage.identity"))
    @click.option("--password-file", type=file, help=texts("cli.stage.password-file"))
    @click.option("--ca-file", type=file, help=texts("cli.stage.ca-file"))
    @click.option("--draft", "step", flag_value="draft", help=texts("cli.stage.draft"))
    @click.option("--seal", "step", flag_value="seal", help=texts("cli.stage.seal"))
    @click.option("--to", "target", type=click.Path(path_type=Path), help=texts("cli.stage.to"))
    @pass_desk
    def stage(
        desk: Desk,
        source: str,
        step: str | None,
        target: Path | None,
        host_keys: tuple[str, ...],
        identity: Path | None,
        password_file: Path | None,
        ca_file: Path | None,
    ) -> None:
        from upgrader.adapters.sources import Credentials, Source

        if step is not None or target is not None:
            _prepare(desk, source, target, step)
            return
        wanted = Source(source, frozenset(host_keys), Credentials(identity, password_file), ca_file)
        _stage(desk, wanted)

    return stage


def _prepare(desk: Desk, source: str, target: Path | None, step: str | None) -> None:
    """What a person does before there is a drop: a proposal, then a list and a signature."""
    from upgrader.adapters.builds.drop_draft import DropDraft
    from upgrader.flow.releases import draft as flow

    if "://" in source:
        raise BadInput("source-must-be-local", source=source.partition("://")[0])
    site = desk.open()
    if step == "seal":
        sealed = flow.seal(site, DropDraft(Path(source)))
        told = {"folder": sealed.folder, "name": sealed.release.name, "fingerprint": sealed.signed_by}
        desk.say(desk.texts("said.sealed", **told))
        desk.answer(render.sealed_json(sealed))
        desk.next("next.stage-sealed", folder=sealed.folder)
        return
    drafted = flow.draft(site, DropDraft.of(Path(source), target))
    desk.say(desk.texts("said.drafted", file=drafted.file, todos=drafted.todos))
    if drafted.previous:
        desk.say(f"  {desk.texts('said.drafted-from', previous=drafted.previous)}")
    desk.answer(render.drafted_json(drafted))
    desk.next("next.seal", file=drafted.file.name, folder=drafted.file.parent)


def _stage(desk: Desk, source: "Source") -> None:
    from upgrader.adapters.builds.build_inspection import Keyrings, held_by_build, inspect_build
    from upgrader.adapters.builds.vendor_drop import VendorDrop
    from upgrader.adapters.sources import Quarantine, open_drop
    from upgrader.flow.releases import stage as flow

    site = desk.open()
    quarantine = Quarantine(site.state / "quarantine")
    vouched = partial(flow.check_papers, site)
    with (
        site.locks.hold([quarantine.lock(source.text)], purpose="stage", holder=site.person or "-", now=site.clock()),
        open_drop(source, site.trust.load(), quarantine, vouched, desk.progress) as folder,
    ):
        drop = VendorDrop(folder).read()
        keyrings = Keyrings.of(site.state / "keyrings", drop.release.vendor)
        staged = flow.stage(site, drop, partial(inspect_build, keyrings=keyrings), held_by_build, desk.progress)
    desk.say(*render.staged(staged, desk.texts))
    desk.answer(render.staged_json(staged))
    desk.next("next.record-test", system=staged.release.system, version=staged.release.version)
