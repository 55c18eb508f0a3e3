"""upgrader exception add|settle"""

import click

from upgrader.cli.arguments import change_argument, deadline, name_of, read_name
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain import plain
from upgrader.domain.names import ChangeId, HostName, PersonId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    group = click.Group("exception", help=texts("cli.exception.help"), short_help=texts("cli.exception.short"))

    @group.command("add", help=texts("cli.exception.add"))
    @change_argument()
    @click.argument("hosts", nargs=-1, required=True)
    @click.option("--owner", required=True, callback=name_of(PersonId), help=texts("cli.exception.owner"))
    @click.option("--due", required=True, metavar="DAY", help=texts("cli.exception.due"))
    @click.option("--reason", required=True, metavar="TEXT", help=texts("cli.option.reason"))
    @pass_desk
    def add(desk: Desk, change: ChangeId, hosts: tuple[str, ...], owner: PersonId, due: str, reason: str) -> None:
        from upgrader.cli.next_step import tell_next
        from upgrader.flow.closing.except_hosts import Answering, except_hosts

        site = desk.open()
        until = deadline(due, site.time_zone, site.clock())
        excepted = except_hosts(site, change, [_host(host) for host in hosts], Answering(owner, until, reason))
        desk.say(desk.texts("said.excepted", change=change, hosts=" ".join(hosts), owner=owner, due=due))
        desk.answer(
            {
                "format": "upgrader.excepted/1",
                "change": change,
                "state": excepted.state,
                "hosts": list(hosts),
                "owner": owner,
                "due": plain.to_plain(until),
                "unowned": list(excepted.unowned),
            }
        )
        if excepted.unowned:
            desk.next("next.except", change=change, hosts=" ".join(excepted.unowned[:5]))
        else:
            tell_next(desk, site, change, excepted.state)

    @group.command("settle", help=texts("cli.exception.settle"))
    @change_argument()
    @click.argument("host", callback=name_of(HostName))
    @click.option("--reason", required=True, metavar="TEXT", help=texts("cli.exception.how"))
    @pass_desk
    def settle(desk: Desk, change: ChangeId, host: HostName, reason: str) -> None:
        from upgrader.flow.closing.except_hosts import settle_exception

        settled = settle_exception(desk.open(), change, host, reason)
        desk.say(desk.texts("said.settled", change=change, host=host))
        desk.answer({"format": "upgrader.settled/1", "change": change, "host": host, "owner": settled.owner})
        desk.next("next.pending")

    return group


def _host(text: str) -> HostName:
    return read_name(HostName, text, "HOSTS")
