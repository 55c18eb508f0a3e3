"""Doctor: is everything ready? Each thing that is not, with its fix. Changes nothing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from upgrader.domain.errors import PreflightFailed, UpgraderError
from upgrader.flow.identity import acting_person, signing_key
from upgrader.flow.site import Site
from upgrader.flow.watching.described import graph_on
from upgrader.ports import HostCheck, InventoryHost, Programs


class Health(StrEnum):
    WELL = "well"
    ILL = "ill"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `what` is the key of its text; `error` is there when it is not as it should be."""

    what: str
    health: Health
    detail: str
    error: UpgraderError | None = None


def examine_site(site: Site, programs: Programs, check_host: HostCheck, *, hosts: str | None) -> Iterator[Finding]:
    """Look at the controller, the person, the trust file, the repository, the systems and hosts of the inventory.

    `hosts` is an inventory pattern; None leaves the hosts alone. One thing that is ill does not hide the next.
    """
    for name in programs.names:
        yield _finding(f"program-{name}", partial(programs.version, name))
    yield _finding("state", lambda: str(programs.check_state(site.state)))
    yield _finding("person", lambda: acting_person(site))
    yield _finding("key", lambda: site.signatures.public_key(signing_key(site))[:40])
    yield _finding("trust", lambda: _trust(site))
    yield _finding("repository", lambda: site.mirror.refresh().commit[:12])
    yield _finding("systems", lambda: str(len(graph_on(site, site.mirror.tip()).systems)))
    if site.people.are_told:
        yield _finding("notifiers", lambda: ", ".join(site.people.notifiers.names()))
    found: list[InventoryHost] = []
    yield _finding("inventory", lambda: _inventory(site, hosts or "all", found))
    if hosts is not None:
        for name, error in check_host([host for host in found if host.host_key], site.forks):
            yield Finding(f"host {name}", Health.ILL if error else Health.WELL, "", error)
        for host in found:
            if not host.host_key:
                error = PreflightFailed("host-not-by-ssh", host=host.name, platform=host.platform)
                yield Finding(f"host {host.name}", Health.ILL, "", error)


def _finding(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, Health.WELL, look())
    except UpgraderError as error:
        return Finding(what, Health.ILL, "", error)


def _trust(site: Site) -> str:
    trust = site.trust.load()
    site.trust.check_current(trust, site.clock())
    return f"{trust.version} · {trust.expires:%Y-%m-%d}"


def _inventory(site: Site, pattern: str, found: list[InventoryHost]) -> str:
    with site.export(site.mirror.refresh()) as tree:
        hosts: Sequence[InventoryHost] = site.inventory.resolve(tree.path, pattern)
    found.extend(hosts)
    return str(len(hosts))
