"""What a person said of a plan before, with a key or on paper: each new word comes after it, whatever clocks show."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from upgrader.domain.approval.record import ApprovalRecord, Decision, PaperRecord, read_record
from upgrader.domain.changes.plan import Plan
from upgrader.domain.errors import Refused
from upgrader.domain.names import PersonId, RoleId
from upgrader.flow import repository
from upgrader.flow.site import Site

SECOND = timedelta(seconds=1)


def time_of_next_word(site: Site, plan: Plan, person: PersonId, decision: Decision) -> datetime:
    """Now, or one second after the person's last word on this plan: records are ordered by their whole seconds.

    Raises Refused `nothing-to-withdraw` when a withdrawal would take back nothing.
    """
    said = list(_own_words(site, plan, person))
    withdrawn = max((r.issued for r in said if r.decision is Decision.WITHDRAW), default=None)
    standing = [r for r in said if r.decision is not Decision.WITHDRAW and (not withdrawn or r.issued > withdrawn)]
    if decision is Decision.WITHDRAW and not standing:
        raise Refused("nothing-to-withdraw", change=plan.change, plan=plan.digest.short, person=person)
    return max([site.clock(), *(record.issued + SECOND for record in said)])


def said_already(site: Site, plan: Plan, person: PersonId, decision: Decision, role: RoleId) -> bool:
    """Whether the person's last word on this plan, by key and in this role, is this decision and still holds."""
    last = max(_own_words(site, plan, person), key=lambda record: record.issued, default=None)
    if last is None or isinstance(last, PaperRecord):
        return False
    return (last.decision, last.role) == (decision, role) and site.clock() < last.expires


def _own_words(site: Site, plan: Plan, person: PersonId) -> Iterator[ApprovalRecord]:
    folder = site.clone.root / repository.change_folder(plan.change)
    kinds: dict[str, type[ApprovalRecord]] = {**dict.fromkeys(Decision, ApprovalRecord), "paper": PaperRecord}
    for first, kind in kinds.items():
        for path in sorted(folder.glob(f"{first}_{person}_*.json")):
            with suppress(Refused):  # what can't be read is the gate's to refuse
                record = read_record(kind, path.read_bytes(), path.name)
                if record.plan == plan.digest and record.person == person:
                    yield record
