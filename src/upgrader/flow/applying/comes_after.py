"""Comes after: a change that was asked for together with others begins when the one before it was found stable."""

from collections.abc import Mapping

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


def plan_before(snapshot: Snapshot, request: Request) -> tuple[Digest, Plan] | None:
    """The plan of the joint change before this one, as the commit holds it; None for the first, and for one alone.

    Raises Refused `joint-not-planned` when it has none yet.
    """
    earlier = before(request.change, request.joint)
    if not earlier:
        return None
    path = f"{repository.change_folder(earlier[-1].change)}/plan.json"
    content = snapshot.read(path)
    if content is None:
        raise Refused("joint-not-planned", change=request.change, other=earlier[-1].change)
    return Digest.of(content), read_plan(content, path)


def as_left_by(earlier: Plan, system: str, installed: Mapping[str, str]) -> Mapping[str, str]:
    """What hosts will run when the change before has been: of a chain the version of the link before.

    A host that runs something else than that link expects is left as it is: whether it may follow is asked as always.
    """
    if earlier.release.system != system:
        return installed
    expected = {str(host.name): host.installed for host in earlier.hosts}
    return {
        host: earlier.release.version if expected.get(host) == version else version
        for host, version in installed.items()
    }


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
