"""Together: make the plans of all changes that were asked for in one request, each its own, in their order."""

from collections.abc import Iterator, Sequence

from upgrader.domain.names import ChangeId
from upgrader.flow.applying.joint import asked_together
from upgrader.flow.planning.plan import Planned, plan_change
from upgrader.flow.site import Site
from upgrader.ports import Progress


def joint_or_alone(site: Site, change: ChangeId) -> Sequence[ChangeId]:
    """All changes of its request, by the clone, the first one first; of one alone only itself."""
    return [part.change for part in asked_together(site, change)] or [change]


def plan_together(site: Site, change: ChangeId, progress: Progress) -> Iterator[Planned]:
    """Publish the plan of each, the first one first, and give it as soon as it is there; of one alone only that.

    One that is refused stops this; those before it have their plans, and calling it again goes on: the same inputs give
    the same plans. Raises what `plan_change` raises.
    """
    site.clone.pull()
    for one in joint_or_alone(site, change):
        yield plan_change(site, one, progress, publish=True)
