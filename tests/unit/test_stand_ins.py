"""A system and the one that stands in for it are never changed in the same window."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

import builders
from fakes import Hospital
from upgrader.adapters import documents
from upgrader.domain.changes.journal import History
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import Plan
from upgrader.domain.changes.request import ChangeWindow
from upgrader.domain.errors import Refused
from upgrader.domain.names import ChangeId, SystemId
from upgrader.flow.approval.authorize import examine, give_authorization
from upgrader.flow.planning.stand_ins import check_stand_ins
from upgrader.flow.site import Site

NO_TIME = timedelta(0)
OTHER = ChangeId("CHG-2026-0150")
DESCRIBED = """\
upgrader_system:
  id: {id}
  number: 1
  name: {{zh: 系统, en: system}}
  tiers: [web]
  clients: []
  hours: 24x7
  criticality: 1
"""
STAND_IN = "  stands_in_for: exam-scheduling\n"


@dataclass
class Night:
    """The change of every builder, on exam-scheduling, and another one on the branch."""

    hospital: Hospital = field(default_factory=Hospital)
    over: bool = False

    def describe(self, other: str = STAND_IN) -> None:
        files = {"exam_scheduling": DESCRIBED.format(id="exam-scheduling")}
        files["contingency"] = DESCRIBED.format(id="contingency") + other
        self.hospital.branch.add({f"inventory/group_vars/{name}.yml": text.encode() for name, text in files.items()})

    def other_change(
        self, system: str = "contingency", *, later: timedelta = timedelta(0), planned: bool = True
    ) -> None:
        window = ChangeWindow(builders.OPENS + later, builders.CLOSES + later, "Asia/Shanghai")
        request = builders.make_request(change=OTHER, system=SystemId(system), hosts=system, window=window)
        files = {f"approvals/{OTHER}/request.yml": documents.write_request(request).encode()}
        self.hospital.branch.add(files | ({f"approvals/{OTHER}/plan.json": b"{}"} if planned else {}))

    @property
    def site(self) -> Site:
        return replace(self.hospital.site(), documents=documents, journal=self._journal)

    def _journal(self, change: str) -> AbstractContextManager[Any]:
        history = History()
        if self.over and change == OTHER:
            for event in (Event.CHANGE_REQUESTED, Event.CHANGE_CANCELLED):
                history = history.with_entry(history.following(event, {}, at=builders.SIGNED, actor="li.na"))
        return nullcontext(_Written(history))

    def check(self, plan: Plan | None = None) -> None:
        check_stand_ins(self.site, self.hospital.branch.tip(), plan or self.hospital.plan)


@dataclass
class _Written:
    entries: History

    def history(self) -> History:
        return self.entries


@pytest.mark.parametrize("later", [timedelta(0), timedelta(hours=3, minutes=59), timedelta(hours=-3)])
def test_two_that_do_each_others_work_do_not_share_a_window(later: timedelta) -> None:
    night = Night()
    night.describe()
    night.other_change(later=later)

    with pytest.raises(Refused) as refused:
        night.check()

    assert refused.value.code == "window-of-stand-in"
    assert (refused.value.fields["found"], refused.value.fields["other"]) == (OTHER, "contingency")


def test_it_holds_the_other_way_round_too() -> None:
    night = Night()
    night.describe()
    night.other_change("exam-scheduling")
    plan = night.hospital.plan
    stand_in = replace(plan, release=replace(plan.release, system=SystemId("contingency")))

    with pytest.raises(Refused, match="window-of-stand-in"):
        night.check(stand_in)


@pytest.mark.parametrize("harmless", ["later", "over", "asked for only", "another system", "no stand-in"])
def test_what_does_no_harm_is_not_in_the_way(harmless: str) -> None:
    night = Night(over=harmless == "over")
    night.describe("" if harmless == "no stand-in" else STAND_IN)
    night.other_change(
        "price-management" if harmless == "another system" else "contingency",
        later=timedelta(hours=4 if harmless == "later" else 0),
        planned=harmless != "asked for only",
    )

    night.check()


def test_the_gate_asks_again_when_the_change_would_run() -> None:
    night = Night()
    site = night.hospital.site()
    with examine(site, builders.CHANGE) as examined:
        assert give_authorization(site, examined)

        night.describe()
        night.other_change()
        then = replace(examined, snapshot=night.hospital.branch.tip())
        with pytest.raises(Refused, match="window-of-stand-in"):
            give_authorization(night.site, then)
