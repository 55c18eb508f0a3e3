"""The calendar: the hospital's windows and freezes, read from the branch and asked before every wave."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from upgrader.domain.changes.plan import Plan
from upgrader.domain.changes.request import Kind
from upgrader.domain.errors import BadInput, OutsideWindow
from upgrader.domain.hospital.calendar import Answer, Calendar
from upgrader.domain.names import HostName, SystemId
from upgrader.flow.approval.authorize import Examined
from upgrader.flow.site import Site
from upgrader.ports import Snapshot, Tree

FILE, FOLDER = "calendar.yml", "calendars"


def calendar_on(site: Site, snapshot: Snapshot) -> Calendar | None:
    """The calendar as a commit of the branch holds it; None without one. Raises BadInput for one that is wrong."""
    content = snapshot.read(FILE)
    if content is None:
        return None
    attachments = {blob.path.removeprefix(f"{FOLDER}/"): blob.content for blob in snapshot.files(FOLDER)}
    return site.documents.read_calendar(content, FILE, attachments=attachments, now=site.clock())


def calendar_here(site: Site) -> Calendar:
    """The calendar in the person's own clone, for their questions; no decision rests on it. Raises BadInput."""
    file = site.clone.root / FILE
    if not file.is_file():
        raise BadInput("calendar-missing", file=file)
    attachments = {path.name: path.read_bytes() for path in (site.clone.root / FOLDER).glob("*.ics")}
    return site.documents.read_calendar(file.read_bytes(), FILE, attachments=attachments, now=site.clock())


def check_calendar(site: Site, tree: Tree, examined: Examined, hosts: Sequence[str]) -> datetime:
    """Until when work may run on these hosts of the plan: its window's end, or before it what the calendar says.

    Raises OutsideWindow unless the calendar on the examined commit lets work run now.

    `tree` is the approved one, with the inventory. An emergency is not held by the calendar: its own rule, its own
    signatures and its debt stand in for that.
    """
    plan = examined.plan
    if plan.kind is Kind.EMERGENCY or (calendar := calendar_on(site, examined.snapshot)) is None:
        return plan.window.closes
    groups = groups_of(site, tree, plan.release.system, examined.files.request.hosts, hosts)
    answer = calendar.ask(groups, site.clock())
    zone = ZoneInfo(calendar.zone)
    if answer.frozen_by:
        rule = answer.frozen_by[0]
        thawed = calendar.thaws(rule, site.clock()).astimezone(zone)
        raise OutsideWindow(
            "calendar-frozen",
            change=plan.change,
            rule=f"{rule.name['zh']} / {rule.name['en']}",
            until=f"{thawed:%Y-%m-%d %H:%M}",
            zone=calendar.zone,
            groups=", ".join(sorted(rule.groups)) or "*",
        )
    if answer.closed:
        now = f"{site.clock().astimezone(zone):%Y-%m-%d %H:%M}"
        closed = ", ".join(answer.closed)
        raise OutsideWindow("calendar-closed", change=plan.change, groups=closed, now=now, zone=calendar.zone)
    return calendar.open_until(groups, site.clock(), plan.window.closes)


def hosts_allowed(site: Site, tree: Tree, examined: Examined, hosts: Sequence[HostName]) -> Sequence[HostName]:
    """Those of `hosts` on whom the calendar lets work run now: where a ward is frozen, the others need not wait."""
    plan = examined.plan
    if plan.kind is Kind.EMERGENCY or (calendar := calendar_on(site, examined.snapshot)) is None:
        return hosts
    found = {host.name: host.groups for host in site.inventory.resolve(tree.path, examined.files.request.hosts)}
    names, now = _names_of(plan.release.system), site.clock()
    may_run = {groups: calendar.ask(names | groups, now).may_run for groups in {found[name] for name in hosts}}
    return [name for name in hosts if may_run[found[name]]]


def groups_of(site: Site, tree: Tree, system: SystemId, pattern: str, hosts: Iterable[str]) -> frozenset[str]:
    """The system itself, and every group of the inventory to which one of the hosts belongs."""
    wanted = frozenset(hosts)
    found = [host.groups for host in site.inventory.resolve(tree.path, pattern) if host.name in wanted]
    return _names_of(system).union(*found)


def foresee(site: Site, plan: Plan) -> Answer | None:
    """What the calendar in the person's clone says of this system when the plan's window opens; None without one.

    Only a hint: the groups of single hosts are asked about when their wave is due.
    """
    if plan.kind is Kind.EMERGENCY or not (site.clone.root / FILE).is_file():
        return None
    return calendar_here(site).ask(_names_of(plan.release.system), plan.window.opens)


def foreseen_end(site: Site, plan: Plan) -> datetime:
    """Until when the window of a plan is open, as far as the calendar in the person's clone says of this system.

    Only a hint, for what people are shown. A calendar that is wrong there, or closed when the window opens, is told
    where it counts.
    """
    opens, closes = max(plan.window.opens, site.clock()), plan.window.closes
    if plan.kind is Kind.EMERGENCY or opens >= closes or not (site.clone.root / FILE).is_file():
        return closes
    try:
        calendar = calendar_here(site)
    except BadInput:
        return closes
    groups = _names_of(plan.release.system)
    return calendar.open_until(groups, opens, closes) if calendar.ask(groups, opens).may_run else closes


def _names_of(system: SystemId) -> frozenset[str]:
    """A system as releases and as inventories call it."""
    return frozenset((str(system), system.replace("-", "_")))
