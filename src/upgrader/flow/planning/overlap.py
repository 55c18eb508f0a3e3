"""Overlap: what a change works on beside others, so that two which overlap never run at once."""

from collections.abc import Sequence

from upgrader.domain.changes.plan import Plan
from upgrader.flow.site import Site
from upgrader.flow.watching.described import graph_on
from upgrader.ports import Snapshot


def names_to_hold(site: Site, snapshot: Snapshot, plan: Plan) -> Sequence[str]:
    """The locks of a plan: its hosts, and the databases and interfaces that its system says it works on.

    The description is that of the commit that people signed for, beside the hosts. A site may describe none.
    """
    system = graph_on(site, snapshot).systems.get(plan.release.system)
    shared = [f"database-{name}" for name in system.databases] if system else []
    shared += [f"interface-{name}" for name in system.interfaces] if system else []
    return [*(f"host-{host.name}" for host in plan.hosts), *shared]
