"""The last safe moment: no wave begins that could not be taken back before the window closes."""

from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

from upgrader.domain.errors import OutsideWindow
from upgrader.domain.forecast import Forecast, foretell
from upgrader.domain.journal import History
from upgrader.domain.lifecycle import Event
from upgrader.domain.plan import Plan, Wave
from upgrader.flow.site import Site

MOST_EARLIER = 20


def forecast(site: Site, plan: Plan, history: History, wave: Wave) -> Forecast:
    """What the journals let expect of one wave of a plan, and of the way back after it."""
    return foretell(
        history,
        _earlier(site, plan),
        hosts=len(wave.hosts),
        touched=sum(len(other.hosts) for other in plan.waves if other.number <= wave.number),
        longest=timedelta(seconds=plan.wave_timeout_seconds),
    )


def whole_length(site: Site, plan: Plan, history: History) -> timedelta:
    """How long all waves of a plan take, and the way back after the last one, as far as one knows."""
    earlier = tuple(_earlier(site, plan))
    longest, touched, waves, way_back = timedelta(seconds=plan.wave_timeout_seconds), 0, timedelta(), timedelta()
    for wave in plan.waves:
        touched += len(wave.hosts)
        expected = foretell(history, earlier, hosts=len(wave.hosts), touched=touched, longest=longest)
        waves, way_back = waves + expected.wave, expected.way_back
    return waves + way_back


def check_last_safe_moment(site: Site, plan: Plan, history: History, wave: Wave) -> None:
    """Raises OutsideWindow when this wave could not be taken back before the window closes, as far as one knows."""
    expected = forecast(site, plan, history, wave)
    last = expected.last_safe_moment(plan.window.closes)
    if site.clock() > last:
        zone = ZoneInfo(plan.window.zone)
        raise OutsideWindow(
            "last-safe-moment-over",
            change=plan.change,
            wave=wave.number,
            last=f"{last.astimezone(zone):%Y-%m-%d %H:%M}",
            closes=f"{plan.window.closes.astimezone(zone):%H:%M}",
            zone=plan.window.zone,
            takes=_minutes(expected.wave),
            back=_minutes(expected.way_back),
        )


def _earlier(site: Site, plan: Plan) -> Iterator[History]:
    """The latest changes of this system that this controller has carried out."""
    folder = site.state / "changes"
    names = sorted((path.name for path in folder.iterdir()), reverse=True) if folder.is_dir() else []
    found = 0
    for name in names:
        if name == plan.change or found == MOST_EARLIER:
            continue
        with site.journal(name) as journal:
            history = journal.history()
        requested = history.last(Event.CHANGE_REQUESTED)
        if requested is not None and requested.data["system"] == plan.release.system:
            found += 1
            yield history


def _minutes(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    return f"{seconds // 60} min {seconds % 60:02d} s"
