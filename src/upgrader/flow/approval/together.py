"""Together: one person's word on all changes of one request, each signed under its own digest, after reading all."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from upgrader.domain.approval.record import ApprovalRecord
from upgrader.domain.changes.plan import Plan
from upgrader.domain.errors import Refused
from upgrader.domain.names import ChangeId
from upgrader.flow.approval.own_words import said_already
from upgrader.flow.approval.sign import Word, plan_to_sign, role_for, sign
from upgrader.flow.identity import acting_person
from upgrader.flow.site import Site


def plans_to_sign(site: Site, change: ChangeId) -> Sequence[Plan]:
    """The plans of all changes that were asked for together with this one, in order; of one alone only its own.

    Raises BadInput `plan-not-made` for the first that has none, Refused `joint-plan-replaced` for one made before
    another plan took the place of the one that it names.
    """
    plan = plan_to_sign(site, change)
    plans = [plan_to_sign(site, part.change) for part in plan.joint or ()] or [plan]
    check_one_after_the_other(plans)
    return plans


def check_one_after_the_other(plans: Sequence[Plan]) -> None:
    """Raises Refused `joint-plan-replaced` unless each plan names the digest of the one before it."""
    for earlier, later in pairwise(plans):
        if later.comes_after != earlier.digest:
            raise Refused("joint-plan-replaced", change=later.change, other=earlier.change, plan=earlier.digest.short)


def sign_together(site: Site, plans: Sequence[Plan], word: Word) -> Iterator[tuple[Plan, ApprovalRecord | None]]:
    """Sign each of these plans by itself, first first, and give each record once it is pushed.

    None for a plan on which this very word stands already: so a call that was cut short goes on when it is made again.
    Raises what `sign` raises; the records before that stand.
    """
    person, trust = acting_person(site), site.trust.load()
    for plan in plans:
        role = role_for(trust, plan, person, word.role)
        done = said_already(site, plan, person, word.decision, role)
        yield plan, None if done else sign(site, plan, word)
