"""Deadlines: by which working day each change is due that somebody waits for, on the calendar of the person's clone.

Only told, never a reason to begin or to refuse.
"""

from collections.abc import Mapping

from upgrader.domain.changes.change import Change
from upgrader.domain.changes.demand import Deadline, Demand, deadline_of
from upgrader.domain.hospital.calendar import Workdays
from upgrader.flow.planning.calendar import FILE, calendar_here
from upgrader.flow.site import Site

# Without a calendar of the site: Monday to Friday, and no year of it is sure.
NO_CALENDAR = Workdays(frozenset(), frozenset(), frozenset())


def deadlines(site: Site, changes: Mapping[str, Change]) -> Mapping[str, Deadline]:
    """Those of the changes that have one, by change. One that was cancelled has none any more. Raises BadInput."""
    waited = {name: one for name, one in changes.items() if one.demand is not None and one.is_waited_for}
    if not waited:
        return {}
    workdays = workdays_here(site)
    return {
        name: deadline_of(one.demand, workdays, one.stable_since, site.clock(), site.time_zone)
        for name, one in waited.items()
        if one.demand is not None
    }


def deadline(site: Site, demand: Demand) -> Deadline:
    """That of a demand nobody has fulfilled yet."""
    return deadline_of(demand, workdays_here(site), None, site.clock(), site.time_zone)


def workdays_here(site: Site) -> Workdays:
    return calendar_here(site).workdays if (site.clone.root / FILE).is_file() else NO_CALENDAR
