"""upgrader trust init|update|show"""

from pathlib import Path

import click

from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain import plain
from upgrader.domain.trust import Trust
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    group = click.Group("trust", help=texts("cli.trust.help"), short_help=texts("cli.trust.short"))
    policy = click.option(
        "--policy",
        required=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help=texts("cli.trust.policy"),
    )
    keys = click.option(
        "--root-key",
        "root_keys",
        required=True,
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help=texts("cli.trust.root-key"),
    )

    @group.command("init", help=texts("cli.trust.init"))
    @policy
    @keys
    @pass_desk
    def init(desk: Desk, policy: Path, root_keys: tuple[Path, ...]) -> None:
        from upgrader.flow.trust import install_trust

        site = desk.open()
        _tell(desk, install_trust(site, policy.read_bytes(), str(policy), root_keys, version=1))
        desk.say(desk.texts("trust.fingerprint", root=site.trust.fingerprint()))
        desk.next("next.stage")

    @group.command("update", help=texts("cli.trust.update"))
    @policy
    @keys
    @pass_desk
    def update(desk: Desk, policy: Path, root_keys: tuple[Path, ...]) -> None:
        from upgrader.flow.trust import install_trust

        site = desk.open()
        version = site.trust.load().version + 1
        _tell(desk, install_trust(site, policy.read_bytes(), str(policy), root_keys, version=version))

    @group.command("show", help=texts("cli.trust.show"))
    @pass_desk
    def show(desk: Desk) -> None:
        site = desk.open()
        _tell(desk, site.trust.load())
        desk.say(desk.texts("trust.fingerprint", root=site.trust.fingerprint()))

    return group


def _tell(desk: Desk, trust: Trust) -> None:
    language = desk.texts.language
    desk.say(desk.texts("trust.head", site=trust.site, version=trust.version, expires=f"{trust.expires:%Y-%m-%d}"))
    for person in trust.people:
        mark = "✓" if person.active else "✗"
        desk.say(f"  {mark} {person.id}  {person.name[language]}  {', '.join(person.roles)}")
    for vendor in trust.vendors:
        desk.say(f"  ✓ {vendor.id}  {vendor.name[language]}  {', '.join(vendor.systems)}")
    for kind, rule in trust.rules.items():
        needed = ", ".join(f"{row.role} {row.count}" for row in rule.approvals)
        desk.say(f"  {desk.texts(f'kind.{kind}')}: {needed}")
    desk.answer({"format": "upgrader.trusted/1", "trust": plain.to_plain(trust)})
