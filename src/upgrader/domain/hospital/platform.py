"""What a host runs on, and which platforms each strategy can serve today."""

from collections.abc import Mapping
from enum import StrEnum

from upgrader.domain.errors import Refused
from upgrader.domain.releases.release import Release, Strategy


class Platform(StrEnum):
    """As the inventory declares it. A host of which nothing is declared is some Linux."""

    LINUX = "linux"
    DEBIAN = "debian"
    UOS = "uos"  # 统信, with Debian's packages
    KYLIN = "kylin"  # 银河麒麟 desktop, with Debian's packages
    WINDOWS = "windows"


POSIX = frozenset(Platform) - {Platform.WINDOWS}
# A strategy that is in no line here serves nobody yet.
SERVED: Mapping[Strategy, frozenset[Platform]] = {
    strategy: POSIX for strategy in Strategy if strategy is not Strategy.WINDOWS
}
MOST_NAMED = 10


def check_served(release: Release, platforms: Mapping[str, Platform | None]) -> None:
    """Raises Refused when nothing carries this release to one of these hosts yet, which are given by name.

    `strategy-not-there` for a strategy that serves no host at all, `platform-not-served` for hosts of another kind.
    """
    served = SERVED.get(release.strategy, frozenset())
    left = sorted(name for name, platform in platforms.items() if (platform or Platform.LINUX) not in served)
    fields = {"release": release.name, "strategy": release.strategy, "count": len(left), "hosts": _named(left)}
    if not served:
        raise Refused("strategy-not-there", **fields)
    if left:
        found = sorted({platforms[name] or Platform.LINUX for name in left})
        raise Refused("platform-not-served", platforms=", ".join(found), **fields)


def _named(hosts: list[str]) -> str:
    return ", ".join(hosts[:MOST_NAMED]) + (" …" if len(hosts) > MOST_NAMED else "")
