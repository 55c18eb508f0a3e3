"""upgrader trust init|update|enrol|revoke|sign|install|show"""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from upgrader import render
from upgrader.cli.arguments import name_of, past_moment
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain import plain
from upgrader.domain.names import PersonId
from upgrader.flow.approval.trust import NextTrust, Signing
from upgrader.flow.site import Site
from upgrader.language import Texts

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


def command(texts: Texts) -> click.Command:
    group = click.Group("trust", help=texts("cli.trust.help"), short_help=texts("cli.trust.short"))
    for make in (_init, _update, _enrol, _revoke, _sign, _install, _show):
        group.add_command(make(texts))
    return group


def _policy(texts: Texts) -> Callable[[F], F]:
    return click.option("--policy", required=True, type=FILE, help=texts("cli.trust.policy"))


def _proofs(texts: Texts) -> Callable[[F], F]:
    return click.option("--proof", "proofs", multiple=True, type=FILE, help=texts("cli.trust.proof"))


def _signing(texts: Texts) -> Callable[[F], F]:
    """The options of every verb that makes a version: with which root keys, and where it goes when they are too few."""
    keys = click.option("--root-key", "root_keys", multiple=True, type=FILE, help=texts("cli.trust.root-key"))
    folder = click.option("--to", "folder", type=FOLDER, help=texts("cli.trust.to"))
    return lambda verb: keys(folder(verb))


def _init(texts: Texts) -> click.Command:
    @click.command("init", help=texts("cli.trust.init"))
    @_policy(texts)
    @_proofs(texts)
    @_signing(texts)
    @pass_desk
    def init(desk: Desk, policy: Path, proofs: Sequence[Path], root_keys: Sequence[Path], folder: Path | None) -> None:
        from upgrader.flow.approval.trust import read_proofs, start_trust

        site = desk.open()
        signing = Signing(root_keys=root_keys, folder=folder)
        made = start_trust(site, policy.read_bytes(), str(policy), read_proofs(site, proofs), signing)
        _tell(desk, site, made)
        if made.installed:
            desk.say(desk.texts("trust.fingerprint", root=site.trust.fingerprint()))
            desk.next("next.stage")

    return init


def _update(texts: Texts) -> click.Command:
    @click.command("update", help=texts("cli.trust.update"))
    @_policy(texts)
    @_proofs(texts)
    @click.option("--reason", default="", metavar="TEXT", help=texts("cli.option.reason"))
    @_signing(texts)
    @pass_desk
    def update(
        desk: Desk, policy: Path, proofs: Sequence[Path], reason: str, root_keys: Sequence[Path], folder: Path | None
    ) -> None:
        from upgrader.flow.approval.trust import read_proofs, update_trust

        site = desk.open()
        signing = Signing(root_keys=root_keys, folder=folder)
        given = read_proofs(site, proofs)
        made = update_trust(site, policy.read_bytes(), str(policy), given, reason, signing)
        _tell(desk, site, made)
        if made.installed:
            desk.next("next.trust-copied")

    return update


def _enrol(texts: Texts) -> click.Command:
    @click.command("enrol", help=texts("cli.trust.enrol"))
    @click.argument("proofs", metavar="[PROOF]...", nargs=-1, type=FILE)
    @click.option("--reason", required=True, metavar="TEXT", help=texts("cli.option.reason"))
    @click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help=texts("cli.trust.until"))
    @click.option("--yes", is_flag=True, help=texts("cli.sign.yes"))
    @_signing(texts)
    @pass_desk
    def enrol(desk: Desk, /, proofs: Sequence[Path], **options: Any) -> None:
        if proofs:
            _enrol_others(desk, proofs, **options)
        else:
            _ask_to_enrol(desk, options["reason"], options["folder"] or Path.cwd())

    return enrol


def _ask_to_enrol(desk: Desk, reason: str, folder: Path) -> None:
    from upgrader.flow.approval.trust import ask_to_enrol

    site = desk.open()
    enrolment, file = ask_to_enrol(site, reason, folder)
    fingerprint = site.signatures.fingerprint(enrolment.key)
    desk.say(desk.texts("trust.asked", person=enrolment.person, key=fingerprint, file=file))
    desk.answer({"format": "upgrader.enrolment-asked/1", "file": str(file), "key": fingerprint})
    desk.next("next.trust-enrol", file=file.name)


def _enrol_others(
    desk: Desk,
    files: Sequence[Path],
    *,
    reason: str,
    until: datetime | None,
    yes: bool,
    root_keys: Sequence[Path],
    folder: Path | None,
) -> None:
    """What the holder of a root key does with the proofs that people sent: compare each fingerprint, then sign."""
    from upgrader.flow.approval.trust import enrol, read_proofs

    site = desk.open()
    proofs = read_proofs(site, files)
    for proof in proofs:
        fields = {"person": proof.enrolment.person, "key": site.signatures.fingerprint(proof.enrolment.key)}
        desk.say(desk.texts("trust.proof", **fields, reason=proof.enrolment.reason))
        if not yes:
            click.confirm(desk.texts("ask.enrol", **fields), abort=True, err=True)
    end = until.replace(tzinfo=site.clock().tzinfo) if until else None
    made = enrol(site, proofs, reason, end, Signing(root_keys=root_keys, folder=folder))
    _tell(desk, site, made)
    if made.installed:
        desk.next("next.trust-copied")


def _revoke(texts: Texts) -> click.Command:
    @click.command("revoke", help=texts("cli.trust.revoke"))
    @click.argument("holder", metavar="PERSON", callback=name_of(PersonId))
    @click.option("--fingerprint", metavar="SHA256:…", help=texts("cli.trust.fingerprint"))
    @click.option("--at", "when", metavar="'YYYY-MM-DD HH:MM'", help=texts("cli.trust.at"))
    @click.option("--leaves", is_flag=True, help=texts("cli.trust.leaves"))
    @click.option("--reason", required=True, metavar="TEXT", help=texts("cli.option.reason"))
    @_signing(texts)
    @pass_desk
    def revoke(desk: Desk, /, holder: PersonId, **options: Any) -> None:
        from upgrader.flow.approval.trust import Ending, revoke

        site = desk.open()
        at = past_moment(options["when"], site.time_zone, site.clock()) if options["when"] else site.clock()
        ending = Ending(holder, at, options["fingerprint"], options["leaves"], options["reason"])
        made = revoke(site, ending, Signing(root_keys=options["root_keys"], folder=options["folder"]))
        _tell(desk, site, made)
        if made.installed:
            desk.next("next.trust-left" if options["leaves"] else "next.trust-revoked", person=holder)

    return revoke


def _sign(texts: Texts) -> click.Command:
    @click.command("sign", help=texts("cli.trust.sign"))
    @click.argument("file", metavar="TRUST-FILE", type=FILE)
    @click.option("--root-key", "root_keys", required=True, multiple=True, type=FILE, help=texts("cli.trust.root-key"))
    @click.option("--yes", is_flag=True, help=texts("cli.sign.yes"))
    @pass_desk
    def sign(desk: Desk, file: Path, root_keys: Sequence[Path], *, yes: bool) -> None:
        from upgrader.flow.approval.trust import read_prepared, sign_prepared

        site = desk.open()
        prepared = read_prepared(site, file)
        desk.say(*render.next_trust(prepared, site.signatures.fingerprint, desk.texts))
        if not yes:
            click.confirm(desk.texts("ask.trust-sign", version=prepared.trust.version), abort=True, err=True)
        signed = sign_prepared(site, file, root_keys)
        desk.answer(render.next_trust_json(signed))
        desk.next("next.trust-install" if signed.is_whole else "next.trust-sign", file=file)

    return sign


def _install(texts: Texts) -> click.Command:
    @click.command("install", help=texts("cli.trust.install"))
    @click.argument("file", metavar="TRUST-FILE", type=FILE)
    @pass_desk
    def install(desk: Desk, file: Path) -> None:
        from upgrader.flow.approval.trust import install_prepared

        site = desk.open()
        _tell(desk, site, install_prepared(site, file))
        desk.next("next.trust-copied")

    return install


def _show(texts: Texts) -> click.Command:
    @click.command("show", help=texts("cli.trust.show"))
    @pass_desk
    def show(desk: Desk) -> None:
        from upgrader.flow.approval.trust import trust_history, unproven

        site = desk.open()
        trust, history = site.trust.load(), trust_history(site)
        desk.say(*render.trust(trust, desk.texts))
        if names := unproven(trust):
            desk.say(desk.texts("trust.unproven", people=list(names)))
        desk.say(desk.texts("trust.history"), *render.trust_history(history, site.signatures.fingerprint, desk.texts))
        desk.say(desk.texts("trust.fingerprint", root=site.trust.fingerprint()))
        desk.answer(
            {
                "format": "upgrader.trusted/1",
                "trust": plain.to_plain(trust),
                "root": site.trust.fingerprint().hex,
                "history": [render.past_trust_json(past) for past in history],
            }
        )

    return show


def _tell(desk: Desk, site: Site, made: NextTrust) -> None:
    desk.say(*render.next_trust(made, site.signatures.fingerprint, desk.texts))
    desk.answer(render.next_trust_json(made))
    if made.file is not None and not made.installed:
        desk.next("next.trust-sign", file=made.file)
