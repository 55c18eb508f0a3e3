"""request.yml: one change asked for; read from what a person wrote, and written for a person to read."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from upgrader.adapters.documents.durations import write_duration
from upgrader.adapters.documents.fields import (
    DAY,
    Change,
    HostPattern,
    Line,
    LocalTime,
    PersonText,
    System,
    VersionText,
    Zone,
)
from upgrader.adapters.documents.models import Finding, Model, reads, repeated
from upgrader.adapters.documents.particulars import ParticularsModel, write_particulars
from upgrader.adapters.documents.reading import read_document
from upgrader.adapters.documents.values import day_of, matching, one_of, seconds, whole
from upgrader.adapters.documents.writing import quoted, scalar
from upgrader.domain.changes.demand import TERMS, Demand, DemandKind
from upgrader.domain.changes.joint import Half, JointPart
from upgrader.domain.changes.late import ABSENT_AT_MOST, Late
from upgrader.domain.changes.request import ChangeWindow, Kind, Request, Soak, WaveSizes, WhenUnstable

LONGEST_LATE = timedelta(days=30)
HOURS = r"([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]"
LONGEST_WINDOW = timedelta(hours=72)


def read_request(content: bytes, file: str) -> Request:
    """Read a request.yml. Raises BadInput `document-invalid` with everything that is wrong with it."""
    return read_document(_Request, content, file).model.to_domain()


def write_request(request: Request) -> str:
    """The text of a request.yml that `read_request` reads back to the same value.

    Raises BadInput when there is none: what was asked for breaks a rule of the document, or its window opens or
    closes at a time that the zone's clocks show twice.
    """
    window = request.window
    written = TEMPLATE.format(
        change=request.change,
        kind=request.kind.value,
        system=scalar(request.system),
        version=quoted(request.version),
        reason=quoted(request.reason),
        requester=scalar(request.requester),
        hosts=scalar(request.hosts),
        opens=_on_the_wall(window.opens, window.zone),
        closes=_on_the_wall(window.closes, window.zone),
        zone=window.zone,
        canaries=request.waves.canaries,
        size=request.waves.size,
        duration=write_duration(int(request.soak.duration.total_seconds())),
        interval=write_duration(int(request.soak.interval.total_seconds())),
        when_unstable=request.soak.when_unstable.value,
        form=write_particulars(request.particulars),
    )
    if request.downgrade is not None:
        written += DOWNGRADE.format(downgrade=quoted(request.downgrade))
    if (late := request.late) is not None:
        written += LATE.format(
            until=_on_the_wall(late.until, late.zone),
            hours=f"{late.starts}-{late.ends}",
            absent_at_most=late.absent_at_most,
        )
    if (demand := request.demand) is not None:
        written += DEMAND.format(kind=demand.kind.value, since=demand.since.isoformat(), days=demand.days)
    if request.supersedes is not None:
        written += SUPERSEDES.format(supersedes=request.supersedes)
    if request.joint:
        written += JOINT + "".join(
            f"  - {{change: {part.change}, system: {scalar(part.system)}, version: {quoted(part.version)}"
            f"{f', only: {part.only}' if part.only else ''}}}\n"
            for part in request.joint
        )
    read_request(written.encode(), "request.yml")
    return written


TEMPLATE = """\
# The request of a change / 变更申请
# Whoever changes this file makes a new plan, and every signature of the old plan falls.
# 修改本文件后须重新生成计划，原方案上的全部签名随之失效。
change: {change}
kind: {kind:<20} # normal 一般 | standard 标准 | emergency 紧急 | data-fix 数据修正
system: {system}
version: {version}
reason: {reason}
requester: {requester:<15} # never counts as an approver / 申请人不计入审批人
hosts: {hosts:<19} # an Ansible host pattern / Ansible 主机匹配式

# Wall-clock time in the zone; at most 72 hours / 当地时间，最长 72 小时
window:
  opens: {opens}
  closes: {closes}
  zone: {zone}

# First the canaries alone, then the rest, so many at a time / 先试点，其余按批次进行
waves:
  canaries: {canaries}
  size: {size}

# How long the system is watched afterwards / 升级后的观察期
soak:
  duration: {duration:<14} # 30s 5m 2h 1h30m 3d
  interval: {interval}
  when_unstable: {when_unstable:<9} # hold: a person decides 由人员决定 | roll-back: take it back 自动回退

# What the application form asks besides; fill it in before the plan is made / 申请单另需填写的内容，请在生成计划前填好
{form}
"""
DOWNGRADE = """
# A declared way back to an older release, and why; the signers see it / 声明降级及原因，签署人可见
downgrade: {downgrade}
"""
LATE = """
# Workstations that were away: every day in these hours, until then, in the window's zone, they may still be upgraded
# 未开机的工作站：在此期限前，每天在这些时段内可补升级（时区同变更窗口）
late:
  until: {until}
  hours: "{hours}"
  absent_at_most: {absent_at_most:<12} # per cent of the workstations; more stop the waves / 超过此百分比即停止
"""
DEMAND = """
# What the hospital waits for, and within how many working days from then / 院方诉求及时限（自该日起的工作日数）
demand:
  kind: {kind:<21} # urgent-defect 紧急缺陷 | defect 一般缺陷 | modification 功能修改
  since: {since} # reported 报告日 | agreed 确认日
  working_days: {days}
"""
SUPERSEDES = """
# The change in whose place this one was asked for / 本变更所取代的变更
supersedes: {supersedes}
"""
JOINT = """
# All changes of one request, in the order in which they run / 同一申请的全部变更，按执行顺序排列
joint:
"""


class _Window(Model):
    opens: LocalTime
    closes: LocalTime
    zone: Zone

    def findings(self) -> Iterator[Finding]:
        faults = [fault for fault in (self._clock_fault("opens"), self._clock_fault("closes")) if fault]
        yield from faults
        if faults:
            return
        window = self.to_domain()
        if window.closes <= window.opens:
            yield Finding(("closes",), "closes-before-opens", {"expected": self.opens, "found": self.closes})
        elif window.closes - window.opens > LONGEST_WINDOW:
            fields = {"expected": "72h", "found": write_duration(int((window.closes - window.opens).total_seconds()))}
            yield Finding(("closes",), "window-too-long", fields)

    def _clock_fault(self, key: str) -> Finding | None:
        """Clocks that are set forward skip times, and clocks that are set back show times twice."""
        wall: datetime = getattr(self, key)
        first = wall.replace(tzinfo=ZoneInfo(self.zone), fold=0)
        fields = {"found": wall, "zone": self.zone}
        if _in_utc(first).astimezone(first.tzinfo).replace(tzinfo=None) != wall:
            return Finding((key,), "time-does-not-exist", fields)
        if first.utcoffset() != first.replace(fold=1).utcoffset():
            return Finding((key,), "time-is-ambiguous", fields)
        return None

    def to_domain(self) -> ChangeWindow:
        place = ZoneInfo(self.zone)
        opens, closes = (_in_utc(wall.replace(tzinfo=place)) for wall in (self.opens, self.closes))
        return ChangeWindow(opens, closes, self.zone)


class _Waves(Model):
    canaries: Annotated[int, reads(whole(0, 10_000))]
    size: Annotated[int, reads(whole(1, 10_000))]


class _Late(Model):
    until: LocalTime
    hours: Annotated[str, reads(matching(HOURS, "12:00-13:30", str))]
    absent_at_most: Annotated[int, reads(whole(0, 100))] = ABSENT_AT_MOST

    def to_domain(self, zone: str) -> Late:
        starts, ends = self.hours.split("-")
        return Late(_in_utc(self.until.replace(tzinfo=ZoneInfo(zone))), starts, ends, zone, self.absent_at_most)


class _Demand(Model):
    kind: Annotated[DemandKind, reads(one_of(DemandKind))]
    since: Annotated[date, reads(day_of)]
    working_days: Annotated[int, reads(whole(1, 45))]

    def findings(self) -> Iterator[Finding]:
        least, most = TERMS[self.kind]
        if not least <= self.working_days <= most:
            fields = {"expected": f"{least}…{most}", "found": self.working_days}
            yield Finding(("working_days",), "wrong-value", fields)

    def to_domain(self) -> Demand:
        return Demand(self.kind, self.since, self.working_days)


class _Soak(Model):
    duration: Annotated[int, reads(seconds(1, 14 * DAY))]
    interval: Annotated[int, reads(seconds(1, DAY))]
    when_unstable: Annotated[WhenUnstable, reads(one_of(WhenUnstable))]

    def findings(self) -> Iterator[Finding]:
        if self.interval > self.duration:
            fields = {
                "expected": f"≤ {write_duration(self.duration)}",
                "found": write_duration(self.interval),
            }
            yield Finding(("interval",), "wrong-value", fields)


class _JointPart(Model):
    change: Change
    system: System
    version: VersionText
    only: Annotated[Half, reads(one_of(Half))] | None = None


class _Request(Model):
    change: Change
    kind: Annotated[Kind, reads(one_of(Kind))]
    system: System
    version: VersionText
    reason: Line
    requester: PersonText
    hosts: HostPattern
    window: _Window
    waves: _Waves
    soak: _Soak
    downgrade: Line | None = None
    supersedes: Change | None = None
    joint: tuple[_JointPart, ...] = ()
    late: _Late | None = None
    demand: _Demand | None = None
    form: ParticularsModel = ParticularsModel()

    def findings(self) -> Iterator[Finding]:
        own = (self.change, self.system, self.version)
        if self.joint and own not in [(part.change, part.system, part.version) for part in self.joint]:
            wrong = {"expected": f"{self.change} {self.system} {self.version}", "found": self.joint[0].change}
            yield Finding(("joint",), "wrong-value", wrong)
        halves = {(part.system, part.version, part.only) for part in self.joint if part.only is not None}
        for system, version, half in sorted(halves):
            other = next(one for one in Half if one is not half)
            if (system, version, other) not in halves:
                yield Finding(("joint",), "wrong-value", {"expected": f"{system} {version} {other}", "found": half})
        yield from repeated(("joint", n, "change", part.change) for n, part in enumerate(self.joint))
        if self.late is None:
            return
        window, late = self.window.to_domain(), self.late.to_domain(self.window.zone)
        if not window.closes < late.until <= window.closes + LONGEST_LATE:
            last = _on_the_wall(window.closes + LONGEST_LATE, window.zone)
            fields = {"expected": f"{self.window.closes} … {last}", "found": self.late.until}
            yield Finding(("late", "until"), "wrong-value", fields)

    def to_domain(self) -> Request:
        return Request(
            change=self.change,
            kind=self.kind,
            system=self.system,
            version=self.version,
            reason=self.reason,
            requester=self.requester,
            hosts=self.hosts,
            window=self.window.to_domain(),
            waves=WaveSizes(self.waves.canaries, self.waves.size),
            soak=Soak(
                timedelta(seconds=self.soak.duration),
                timedelta(seconds=self.soak.interval),
                self.soak.when_unstable,
            ),
            downgrade=self.downgrade,
            supersedes=self.supersedes,
            joint=tuple(JointPart(part.change, part.system, part.version, part.only) for part in self.joint),
            demand=self.demand.to_domain() if self.demand else None,
            late=self.late.to_domain(self.window.zone) if self.late else None,
            particulars=self.form.to_domain(),
        )


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _on_the_wall(moment: datetime, zone: str) -> str:
    wall = moment.astimezone(ZoneInfo(zone))
    return re.sub(r":00$", "", wall.strftime("%Y-%m-%d %H:%M:%S"))
