"""Comes after: a change that was asked for together with others begins when the one before it was found stable."""

from collections.abc import Iterable, Mapping, Sequence

from upgrader.domain.changes.joint import before
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.plan import Plan, read_plan
from upgrader.domain.changes.request import Request
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Refused
from upgrader.domain.hospital.installation import STANDS
from upgrader.flow import repository
from upgrader.flow.site import Site
from upgrader.ports import Snapshot


def plans_before(snapshot: Snapshot, request: Request) -> Sequence[Plan]:
    """The plans of the joint changes before this one, first first, as the commit holds them; none for one alone.

    Raises Refused `joint-not-planned` for one that has none yet.
    """
    plans = []
    for part in before(request.change, request.joint):
        path = f"{repository.change_folder(part.change)}/plan.json"
        content = snapshot.read(path)
        if content is None:
            raise Refused("joint-not-planned", change=request.change, other=part.change)
        plans.append(read_plan(content, path))
    return plans


def as_left_by(earlier: Iterable[Plan], system: str, installed: Mapping[str, str]) -> Mapping[str, str]:
    """What hosts will run when the changes before have been: of a chain the version of the link before, over all links.

    A host that runs something else than a link expects is left as it is: whether it may follow is asked as always.
    """
    for plan in earlier:
        if plan.release.system == system:
            expected = {str(host.name): host.installed for host in plan.hosts}
            installed = {
                host: plan.release.version if expected.get(host) == version else version
                for host, version in installed.items()
            }
    return installed


def check_comes_after(site: Site, plan: Plan) -> None:
    """Raises Refused `joint-not-stable` unless the joint change before this one stands and ran by the named plan."""
    earlier = before(plan.change, plan.joint or ())
    if not earlier:
        return
    with site.journal(earlier[-1].change) as journal:
        history = journal.history()
    if not found_stable(history) or not _ran(history, plan.comes_after):
        raise Refused("joint-not-stable", change=plan.change, other=earlier[-1].change, state=history.state)


def found_stable(history: History) -> bool:
    """Whether a change was found stable, and not taken back since."""
    stands = history.state in STANDS and history.state is not State.SOAKING
    return stands and not history.of(Event.ROLLBACK_STARTED)


def _ran(history: History, plan: Digest | None) -> bool:
    authorized = history.last(Event.PLAN_AUTHORIZED)
    return authorized is not None and plan is not None and authorized.data["plan"] == plan.hex
